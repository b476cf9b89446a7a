//! After a lost reply to `CreateAccessKey`: which key did it make, if any, and how does it go away?

use std::time::Duration;

use super::precheck::{Checked, Precheck};
use super::{Command, Context, Event, State, Turn, WaitingFor, delete};
use crate::credential::KeyStatus;
use crate::iam::{KeyList, ListedKey};
use crate::journal::{Act, Record};
use crate::recovery::{Candidate, Verdict, Window, judge};
use crate::time::later;

/// Between two lists.
const LIST_SPACING: Duration = Duration::from_secs(2);

/// Looking for the key that a lost reply may have made.
#[derive(Clone, Debug)]
pub(crate) struct Reconcile {
    /// Keys that were not there before, still to be looked at.
    unseen: Vec<ListedKey>,
    seen: Vec<Candidate>,
    asking: Asking,
}

#[derive(Clone, Debug)]
enum Asking {
    List,
    Keystore(ListedKey),
    LastUsed(ListedKey),
    Again,
}

impl Reconcile {
    pub(crate) fn enter(cx: &Context<'_>) -> Turn {
        let asking = Asking::List;
        Self { unseen: Vec::new(), seen: Vec::new(), asking }.list(cx)
    }

    pub(crate) fn on_event(mut self, cx: &Context<'_>, event: Event) -> Turn {
        match (std::mem::replace(&mut self.asking, Asking::List), event) {
            (Asking::List, Event::Listed(list)) => {
                self.unseen = unknown_keys(cx, list);
                self.seen.clear();
                self.next(cx)
            }
            (Asking::Keystore(key), Event::Holds(true)) => {
                self.seen.push(Candidate { key, held: true, used: false });
                self.next(cx)
            }
            (Asking::Keystore(key), Event::Holds(false)) => {
                let signer = cx.open().outgoing.id.clone();
                let id = key.access_key_id.clone();
                self.asking = Asking::LastUsed(key);
                Turn::new(State::Reconcile(self), Command::LastUsed { signer, id })
            }
            (Asking::LastUsed(key), Event::LastUsed(used)) => {
                self.seen.push(Candidate { key, held: false, used: used.is_some() });
                self.next(cx)
            }
            (Asking::Again, Event::Woke) => self.list(cx),
            (Asking::List, event) => Turn::refused("iam:ListAccessKeys", event, "reconcile"),
            (Asking::LastUsed(_), event) => {
                Turn::refused("iam:GetAccessKeyLastUsed", event, "reconcile")
            }
            (_, Event::Fault(failure)) => Turn::end(super::Ending::Failed(failure)),
            (_, event) => Turn::bug("reconcile", &event),
        }
    }

    fn list(mut self, cx: &Context<'_>) -> Turn {
        self.asking = Asking::List;
        let signer = cx.open().outgoing.id.clone();
        Turn::new(State::Reconcile(self), Command::List { signer })
    }

    fn next(mut self, cx: &Context<'_>) -> Turn {
        if let Some(key) = self.unseen.pop() {
            let command = Command::Holds(key.access_key_id.clone());
            self.asking = Asking::Keystore(key);
            return Turn::new(State::Reconcile(self), command);
        }
        let open = cx.open();
        let Some((Act::Create { clock_offset_ms, .. }, sent)) = &open.intent else {
            return Turn::bug("reconcile without an intent", &Event::Woke);
        };
        let deadline = later(*sent, cx.policy().create_timeout);
        let given_up = open.reply_lost.map_or(deadline, |lost| lost.min(deadline));
        let verdict = judge(&self.seen, Window::new(*sent, given_up, *clock_offset_ms));
        // A key whose secret we hold is ours at once; everything else waits until no more keys can come.
        if !matches!(verdict, Verdict::Adopt(_))
            && cx.now.wall < later(deadline, cx.policy().lost_reply_wait)
        {
            self.asking = Asking::Again;
            let wait = cx.wait(LIST_SPACING, WaitingFor::LostReply);
            return Turn::new(State::Reconcile(self), wait);
        }
        match verdict {
            Verdict::Adopt(key) => cx.then_door(Record::Created {
                access_key_id: key.access_key_id,
                created: key.created,
                adopted: true,
            }),
            Verdict::Orphan(key) => cx.then_door(Record::OrphanFound {
                access_key_id: key.access_key_id,
                created: key.created,
            }),
            Verdict::Nothing => {
                let why = "no new key is listed".to_owned();
                cx.then_door(Record::NotCreated { why })
            }
            Verdict::Strangers(ids) => {
                let ids: Vec<_> = ids.iter().map(ToString::to_string).collect();
                cx.stuck(format!(
                    "the reply to CreateAccessKey was lost, and whose these keys are cannot be told: {}",
                    ids.join(", ")
                ))
            }
        }
    }
}

fn unknown_keys(cx: &Context<'_>, list: KeyList) -> Vec<ListedKey> {
    let known = match &cx.open().intent {
        Some((Act::Create { known, .. }, _)) => known.as_slice(),
        _ => &[],
    };
    list.keys.into_iter().filter(|key| !known.contains(&key.access_key_id)).collect()
}

/// An orphan on its way out: set Inactive, left for `orphan_wait`, deleted if nobody touched it.
#[derive(Clone, Debug)]
pub(crate) enum Fenced {
    /// The checks before it is set Inactive, or before it is deleted.
    Checking(Precheck),
    /// Was it used?
    LastUsed,
    /// The intent to deactivate is being written.
    Intending,
    /// `UpdateAccessKey` is out.
    Deactivating,
}

impl Fenced {
    pub(crate) fn enter(cx: &Context<'_>) -> Turn {
        let waits_until = cx
            .open()
            .orphan
            .as_ref()
            .and_then(|orphan| orphan.deactivated)
            .map(|at| later(at, cx.policy().orphan_wait));
        if let Some(until) = waits_until.filter(|until| cx.now.wall < *until) {
            return Turn::new(
                State::Door,
                Command::Wait { until, waiting_for: WaitingFor::Orphan },
            );
        }
        let (precheck, command) = Precheck::start(cx);
        Turn::new(State::Orphan(Self::Checking(precheck)), command)
    }

    pub(crate) fn on_event(self, cx: &Context<'_>, event: Event) -> Turn {
        let Some(orphan) = &cx.open().orphan else {
            return Turn::bug("an orphan's step without an orphan", &event);
        };
        let (signer, id) = (cx.open().outgoing.id.clone(), orphan.id.clone());
        match (self, event) {
            (Self::Checking(precheck), event) => match precheck.on_event(cx, event) {
                Checked::Next(precheck, command) => {
                    Turn::new(State::Orphan(Self::Checking(precheck)), command)
                }
                Checked::Fails(turn) => turn,
                Checked::Holds(list) => match list.find(&id) {
                    // A list may lag behind the creation: only one that is late enough counts.
                    None if orphan.deactivated.is_none()
                        && cx.now.wall < later(cx.open().since, cx.policy().lost_reply_wait) =>
                    {
                        Turn::new(State::Door, cx.wait(LIST_SPACING, WaitingFor::LostReply))
                    }
                    None => cx.then_door(Record::Vanished { access_key_id: id }),
                    Some(key)
                        if key.status == KeyStatus::Active && orphan.deactivated.is_some() =>
                    {
                        cx.stuck(format!(
                            "somebody made the orphan {id} active again: it is theirs"
                        ))
                    }
                    Some(_) => {
                        let command = Command::LastUsed { signer, id };
                        Turn::new(State::Orphan(Self::LastUsed), command)
                    }
                },
            },
            (Self::LastUsed, Event::LastUsed(Some(used))) => cx.stuck(format!(
                "the orphan {id} was used ({}, {}): somebody holds its secret",
                used.service, used.at
            )),
            (Self::LastUsed, Event::LastUsed(None)) => {
                if orphan.deactivated.is_some() {
                    return delete::Delete::orphan(cx, id);
                }
                let command = cx.intend(Act::Deactivate { access_key_id: id });
                Turn::new(State::Orphan(Self::Intending), command)
            }
            (Self::Intending, Event::Appended) => {
                let command = Command::Update { signer, id, status: KeyStatus::Inactive };
                Turn::new(State::Orphan(Self::Deactivating), command)
            }
            (Self::Deactivating, Event::Ready) => {
                let act = Act::Deactivate { access_key_id: id };
                cx.then_door(Record::Done { act })
            }
            (Self::LastUsed, event) => Turn::refused("iam:GetAccessKeyLastUsed", event, "orphan"),
            (_, event) => Turn::refused("iam:UpdateAccessKey", event, "orphan"),
        }
    }
}
