//! Delete: the only act without an undo. It asks for a proof, and the secret stays in the keystore until IAM
//! has twice listed the key as gone.

use std::time::Duration;

use jiff::Timestamp;

use super::precheck::{Checked, Precheck};
use super::soak::Soaked;
use super::{Command, Context, Event, State, Turn, WaitingFor};
use crate::credential::AccessKeyId;
use crate::iam::RefusalClass;
use crate::journal::{Act, Record};
use crate::time::later;

/// Lists without the key before it counts as gone.
const ABSENCES: u32 = 2;

/// Between two of them.
const LIST_SPACING: Duration = Duration::from_secs(1);

#[derive(Clone, Debug)]
pub(crate) struct Delete {
    victim: AccessKeyId,
    phase: Phase,
}

#[derive(Clone, Debug)]
enum Phase {
    Checking(Precheck),
    Intending,
    Deleting,
    /// Seen absent so often, to be seen so until then.
    Listing(u32, Timestamp),
    Again(u32, Timestamp),
    Recording,
    IntendForget,
    Forgetting,
    Forgotten,
    Untagging,
}

impl Delete {
    /// The outgoing key goes, directly after its soak was seen to be over.
    pub(crate) fn soaked(cx: &Context<'_>, _proof: Soaked) -> Turn {
        let victim = cx.open().outgoing.id.clone();
        // The checks were made directly before: they are what the proof is earned by.
        Self { victim, phase: Phase::Intending }.intend(cx)
    }

    /// The orphan goes, directly after it was seen Inactive and unused for as long as it had to wait.
    pub(super) fn orphan(cx: &Context<'_>, victim: AccessKeyId) -> Turn {
        Self { victim, phase: Phase::Intending }.intend(cx)
    }

    /// The key that nobody was ever given goes.
    pub(crate) fn never_published(cx: &Context<'_>) -> Turn {
        let Some(pending) = &cx.open().incoming else {
            return Turn::bug("nothing to discard", &Event::Woke);
        };
        let victim = pending.id.clone();
        let (precheck, command) = Precheck::start(cx);
        Turn::new(State::Delete(Self { victim, phase: Phase::Checking(precheck) }), command)
    }

    /// The key is gone; its secret follows.
    pub(crate) fn forget(cx: &Context<'_>) -> Turn {
        let open = cx.open();
        let survivor = &open.survivor().id;
        let Some(victim) = open.ours().find(|id| *id != survivor).cloned() else {
            return Turn::bug("nothing to forget", &Event::Woke);
        };
        let command = cx.intend(Act::Forget { access_key_id: victim.clone() });
        Turn::new(State::Delete(Self { victim, phase: Phase::IntendForget }), command)
    }

    pub(crate) fn on_event(self, cx: &Context<'_>, event: Event) -> Turn {
        let Self { victim, phase } = self;
        let signer = cx.open().survivor().id.clone();
        let to = |victim, phase, command| Turn::new(State::Delete(Self { victim, phase }), command);
        match (phase, event) {
            (Phase::Checking(precheck), event) => match precheck.on_event(cx, event) {
                Checked::Next(precheck, command) => to(victim, Phase::Checking(precheck), command),
                Checked::Fails(turn) => turn,
                Checked::Holds(_) => Self { victim, phase: Phase::Intending }.intend(cx),
            },
            (Phase::Intending, Event::Appended) => {
                let id = victim.clone();
                to(victim, Phase::Deleting, Command::Delete { signer, id })
            }
            (Phase::Deleting, Event::Refused(refusal))
                if refusal.class != RefusalClass::NoSuchEntity =>
            {
                Turn::refused("iam:DeleteAccessKey", Event::Refused(refusal), "delete")
            }
            // "No such key" after a retry is what was wanted.
            (Phase::Deleting, Event::Ready | Event::Refused(_)) => {
                let deadline = later(cx.now.wall, cx.policy().deadline);
                to(victim, Phase::Listing(0, deadline), Command::List { signer })
            }
            (Phase::Listing(seen, deadline), Event::Listed(list)) => {
                let absent = list.find(&victim).is_none();
                let seen = if absent { seen + 1 } else { 0 };
                if seen == ABSENCES {
                    let command = cx.done(Act::Delete { access_key_id: victim.clone() });
                    return to(victim, Phase::Recording, command);
                }
                if !absent && cx.now.wall >= deadline {
                    return cx.stuck(format!("{victim} was deleted, and IAM still lists it"));
                }
                let wait = cx.wait(LIST_SPACING, WaitingFor::Disappearance);
                to(victim, Phase::Again(seen, deadline), wait)
            }
            (Phase::Again(seen, deadline), Event::Woke) => {
                to(victim, Phase::Listing(seen, deadline), Command::List { signer })
            }
            (Phase::Recording, Event::Appended) if cx.open().deleted => Self::forget(cx),
            // It was an orphan: nobody has its secret, and the rotation goes on.
            (Phase::Recording, Event::Appended) => super::look::Look::enter(cx),
            (Phase::IntendForget, Event::Appended) => {
                let command = Command::Forget(victim.clone());
                to(victim, Phase::Forgetting, command)
            }
            (Phase::Forgetting, Event::Ready) => {
                let command = cx.done(Act::Forget { access_key_id: victim.clone() });
                to(victim, Phase::Forgotten, command)
            }
            (Phase::Forgotten, Event::Appended) => {
                let command = Command::Untag { signer, described: victim.clone() };
                to(victim, Phase::Untagging, command)
            }
            // A description is a courtesy.
            (Phase::Untagging, Event::Ready | Event::Refused(_)) => {
                let open = cx.open();
                let record = match &open.aborting {
                    Some(why) => Record::Abandoned { why: why.clone() },
                    None => Record::Finished,
                };
                cx.then_door(record)
            }
            (_, event) => Turn::refused("iam:ListAccessKeys", event, "delete"),
        }
    }

    fn intend(self, cx: &Context<'_>) -> Turn {
        let command = cx.intend(Act::Delete { access_key_id: self.victim.clone() });
        Turn::new(State::Delete(self), command)
    }
}
