//! What the journal amounts to, and the one place where it is written which record is legal when: `rules` has the table
//! for a rotation under way, `open` what one is.
//!
//! `Status::apply` is used live, before a record is written, and on replay: a journal that this version
//! could not have written is not believed.

mod open;
mod rules;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use self::open::{Open, Orphan, Step};
use crate::credential::{AccessKeyId, Generation};
use crate::journal::{Entry, Reason, Record};

/// The fold of a journal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// Whose keys these are.
    pub enrolment: Option<Enrolment>,
    /// The key that is published.
    pub current: Option<Key>,
    /// Counts publishes, intended ones included.
    pub generation: Generation,
    /// The rotation under way.
    pub rotation: Option<Open>,
    /// Why the last rotation came to nothing, if it did.
    pub last_failure: Option<String>,
    /// The current key was taken out of service, and nothing is served.
    pub withdrawn: Option<Withdrawn>,
}

/// A key that a person took out of service, as it leaked and could not be replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Withdrawn {
    /// Since when it is not served.
    pub since: Timestamp,
    /// When it was seen refused.
    pub disabled: Option<Timestamp>,
}

/// Whose keys a profile's are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Enrolment {
    /// The account's digits.
    pub account_id: String,
    /// The user's ARN.
    pub arn: String,
    /// The user's name.
    pub user: String,
}

/// A key that is ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// Which.
    pub id: AccessKeyId,
    /// Its `CreateDate`, if known.
    pub created: Option<Timestamp>,
    /// How it came to us.
    pub origin: Origin,
    /// A person was shown its secret.
    pub exported: bool,
}

impl Key {
    /// Whether programs that we do not know of may hold it: only then is there anything to observe.
    pub fn has_unknown_holders(&self) -> bool {
        self.exported || self.origin == Origin::HandedOver
    }
}

/// How a key came to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// A person handed it over: programs we do not know of may hold it.
    HandedOver,
    /// We made it: only what we served holds it.
    Created,
}

/// A record that does not follow from the ones before.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} does not follow: {why}")]
pub struct Illegal {
    what: String,
    why: &'static str,
}

impl Status {
    /// Replays a journal.
    pub fn replay<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> Result<Self, Illegal> {
        let mut status = Self::default();
        for entry in entries {
            status.apply(entry)?;
        }
        Ok(status)
    }

    /// The key that goes if a person says that one leaked, and names none: the one on its way out, as long as it works;
    /// else the one that is served.
    pub fn at_risk(&self) -> Option<&Key> {
        let open = self.rotation.as_ref().filter(|open| open.step <= Step::Deactivate);
        let open = open.filter(|open| open.can_be_cut_off() || open.is_cut_off());
        open.map(|open| &open.outgoing).or(self.current.as_ref())
    }

    /// Takes one more record in, if it is legal; leaves everything as it was if not.
    pub fn apply(&mut self, entry: &Entry) -> Result<(), Illegal> {
        let mut next = self.clone();
        match next.step(entry) {
            Ok(()) => {
                *self = next;
                Ok(())
            }
            Err(why) => {
                let what = format!("{:?}", entry.record);
                Err(Illegal { what, why })
            }
        }
    }

    fn step(&mut self, entry: &Entry) -> Result<(), &'static str> {
        match &entry.record {
            Record::Enrolled { access_key_id, account_id, arn, user, created, origin } => {
                if self.current.is_some() {
                    return Err("a key is enrolled already");
                }
                self.enrolment = Some(Enrolment {
                    account_id: account_id.clone(),
                    arn: arn.clone(),
                    user: user.clone(),
                });
                self.current = Some(Key {
                    id: access_key_id.clone(),
                    created: *created,
                    origin: *origin,
                    exported: false,
                });
                self.generation = Generation(1);
                Ok(())
            }
            Record::Exported { access_key_id } => self.export(access_key_id),
            Record::Begun { reason } => self.begin(entry, *reason),
            Record::Withdrawn { access_key_id } => {
                if self.rotation.is_some() || self.withdrawn.is_some() {
                    return Err("a rotation is open, or it is withdrawn already");
                }
                if self.current.as_ref().is_none_or(|key| key.id != *access_key_id) {
                    return Err("it is not the current key");
                }
                self.withdrawn = Some(Withdrawn { since: entry.time, disabled: None });
                Ok(())
            }
            Record::Disabled { access_key_id } => {
                let is_current = self.current.as_ref().is_some_and(|key| key.id == *access_key_id);
                let withdrawn = self.withdrawn.as_mut().filter(|_| is_current);
                let withdrawn = withdrawn.ok_or("it was not withdrawn")?;
                withdrawn.disabled = Some(entry.time);
                Ok(())
            }
            record => {
                let open = self.rotation.as_mut().ok_or("no rotation is open")?;
                if entry.rotation.as_ref() != Some(&open.id) {
                    return Err("it belongs to another rotation");
                }
                if open.stuck.is_some()
                    && !matches!(
                        record,
                        Record::Resumed | Record::UndoBegun { .. } | Record::AbortBegun { .. }
                    )
                {
                    return Err("a person has to decide first");
                }
                self.go_on(entry)
            }
        }
    }

    /// Whatever else is under way: nothing about it changes but who may hold the key.
    fn export(&mut self, id: &AccessKeyId) -> Result<(), &'static str> {
        if self.current.as_ref().is_none_or(|key| key.id != *id) {
            return Err("it is not the served key");
        }
        let open = self.rotation.iter_mut();
        let ours = open.flat_map(|open| [Some(&mut open.outgoing), open.incoming.as_mut()]);
        for key in ours.flatten().chain(self.current.as_mut()).filter(|key| key.id == *id) {
            key.exported = true;
        }
        Ok(())
    }

    fn begin(&mut self, entry: &Entry, reason: Reason) -> Result<(), &'static str> {
        if self.rotation.is_some() {
            return Err("a rotation is open already");
        }
        if self.withdrawn.is_some() {
            return Err("the key is withdrawn: it cannot make another one");
        }
        let outgoing = self.current.clone().ok_or("no key is enrolled")?;
        let compromised = (reason == Reason::Compromised).then(|| outgoing.id.clone());
        self.rotation = Some(Open {
            id: entry.rotation.clone().ok_or("it names no rotation")?,
            reason,
            begun: entry.time,
            step: Step::Create,
            since: entry.time,
            incoming: None,
            outgoing,
            intent: None,
            reply_lost: None,
            orphan: None,
            verified: false,
            published: None,
            deactivated: None,
            compromised,
            reactivate: false,
            deleted: false,
            forgotten: false,
            undone: None,
            aborting: None,
            stuck: None,
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests;
