//! Create: the intent is on disk, then `CreateAccessKey` is sent once, then its secret is kept.

use std::time::Duration;

use super::{Command, Context, Ending, Event, State, Turn, WaitingFor};
use crate::error::Failure;
use crate::iam::{KeyList, NewKey, RefusalClass};
use crate::journal::{Act, Reason, Record};
use crate::time::later;

/// How often the secret is offered to a keystore that does not take it.
const STORE_ATTEMPTS_MAX: u32 = 3;

#[derive(Clone, Debug)]
pub(crate) enum Create {
    /// The rotation is being opened, to intend this.
    Begin(Act),
    /// The intent is being written.
    Intend,
    /// The request is out.
    Sent,
    /// The secret is on its way into the keystore: until then this is its only copy.
    Storing(NewKey, u32),
    /// The keystore failed to the last: does it hold the secret?
    Looking(NewKey),
    /// The key is being recorded.
    Recording,
    /// The console's description is being set, as far as allowed.
    Describing,
    /// The outcome is being recorded; then look again, later.
    Refused(Option<Failure>),
    /// Nothing was made, and nothing will be.
    Abandoned(Failure),
}

impl Create {
    /// What a creation intends, from a list that came just now: how far the server's clock is ahead of ours can
    /// only be told at once.
    pub(crate) fn act(cx: &Context<'_>, list: &KeyList) -> Act {
        Act::Create {
            known: list.keys.iter().map(|key| key.access_key_id.clone()).collect(),
            clock_offset_ms: list.server_time.as_millisecond() - cx.now.wall.as_millisecond(),
        }
    }

    /// Opens a rotation.
    pub(crate) fn begin(cx: &Context<'_>, act: Act, reason: Reason) -> Turn {
        Turn::new(State::Create(Self::Begin(act)), cx.append(Record::Begun { reason }))
    }

    /// Writes the intent.
    pub(crate) fn intend(cx: &Context<'_>, act: Act) -> Turn {
        Turn::new(State::Create(Self::Intend), cx.intend(act))
    }

    fn record(cx: &Context<'_>, key: NewKey) -> Turn {
        let record = Record::Created {
            access_key_id: key.credentials.access_key_id,
            created: key.created,
            adopted: false,
        };
        Turn::new(State::Create(Self::Recording), cx.append(record))
    }

    pub(crate) fn on_event(self, cx: &Context<'_>, event: Event) -> Turn {
        match (self, event) {
            (Self::Begin(act), Event::Appended) => Self::intend(cx, act),
            (Self::Intend, Event::Appended) => {
                let open = cx.open();
                let signer = open.outgoing.id.clone();
                let rotation = open.id.clone();
                Turn::new(State::Create(Self::Sent), Command::Create { signer, rotation })
            }
            (Self::Sent, Event::Created(key)) => {
                let command = Command::Store(key.credentials.clone());
                Turn::new(State::Create(Self::Storing(key, 1)), command)
            }
            (Self::Sent, Event::Refused(refusal)) => {
                let why = refusal.to_string();
                // A full quota is looked at again: preflight names the key that fills it.
                let patient = cx.now.wall < later(cx.open().begun, cx.policy().deadline);
                let again = refusal.class == RefusalClass::Quota
                    || (refusal.class.is_transient() && patient);
                let act = "iam:CreateAccessKey".to_owned();
                let failure = (!again).then_some(Failure::Account { act, refusal });
                Turn::new(
                    State::Create(Self::Refused(failure)),
                    cx.append(Record::NotCreated { why }),
                )
            }
            (Self::Sent, Event::Unknown(doubt)) => {
                let why = doubt.reason.clone();
                if doubt.sent {
                    return cx.then_door(Record::CreateUnknown { why });
                }
                let act = "iam:CreateAccessKey".to_owned();
                let failure = Some(Failure::Unreachable { act, doubt });
                Turn::new(
                    State::Create(Self::Refused(failure)),
                    cx.append(Record::NotCreated { why }),
                )
            }
            (Self::Storing(key, _), Event::Ready) => Self::record(cx, key),
            (Self::Storing(key, attempts), Event::Fault(_)) if attempts < STORE_ATTEMPTS_MAX => {
                let wait =
                    cx.wait(Duration::from_secs(1), WaitingFor::Aws("the keystore".to_owned()));
                Turn::new(State::Create(Self::Storing(key, attempts + 1)), wait)
            }
            (Self::Storing(key, attempts), Event::Woke) => {
                let command = Command::Store(key.credentials.clone());
                Turn::new(State::Create(Self::Storing(key, attempts)), command)
            }
            // It may have been kept all the same: a secret must not be left behind.
            (Self::Storing(key, _), Event::Fault(_)) => {
                let command = Command::Holds(key.credentials.access_key_id.clone());
                Turn::new(State::Create(Self::Looking(key)), command)
            }
            (Self::Looking(key), Event::Holds(true)) => Self::record(cx, key),
            // The secret cannot be kept: the key is made over to the orphan rule, which knows its id.
            (Self::Looking(key), Event::Holds(false)) => cx.then_door(Record::OrphanFound {
                access_key_id: key.credentials.access_key_id,
                created: key.created,
            }),
            // Only the keystore can tell, once it answers.
            (Self::Looking(_), Event::Fault(failure)) => {
                cx.then_door(Record::CreateUnknown { why: failure.to_string() })
            }
            (Self::Recording, Event::Appended) => {
                let open = cx.open();
                let signer = open.outgoing.id.clone();
                let describes = open.incoming.as_ref().map(|key| key.id.clone());
                Turn::new(State::Create(Self::Describing), Command::Tag { signer, describes })
            }
            // A description is a courtesy: refused or not, the rotation goes on.
            (Self::Describing, Event::Ready | Event::Refused(_)) => super::look::Look::enter(cx),
            (Self::Refused(Some(failure @ Failure::Account { .. })), Event::Appended) => {
                let command = cx.append(Record::Abandoned { why: failure.to_string() });
                Turn::new(State::Create(Self::Abandoned(failure)), command)
            }
            (Self::Abandoned(failure), Event::Appended) => Turn::end(Ending::Failed(failure)),
            (Self::Refused(Some(failure)), Event::Appended) => Turn::end(Ending::Failed(failure)),
            (Self::Refused(None), Event::Appended) => {
                let reason = WaitingFor::Aws("CreateAccessKey was turned away".to_owned());
                Turn::new(State::Door, cx.wait(cx.policy().spacing, reason))
            }
            (_, event) => Turn::bug("create", &event),
        }
    }
}
