//! Soak: the old key is Inactive, and one command brings it back. Then it may be deleted.

use super::precheck::{Checked, Precheck};
use super::{Command, Context, Event, State, Turn, WaitingFor, delete};
use crate::credential::KeyStatus;
use crate::journal::Record;
use crate::time::later;

/// The soak is over and the old key is still Inactive; seen in this process, directly before.
#[derive(Clone, Debug)]
pub(crate) struct Soaked {
    _private: (),
}

#[derive(Clone, Debug)]
pub(crate) enum Soak {
    Waiting,
    Checking(Precheck),
}

impl Soak {
    pub(crate) fn enter(cx: &Context<'_>) -> Turn {
        let Some(deactivated) = cx.open().deactivated else {
            return Turn::bug("a soak before deactivation", &Event::Woke);
        };
        let until = later(deactivated, cx.policy().soak);
        if cx.now.wall < until && !cx.hurries() {
            let wait = Command::Wait { until, waiting_for: WaitingFor::Soak };
            return Turn::new(State::Soak(Self::Waiting), wait);
        }
        let (precheck, command) = Precheck::start(cx);
        Turn::new(State::Soak(Self::Checking(precheck)), command)
    }

    pub(crate) fn on_event(self, cx: &Context<'_>, event: Event) -> Turn {
        match (self, event) {
            (Self::Waiting, Event::Woke) => Self::enter(cx),
            (Self::Waiting, event) => Turn::bug("soak", &event),
            (Self::Checking(precheck), event) => match precheck.on_event(cx, event) {
                Checked::Next(precheck, command) => {
                    Turn::new(State::Soak(Self::Checking(precheck)), command)
                }
                Checked::Fails(turn) => turn,
                // The clock was set back meanwhile.
                Checked::Holds(_) if !is_over(cx) => Self::enter(cx),
                Checked::Holds(list) => {
                    let id = &cx.open().outgoing.id;
                    match list.find(id).map(|key| key.status) {
                        Some(KeyStatus::Inactive) => {
                            delete::Delete::soaked(cx, Soaked { _private: () })
                        }
                        Some(KeyStatus::Active) => {
                            cx.stuck(format!("somebody made {id} active again"))
                        }
                        // Our own deletion, its answer lost: see that it stays away.
                        None if cx.open().intent.is_some() => {
                            delete::Delete::soaked(cx, Soaked { _private: () })
                        }
                        None => cx.then_door(Record::Vanished { access_key_id: id.clone() }),
                    }
                }
            },
        }
    }
}

/// Whether the soak is over by now. A person cuts it short when the key that is served leaked: this one's room is needed.
fn is_over(cx: &Context<'_>) -> bool {
    if cx.hurries() {
        return true;
    }
    let deactivated = cx.open().deactivated;
    deactivated.is_some_and(|at| cx.now.wall >= later(at, cx.policy().soak))
}
