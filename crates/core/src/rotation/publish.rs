//! Publish: every source serves the new key, which is proved by fetching it back through each.

use jiff::Timestamp;

use super::deactivate::Deactivate;
use super::drain::Drain;
use super::verify::KeyVerified;
use super::{Command, Context, Event, Fetched, State, Turn, WaitingFor};
use crate::credential::AccessKeyId;
use crate::journal::{Act, Record, Step};
use crate::time::later;

/// How long the sources are waited for while a leaked key works.
const LEAKED: std::time::Duration = std::time::Duration::from_secs(10);

/// Every enabled source was seen to serve the incoming key, in this process; or the outgoing one leaked, and the sources
/// had their time.
#[derive(Clone, Debug)]
pub(crate) struct Published {
    _private: (),
}

#[derive(Clone, Debug)]
pub(crate) struct Publish {
    key: AccessKeyId,
    deadline: Timestamp,
    phase: Phase,
}

#[derive(Clone, Debug)]
enum Phase {
    Intending,
    Flipping,
    Fetching,
    Again,
    Recording,
}

impl Publish {
    /// Publishes a key that was verified.
    pub(crate) fn enter(cx: &Context<'_>, proof: KeyVerified) -> Turn {
        let generation = match &cx.open().intent {
            Some((Act::Publish { generation, .. }, _)) => *generation,
            _ => cx.status.generation.next(),
        };
        let act = Act::Publish { access_key_id: proof.key().clone(), generation };
        let command = cx.intend(act);
        Self::to_state(cx, proof.key().clone(), Phase::Intending, command)
    }

    /// Earns `Published` anew, after a restart.
    pub(crate) fn again(cx: &Context<'_>) -> Turn {
        let key = cx.open().survivor().id.clone();
        Self::to_state(cx, key, Phase::Fetching, Command::Fetch)
    }

    fn to_state(cx: &Context<'_>, key: AccessKeyId, phase: Phase, command: Command) -> Turn {
        let patience = match cx.open().is_cut_off() {
            true => cx.policy().deadline.min(LEAKED),
            false => cx.policy().deadline,
        };
        let deadline = later(cx.now.wall, patience);
        Turn::new(State::Publish(Self { key, deadline, phase }), command)
    }

    pub(crate) fn on_event(self, cx: &Context<'_>, event: Event) -> Turn {
        match (&self.phase, event) {
            (Phase::Intending, Event::Appended) => {
                let Some((Act::Publish { generation, .. }, _)) = &cx.open().intent else {
                    return Turn::bug("publish without an intent", &Event::Appended);
                };
                let command = Command::Publish { id: self.key.clone(), generation: *generation };
                self.to(Phase::Flipping, command)
            }
            (Phase::Flipping, Event::Ready) | (Phase::Again, Event::Woke) => {
                self.to(Phase::Fetching, Command::Fetch)
            }
            (Phase::Fetching, Event::Fetched(fetched)) => match self.trouble(cx, &fetched) {
                None => self.published(cx),
                Some(why) => self.not_served(cx, why),
            },
            (Phase::Fetching, Event::Fault(failure)) => self.not_served(cx, failure.to_string()),
            (Phase::Recording, Event::Appended) => Self::retire(cx),
            (_, event) => Turn::refused("the fetch through the sources", event, "publish"),
        }
    }

    fn to(mut self, phase: Phase, command: Command) -> Turn {
        self.phase = phase;
        Turn::new(State::Publish(self), command)
    }

    /// What is wrong with what the sources served, if anything.
    fn trouble(&self, cx: &Context<'_>, fetched: &[Fetched]) -> Option<String> {
        if fetched.is_empty() {
            return Some("no source is enabled".to_owned());
        }
        fetched.iter().find_map(|one| match &one.served {
            Err(why) => Some(format!("{}: {why}", one.source)),
            Ok(served) if served.key != self.key => {
                Some(format!("{} still serves {}", one.source, served.key))
            }
            Ok(served) if !cx.is_expected(served) => {
                Some(format!("{} serves {}", one.source, served.identity.arn))
            }
            Ok(_) => None,
        })
    }

    fn published(self, cx: &Context<'_>) -> Turn {
        // After a restart it stands in the journal already.
        if cx.open().step > Step::Publish {
            return Self::retire(cx);
        }
        let Some((act, _)) = &cx.open().intent else {
            return Turn::bug("published without an intent", &Event::Ready);
        };
        let command = cx.done(act.clone());
        self.to(Phase::Recording, command)
    }

    /// The old key goes: when nobody can use it by right any more, or at once if it leaked.
    fn retire(cx: &Context<'_>) -> Turn {
        let published = Published { _private: () };
        match cx.open().is_cut_off() {
            true => Deactivate::cut_off(cx, published),
            false => Drain::enter(cx, published),
        }
    }

    fn not_served(self, cx: &Context<'_>, why: String) -> Turn {
        if cx.now.wall < self.deadline {
            let wait = cx.wait(std::time::Duration::from_secs(1), WaitingFor::Sources);
            return self.to(Phase::Again, wait);
        }
        // The new key was verified, and is the ledger's. A source that is broken must not keep a leaked key alive.
        if cx.open().is_cut_off() {
            return self.published(cx);
        }
        if cx.open().undone.is_some() || !cx.open().can_undo() {
            return cx.stuck(format!("the sources do not serve {}: {why}", self.key));
        }
        // The previous key goes back to where it was; the new one becomes the one that is to go.
        cx.then_door(Record::UndoBegun {
            why: format!("the sources do not serve the new key: {why}"),
            forced: false,
        })
    }
}
