//! What must hold directly before a key is deactivated or deleted: the key that stays is read from the
//! keystore anew and accepted by AWS, nobody else rotates this user, and a fresh list agrees with the journal.

use super::preflight::other_install;
use super::{Command, Context, Event, Turn};
use crate::credential::AccessKeyId;
use crate::iam::KeyList;
use crate::recovery;

/// Half-way through the checks.
#[derive(Clone, Debug)]
pub(crate) struct Precheck {
    survivor: AccessKeyId,
    asking: Asking,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asking {
    Identity,
    Tags,
    List,
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
        (Self { survivor, asking: Asking::Identity }, command)
    }

    pub(crate) fn on_event(self, cx: &Context<'_>, event: Event) -> Checked {
        match (self.asking, event) {
            (Asking::Identity, Event::Identified(identity)) => {
                if !cx.is_our_user(&identity) {
                    let why = format!("{} belongs to {}", self.survivor, identity.arn);
                    return Checked::Fails(cx.stuck(why));
                }
                let command = Command::ListTags { signer: self.survivor.clone() };
                self.ask(Asking::Tags, command)
            }
            (Asking::Tags, Event::Tags(tags)) => match other_install(&tags, &cx.task.tag) {
                Some(other) => Checked::Fails(
                    cx.stuck(format!("another installation rotates this user: tag {other}")),
                ),
                None => self.list(),
            },
            // Preflight warned of it.
            (Asking::Tags, Event::Refused(refusal)) if !refusal.class.is_about_the_signer() => {
                self.list()
            }
            (Asking::List, Event::Listed(list)) => match recovery::disagreement(cx.status, &list) {
                None => Checked::Holds(list),
                Some(why) => Checked::Fails(cx.stuck(why)),
            },
            (asking, event) => {
                let act = match asking {
                    Asking::Identity => "sts:GetCallerIdentity",
                    Asking::Tags => "iam:ListUserTags",
                    Asking::List => "iam:ListAccessKeys",
                };
                Checked::Fails(Turn::refused(act, event, "precheck"))
            }
        }
    }

    /// Last, so that it is the freshest.
    fn list(self) -> Checked {
        let command = Command::List { signer: self.survivor.clone() };
        self.ask(Asking::List, command)
    }

    fn ask(mut self, asking: Asking, command: Command) -> Checked {
        self.asking = asking;
        Checked::Next(self, command)
    }
}
