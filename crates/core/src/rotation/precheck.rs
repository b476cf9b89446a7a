//! What must hold directly before a key is deactivated or deleted: the key that stays is read from the
//! keystore anew and accepted by AWS, and a fresh list agrees with the journal.

use super::{Command, Context, Event, Turn};
use crate::credential::AccessKeyId;
use crate::iam::KeyList;
use crate::recovery;

/// Half-way through the checks.
#[derive(Debug)]
pub(crate) struct Precheck {
    survivor: AccessKeyId,
    accepted: bool,
}

/// What the checks came to.
pub(crate) enum Checked {
    /// Not through yet: one more command.
    Next(Precheck, Command),
    /// All hold; the list is fresh.
    Holds(KeyList),
    /// One does not: this is how to go on.
    Fails(Turn),
}

impl Precheck {
    /// Begins the checks on the key that stays.
    pub(crate) fn start(cx: &Context<'_>) -> (Self, Command) {
        let survivor = cx.open().survivor().id.clone();
        let command = cx.identify(&survivor);
        (Self { survivor, accepted: false }, command)
    }

    pub(crate) fn on_event(mut self, cx: &Context<'_>, event: Event) -> Checked {
        match event {
            Event::Identified(identity) if !self.accepted => {
                if !cx.is_our_user(&identity) {
                    let why = format!("{} belongs to {}", self.survivor, identity.arn);
                    return Checked::Fails(cx.stuck(why));
                }
                self.accepted = true;
                let command = Command::List { signer: self.survivor.clone() };
                Checked::Next(self, command)
            }
            Event::Listed(list) if self.accepted => {
                match recovery::disagreement(cx.status, &list) {
                    None => Checked::Holds(list),
                    Some(why) => Checked::Fails(cx.stuck(why)),
                }
            }
            event => {
                let act =
                    if self.accepted { "iam:ListAccessKeys" } else { "sts:GetCallerIdentity" };
                Checked::Fails(Turn::refused(act, event, "precheck"))
            }
        }
    }
}
