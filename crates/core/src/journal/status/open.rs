//! A rotation under way: where it is, and which act may be intended there.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Key;
use crate::credential::{AccessKeyId, Generation};
use crate::journal::{Act, Reason, RotationId};

/// The steps of a rotation, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// Make the new key and store its secret.
    Create,
    /// Wait until every vantage accepts it, again and again.
    Verify,
    /// Serve it, and fetch it back through every source.
    Publish,
    /// Wait until nobody can still sign with the old key.
    Drain,
    /// Set the old key Inactive, and see it refused.
    Deactivate,
    /// Wait for somebody to miss it.
    Soak,
    /// Delete it.
    Delete,
}

impl Step {
    /// As written in `history` and `status`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Verify => "verify",
            Self::Publish => "publish",
            Self::Drain => "drain",
            Self::Deactivate => "deactivate",
            Self::Soak => "soak",
            Self::Delete => "delete",
        }
    }
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

/// A rotation under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Open {
    /// Its name.
    pub id: RotationId,
    /// Why it was begun.
    pub reason: Reason,
    /// When.
    pub begun: Timestamp,
    /// Where it is.
    pub step: Step,
    /// Since when.
    pub since: Timestamp,
    /// The key that is to be served, or is served since this rotation's publish.
    pub incoming: Option<Key>,
    /// The key that is to go.
    pub outgoing: Key,
    /// The act whose intent is written and whose outcome is not, and when it was written.
    pub intent: Option<(Act, Timestamp)>,
    /// When the reply to an intended creation was lost, if that was noticed.
    pub reply_lost: Option<Timestamp>,
    /// A key whose secret nobody holds.
    pub orphan: Option<Orphan>,
    /// The incoming key was verified once: after a restart, it is verified again but need not settle again.
    pub verified: bool,
    /// When the incoming key was published.
    pub published: Option<Timestamp>,
    /// When the outgoing key was seen deactivated.
    pub deactivated: Option<Timestamp>,
    /// The key that leaked, if a person said so of the one that was outgoing then.
    pub compromised: Option<AccessKeyId>,
    /// The incoming key has to be activated first: it is the previous key, and may be Inactive.
    pub reactivate: bool,
    /// The key this rotation was to delete is gone.
    pub deleted: bool,
    /// Its secret, too.
    pub forgotten: bool,
    /// An undo turned it round, and why.
    pub undone: Option<String>,
    /// It is being given up, and why.
    pub aborting: Option<String>,
    /// A person has to decide, and what.
    pub stuck: Option<String>,
}

/// A key that a lost reply left behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Orphan {
    /// Which.
    pub id: AccessKeyId,
    /// Its `CreateDate`.
    pub created: Timestamp,
    /// When it was set Inactive.
    pub deactivated: Option<Timestamp>,
}

impl Open {
    /// The key that must never be touched: it is the one that programs are given.
    ///
    /// Before publish that is the outgoing key, after it the incoming one.
    pub fn survivor(&self) -> &Key {
        match (&self.incoming, self.published) {
            (Some(incoming), Some(_)) => incoming,
            _ => &self.outgoing,
        }
    }

    /// The ids that are ours.
    pub fn ours(&self) -> impl Iterator<Item = &AccessKeyId> {
        [
            Some(&self.outgoing.id),
            self.incoming.as_ref().map(|key| &key.id),
            self.orphan.as_ref().map(|orphan| &orphan.id),
        ]
        .into_iter()
        .flatten()
    }

    /// Whether the outgoing key is to go at once: nobody's lease counts, and only force brings it back.
    pub fn is_cut_off(&self) -> bool {
        self.compromised.as_ref() == Some(&self.outgoing.id)
    }

    /// Whether a person may still say that the outgoing key leaked: once it is Inactive, it is the other one.
    pub fn can_be_cut_off(&self) -> bool {
        self.step <= Step::Deactivate
            && self.aborting.is_none()
            && !self.deleted
            && !self.is_cut_off()
    }

    /// Whether a person may say that the outgoing key leaked, Inactive as it may be: only force brings it back then.
    pub fn may_have_leaked(&self) -> bool {
        self.aborting.is_none() && !self.deleted && !self.is_cut_off()
    }

    /// Whether `undo` applies: something is published, and nothing is irrevocable yet.
    pub fn can_undo(&self) -> bool {
        (self.step >= Step::Drain || self.intends("publish"))
            && !self.deleted
            && !self.intends("delete")
    }

    /// Whether the previous key may be made Active again without a person: it soaks, nothing was turned round yet, and
    /// nobody said that a key leaked.
    pub fn may_reactivate(&self) -> bool {
        self.step == Step::Soak
            && self.deactivated.is_some()
            && self.undone.is_none()
            && self.stuck.is_none()
            && self.compromised.is_none()
            && self.can_undo()
    }

    pub(super) fn intends(&self, name: &str) -> bool {
        self.intent.as_ref().is_some_and(|(act, _)| act.name() == name)
    }

    pub(super) fn is_incoming(&self, id: &AccessKeyId) -> bool {
        self.incoming.as_ref().is_some_and(|key| key.id == *id)
    }

    pub(super) fn is_orphan(&self, id: &AccessKeyId) -> bool {
        self.orphan.as_ref().is_some_and(|orphan| orphan.id == *id)
    }

    pub(super) fn enter(&mut self, step: Step, at: Timestamp) {
        self.step = step;
        self.since = at;
        self.intent = None;
    }

    /// The key that is on its way out comes in again, and the other one goes in its place.
    pub(super) fn turn_round(&mut self, why: String, at: Timestamp) -> Result<(), &'static str> {
        let incoming = self.incoming.clone().ok_or("no key came in")?;
        self.incoming = Some(std::mem::replace(&mut self.outgoing, incoming));
        // From `Deactivate` on it may be Inactive, whatever the journal knows.
        self.reactivate = self.step >= Step::Deactivate;
        self.verified = false;
        self.published = None;
        self.deactivated = None;
        self.undone = Some(why);
        self.enter(Step::Verify, at);
        Ok(())
    }

    /// Whether this act may be intended now.
    pub(super) fn may(&self, act: &Act, generation: Generation) -> Result<(), &'static str> {
        if let Some((intended, _)) = &self.intent
            && intended != act
        {
            return Err("another act is intended and its outcome is not known");
        }
        let allowed = match act {
            Act::Create { .. } => {
                self.step == Step::Create
                    && self.orphan.is_none()
                    && self.intent.is_none()
                    && self.aborting.is_none()
            }
            Act::Publish { access_key_id, generation: next } => {
                self.step == Step::Publish
                    && self.is_incoming(access_key_id)
                    && (*next == generation.next() || self.intent.is_some())
            }
            Act::Activate { access_key_id } => self.reactivate && self.is_incoming(access_key_id),
            Act::Deactivate { access_key_id } => {
                let step_allows = match self.step {
                    Step::Deactivate => true,
                    Step::Drain => self.is_cut_off(),
                    _ => false,
                };
                self.is_orphan(access_key_id) || (step_allows && self.outgoing.id == *access_key_id)
            }
            Act::Delete { access_key_id } => {
                self.orphan
                    .as_ref()
                    .is_some_and(|o| o.id == *access_key_id && o.deactivated.is_some())
                    || (self.aborting.is_some()
                        && self.published.is_none()
                        && self.is_incoming(access_key_id))
                    || (matches!(self.step, Step::Soak | Step::Delete)
                        && self.deactivated.is_some()
                        && self.outgoing.id == *access_key_id)
            }
            Act::Forget { access_key_id } => {
                self.deleted
                    && self.survivor().id != *access_key_id
                    && self.ours().any(|id| id == access_key_id)
            }
        };
        if allowed { Ok(()) } else { Err("the step does not allow it") }
    }

    pub(super) fn done(&mut self, act: &Act, at: Timestamp) {
        self.intent = None;
        match act {
            Act::Create { .. } => {}
            Act::Publish { .. } => {
                self.published = Some(at);
                self.enter(Step::Drain, at);
            }
            Act::Activate { .. } => self.reactivate = false,
            Act::Deactivate { access_key_id } => match &mut self.orphan {
                Some(orphan) if orphan.id == *access_key_id => orphan.deactivated = Some(at),
                _ => {
                    self.deactivated = Some(at);
                    self.enter(Step::Soak, at);
                }
            },
            Act::Delete { access_key_id } => {
                if self.is_orphan(access_key_id) {
                    self.orphan = None;
                } else {
                    self.deleted = true;
                }
            }
            Act::Forget { .. } => self.forgotten = true,
        }
    }
}
