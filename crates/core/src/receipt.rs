//! What a rotation came to, for an auditor: made from the journal alone, so that anybody can make it again.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::credential::AccessKeyId;
use crate::journal::{Act, Entry, Key, Open, Reason, Record, RotationId, Status};

/// One rotation that has ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// Which rotation.
    pub rotation: RotationId,
    /// Why it was begun.
    pub reason: Reason,
    /// When.
    pub begun: Timestamp,
    /// When it was over.
    pub ended: Timestamp,
    /// What came of it.
    pub outcome: Outcome,
    /// Why it was taken back or given up.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub why: Option<String>,
    /// The account's digits.
    pub account_id: String,
    /// The user's name.
    pub user: String,
    /// The user's ARN.
    pub arn: String,
    /// The key that was served before.
    pub before: Described,
    /// The key that is served since.
    pub after: Described,
    /// What was changed at AWS and on this machine, in order.
    pub acts: Vec<Acted>,
    /// The key was accepted as often as the policy asks, at every vantage.
    pub accepted: Option<Timestamp>,
    /// No program could hold the old key by right any more.
    pub drained: Option<Timestamp>,
    /// AWS refused a call signed with the old key.
    pub refused: Option<Timestamp>,
    /// How long two keys of the user were Active at once, in seconds, rounded up.
    pub two_active_seconds: i64,
    /// The first and the last line of the journal that are about it, counted from 1, the header included.
    pub lines: (usize, usize),
}

/// What came of a rotation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// The new key is served, the old one deleted.
    Rotated,
    /// The old key is served again, the new one deleted.
    Undone,
    /// It was given up before anything was published.
    GivenUp,
}

/// A key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Described {
    /// Which.
    pub access_key_id: AccessKeyId,
    /// Its `CreateDate`, if known.
    pub created: Option<Timestamp>,
    /// When it was no longer Active, if that happened.
    pub deactivated: Option<Timestamp>,
    /// When it was gone.
    pub deleted: Option<Timestamp>,
}

impl Described {
    fn of(key: &Key) -> Self {
        let Key { id, created, .. } = key.clone();
        Self { access_key_id: id, created, deactivated: None, deleted: None }
    }

    /// Its age at an instant, in whole days.
    pub fn days_old(&self, at: Timestamp) -> Option<i64> {
        Some(at.duration_since(self.created?).as_secs().max(0) / 86_400)
    }
}

/// An act that is confirmed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acted {
    /// When that was known.
    pub time: Timestamp,
    /// As `history` names it.
    pub act: String,
    /// On which key.
    pub access_key_id: AccessKeyId,
}

/// The receipts of all rotations that have ended and that changed something, oldest first.
pub fn receipts(entries: &[Entry]) -> Vec<Receipt> {
    let (mut made, mut status, mut draft) = (Vec::new(), Status::default(), None::<Draft>);
    for (at, entry) in entries.iter().enumerate() {
        let before = status.rotation.clone();
        if status.apply(entry).is_err() {
            return made;
        }
        // The header is line 1.
        let line = at + 2;
        if let (None, Some(open)) = (&before, &status.rotation) {
            draft = Some(Draft::begin(open, line));
        }
        let Some(current) = &mut draft else { continue };
        current.note(entry);
        if let (Some(open), None) = (&before, &status.rotation) {
            made.extend(draft.take().and_then(|draft| draft.end(open, &status, entry, line)));
        }
    }
    made
}

struct Draft {
    first: usize,
    keys: Vec<Described>,
    acts: Vec<Acted>,
    accepted: Option<Timestamp>,
    drained: Option<Timestamp>,
    refused: Option<Timestamp>,
    active: Vec<AccessKeyId>,
    /// Since when there are two Active ones.
    two_since: Option<Timestamp>,
    two_milliseconds: i64,
}

impl Draft {
    fn begin(open: &Open, first: usize) -> Self {
        Self {
            first,
            keys: vec![Described::of(&open.outgoing)],
            acts: Vec::new(),
            accepted: None,
            drained: None,
            refused: None,
            active: vec![open.outgoing.id.clone()],
            two_since: None,
            two_milliseconds: 0,
        }
    }

    fn note(&mut self, entry: &Entry) {
        let at = entry.time;
        match &entry.record {
            Record::Created { access_key_id, created, .. }
            | Record::OrphanFound { access_key_id, created } => {
                self.keys.push(Described {
                    access_key_id: access_key_id.clone(),
                    created: Some(*created),
                    deactivated: None,
                    deleted: None,
                });
                self.acted(at, "create", access_key_id);
                self.activate(access_key_id, at.min(*created));
            }
            Record::Verified { .. } => self.accepted = Some(at),
            Record::Drained { .. } => self.drained = Some(at),
            // It may have been carried out as soon as it was intended.
            Record::Intended { act: Act::Activate { access_key_id } } => {
                self.activate(access_key_id, at);
            }
            Record::Done { act } => {
                if let Some(id) = act.access_key_id() {
                    self.acted(at, act.name(), id);
                }
                match act {
                    Act::Deactivate { access_key_id } => {
                        self.refused = Some(at);
                        self.deactivate(access_key_id, at);
                    }
                    Act::Delete { access_key_id } => self.delete(access_key_id, at),
                    _ => {}
                }
            }
            Record::Compromised { access_key_id } => {
                self.acted(at, "compromised", access_key_id);
            }
            Record::Vanished { access_key_id } => {
                self.acted(at, "vanished", access_key_id);
                self.delete(access_key_id, at);
            }
            // What was proved of one key says nothing of the other.
            Record::UndoBegun { .. } => {
                (self.accepted, self.drained, self.refused) = (None, None, None)
            }
            _ => {}
        }
    }

    fn acted(&mut self, time: Timestamp, act: &str, id: &AccessKeyId) {
        self.acts.push(Acted { time, act: act.to_owned(), access_key_id: id.clone() });
    }

    fn key(&mut self, id: &AccessKeyId) -> Option<&mut Described> {
        self.keys.iter_mut().find(|key| key.access_key_id == *id)
    }

    fn activate(&mut self, id: &AccessKeyId, at: Timestamp) {
        if !self.active.contains(id) {
            self.active.push(id.clone());
        }
        self.count(at);
        if let Some(key) = self.key(id) {
            key.deactivated = None;
        }
    }

    fn deactivate(&mut self, id: &AccessKeyId, at: Timestamp) {
        self.active.retain(|active| active != id);
        self.count(at);
        if let Some(key) = self.key(id) {
            key.deactivated.get_or_insert(at);
        }
    }

    /// The time of two Active keys begins or ends here.
    fn count(&mut self, at: Timestamp) {
        if self.active.len() > 1 {
            self.two_since.get_or_insert(at);
        } else if let Some(since) = self.two_since.take() {
            self.two_milliseconds += at.duration_since(since).as_millis().max(0) as i64;
        }
    }

    fn delete(&mut self, id: &AccessKeyId, at: Timestamp) {
        self.deactivate(id, at);
        if let Some(key) = self.key(id) {
            key.deleted = Some(at);
        }
    }

    fn end(mut self, open: &Open, status: &Status, entry: &Entry, line: usize) -> Option<Receipt> {
        if self.acts.is_empty() {
            return None;
        }
        let enrolment = status.enrolment.as_ref()?;
        let (outcome, why) = match &entry.record {
            Record::Abandoned { why } => (Outcome::GivenUp, Some(why.clone())),
            _ => match &open.undone {
                Some(why) => (Outcome::Undone, Some(why.clone())),
                None => (Outcome::Rotated, None),
            },
        };
        let before = self.keys.first()?.clone();
        let after = self.key(&status.current.as_ref()?.id)?.clone();
        Some(Receipt {
            rotation: open.id.clone(),
            reason: open.reason,
            begun: open.begun,
            ended: entry.time,
            outcome,
            why,
            account_id: enrolment.account_id.clone(),
            user: enrolment.user.clone(),
            arn: enrolment.arn.clone(),
            before,
            after,
            acts: self.acts,
            accepted: self.accepted,
            drained: self.drained,
            refused: self.refused,
            two_active_seconds: (self.two_milliseconds + 999) / 1000,
            lines: (self.first, line),
        })
    }
}

#[cfg(test)]
mod tests;
