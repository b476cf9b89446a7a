//! What the journal amounts to, and the one place where it is written which record is legal when.
//!
//! `Status::apply` is used live, before a record is written, and on replay: a journal that this version
//! could not have written is not believed.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::credential::{AccessKeyId, Generation};
use crate::journal::{Act, Entry, Reason, Record, RotationId};

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

/// A record that does not follow from the ones before.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} does not follow: {why}")]
pub struct Illegal {
    what: String,
    why: &'static str,
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

    fn intends(&self, name: &str) -> bool {
        self.intent.as_ref().is_some_and(|(act, _)| act.name() == name)
    }

    fn is_incoming(&self, id: &AccessKeyId) -> bool {
        self.incoming.as_ref().is_some_and(|key| key.id == *id)
    }

    fn is_orphan(&self, id: &AccessKeyId) -> bool {
        self.orphan.as_ref().is_some_and(|orphan| orphan.id == *id)
    }

    fn enter(&mut self, step: Step, at: Timestamp) {
        self.step = step;
        self.since = at;
        self.intent = None;
    }

    /// The key that is on its way out comes in again, and the other one goes in its place.
    fn turn_round(&mut self, why: String, at: Timestamp) -> Result<(), &'static str> {
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
    fn may(&self, act: &Act, generation: Generation) -> Result<(), &'static str> {
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

    fn done(&mut self, act: &Act, at: Timestamp) {
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

    #[expect(clippy::too_many_lines, reason = "the whole table of what is legal, in one place")]
    fn go_on(&mut self, entry: &Entry) -> Result<(), &'static str> {
        let at = entry.time;
        let generation = self.generation;
        let open = self.rotation.as_mut().ok_or("no rotation is open")?;
        match &entry.record {
            Record::Intended { act } => {
                open.may(act, generation)?;
                if let Act::Publish { generation, .. } = act {
                    self.generation = *generation;
                }
                if matches!(act, Act::Delete { access_key_id } if open.outgoing.id == *access_key_id)
                {
                    open.enter(Step::Delete, at);
                }
                // From here on it may be Inactive.
                if matches!(act, Act::Deactivate { access_key_id } if open.outgoing.id == *access_key_id)
                    && open.step == Step::Drain
                {
                    open.enter(Step::Deactivate, at);
                }
                open.reply_lost = None;
                open.intent = Some((act.clone(), at));
            }
            Record::Done { act } => {
                if open.intent.as_ref().map(|(intended, _)| intended) != Some(act) {
                    return Err("it was not intended");
                }
                open.done(act, at);
                if matches!(act, Act::Publish { .. }) {
                    self.current.clone_from(&open.incoming);
                }
            }
            Record::Created { access_key_id, created, .. } => {
                let Some((Act::Create { known, .. }, _)) = &open.intent else {
                    return Err("no creation was intended");
                };
                if known.contains(access_key_id) {
                    return Err("the key was there before");
                }
                open.incoming = Some(Key {
                    id: access_key_id.clone(),
                    created: Some(*created),
                    origin: Origin::Created,
                    exported: false,
                });
                open.enter(Step::Verify, at);
            }
            Record::NotCreated { .. } => {
                if !open.intends("create") {
                    return Err("no creation was intended");
                }
                open.enter(Step::Create, at);
            }
            Record::CreateUnknown { .. } => {
                if !open.intends("create") {
                    return Err("no creation was intended");
                }
                open.reply_lost = Some(at);
            }
            Record::OrphanFound { access_key_id, created } => {
                let Some((Act::Create { known, .. }, _)) = &open.intent else {
                    return Err("no creation was intended");
                };
                if known.contains(access_key_id) {
                    return Err("the key was there before");
                }
                open.orphan = Some(Orphan {
                    id: access_key_id.clone(),
                    created: *created,
                    deactivated: None,
                });
                open.enter(Step::Create, at);
            }
            Record::Verified { access_key_id } => {
                if open.step != Step::Verify || !open.is_incoming(access_key_id) || open.reactivate
                {
                    return Err("it is not being verified");
                }
                open.verified = true;
                open.enter(Step::Publish, at);
            }
            Record::Drained { access_key_id } => {
                if open.step != Step::Drain || open.outgoing.id != *access_key_id {
                    return Err("it is not being drained");
                }
                open.enter(Step::Deactivate, at);
            }
            Record::Compromised { access_key_id } => {
                if open.outgoing.id != *access_key_id || !open.may_have_leaked() {
                    return Err("it is not on its way out, or is cut off already");
                }
                open.compromised = Some(access_key_id.clone());
            }
            Record::UndoBegun { why, forced } => {
                if !open.can_undo() || open.undone.is_some() {
                    return Err("there is nothing to undo, or no way back");
                }
                if open.is_cut_off() && !forced {
                    return Err("the previous key leaked");
                }
                open.stuck = None;
                open.turn_round(why.clone(), at)?;
            }
            Record::AbortBegun { why } => {
                if open.published.is_some() || open.undone.is_some() || open.intends("publish") {
                    return Err("the new key is published: undo instead");
                }
                open.aborting = Some(why.clone());
                open.stuck = None;
            }
            Record::Vanished { access_key_id } => {
                if open.is_orphan(access_key_id) {
                    open.orphan = None;
                    open.intent = None;
                } else if open.undone.is_some()
                    && !open.deleted
                    && !open.is_cut_off()
                    && open.is_incoming(access_key_id)
                {
                    // There is nothing to go back to: round once more, to the newer key.
                    open.turn_round(format!("the previous key {access_key_id} is gone"), at)?;
                } else if open.survivor().id == *access_key_id
                    || !open.ours().any(|id| id == access_key_id)
                {
                    return Err("the rotation was not about to delete it");
                } else {
                    open.deleted = true;
                    open.intent = None;
                    if open.published.is_some() {
                        open.enter(Step::Delete, at);
                    } else if open.undone.is_none() && open.aborting.is_none() {
                        open.aborting = Some("the new key was deleted by somebody else".to_owned());
                    }
                }
            }
            Record::Stuck { why } => open.stuck = Some(why.clone()),
            Record::Resumed => {
                if open.stuck.take().is_none() {
                    return Err("it was not stuck");
                }
            }
            Record::Abandoned { why } => {
                let clean = open.orphan.is_none()
                    && open.intent.is_none()
                    && open.published.is_none()
                    && open.undone.is_none()
                    && (open.incoming.is_none() || open.forgotten);
                if !clean {
                    return Err("it would leave a key behind");
                }
                self.last_failure = Some(why.clone());
                self.rotation = None;
            }
            Record::Finished => {
                if !(open.deleted && open.forgotten && open.published.is_some()) {
                    return Err("the old key is not gone");
                }
                self.last_failure.clone_from(&open.undone);
                self.rotation = None;
            }
            Record::Enrolled { .. }
            | Record::Exported { .. }
            | Record::Begun { .. }
            | Record::Withdrawn { .. }
            | Record::Disabled { .. } => return Err("a rotation is open"),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
