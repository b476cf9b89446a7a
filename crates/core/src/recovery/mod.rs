//! Look, decide, act: what is to be done, from the journal and what IAM says, and from nothing else.

mod creation;

pub use creation::{Candidate, Verdict, Window, judge};

use crate::credential::{AccessKeyId, KeyStatus};
use crate::iam::KeyList;
use crate::journal::{Act, Open, Record, Status, Step};

/// Where to enter an open rotation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plan {
    /// Nothing outside was changed yet: see whether it can be.
    Preflight,
    /// A creation was intended and its outcome is not known.
    Reconcile,
    /// A key whose secret nobody holds is to go.
    Orphan,
    /// Nothing is left to clean up.
    Abandon(String),
    /// The key that was never published is to go.
    Discard,
    /// The incoming key is to be verified, then published.
    Verify,
    /// The same, after it was made Active again.
    Activate,
    /// The incoming key is published; the outgoing one is to be drained, and then deactivated.
    Drain,
    /// The outgoing key is Inactive.
    Soak,
    /// The key is gone; its secret is to follow.
    Forget,
    /// Something happened outside that the journal should know first.
    Note(Record),
    /// A person has to decide.
    Stuck(String),
}

/// Decides where to enter the open rotation.
///
/// # Panics
/// If no rotation is open.
pub fn plan(status: &Status, observed: &KeyList) -> Plan {
    let open = status.rotation.as_ref().expect("a plan is made for an open rotation");
    if open.deleted {
        return match (open.forgotten, open.published.is_some()) {
            (false, _) => Plan::Forget,
            (true, true) => Plan::Note(Record::Finished),
            (true, false) => Plan::Abandon(open.aborting.clone().unwrap_or_default()),
        };
    }
    if let Some(gone) = nothing_to_go_back_to(open, observed) {
        return Plan::Note(Record::Vanished { access_key_id: gone.clone() });
    }
    // An undo is how one gets away from a served key that no longer works.
    let turning_round = open.undone.is_some() && open.published.is_none();
    if let Some(why) = survivor_trouble(open, observed).filter(|_| !turning_round) {
        return Plan::Stuck(why);
    }
    match open.step {
        Step::Create => match (&open.intent, &open.orphan) {
            // One that was never touched may only be too young for the list.
            (_, Some(orphan))
                if observed.find(&orphan.id).is_none()
                    && open.intent.is_none()
                    && orphan.deactivated.is_some() =>
            {
                Plan::Note(Record::Vanished { access_key_id: orphan.id.clone() })
            }
            (_, Some(_)) => Plan::Orphan,
            (Some((Act::Create { .. }, _)), None) => Plan::Reconcile,
            _ => match &open.aborting {
                Some(why) => Plan::Abandon(why.clone()),
                None => Plan::Preflight,
            },
        },
        Step::Verify | Step::Publish if open.aborting.is_some() => Plan::Discard,
        Step::Verify | Step::Publish => incoming(open, observed),
        Step::Drain | Step::Deactivate => outgoing(open, observed).unwrap_or(Plan::Drain),
        Step::Soak | Step::Delete => outgoing(open, observed).unwrap_or(Plan::Soak),
    }
}

/// Whether a fresh list contradicts the journal, and how.
///
/// A key that is neither ours nor was there when the rotation began was made by somebody else meanwhile.
pub fn disagreement(status: &Status, observed: &KeyList) -> Option<String> {
    let open = status.rotation.as_ref()?;
    survivor_trouble(open, observed).or_else(|| {
        let stranger =
            observed.keys.iter().find(|key| !open.ours().any(|id| *id == key.access_key_id))?;
        Some(format!(
            "the user has a key that rotakey did not make, {} (created {})",
            stranger.access_key_id, stranger.created
        ))
    })
}

fn survivor_trouble(open: &Open, observed: &KeyList) -> Option<String> {
    let survivor = &open.survivor().id;
    match observed.find(survivor).map(|key| key.status) {
        Some(KeyStatus::Active) => None,
        Some(KeyStatus::Inactive) => {
            Some(format!("the served key {survivor} was deactivated by somebody else"))
        }
        None => Some(format!("the served key {survivor} is not in the user's list")),
    }
}

/// The previous key, if it was deleted while, or after, an undo brought it back, and the newer one is still
/// there: what programs are given does not work, or is about not to.
fn nothing_to_go_back_to<'a>(open: &'a Open, observed: &KeyList) -> Option<&'a AccessKeyId> {
    let previous = &open.incoming.as_ref().filter(|_| open.undone.is_some())?.id;
    // One that leaked is not served again because the other one is gone.
    if open.is_cut_off() {
        return None;
    }
    let is_gone = observed.find(previous).is_none();
    let newer = observed.find(&open.outgoing.id)?;
    let is_deleting = matches!(&open.intent, Some((Act::Delete { .. }, _)));
    let is_good = newer.status == KeyStatus::Active || open.step >= Step::Deactivate;
    (is_gone && is_good && !is_deleting).then_some(previous)
}

fn incoming(open: &Open, observed: &KeyList) -> Plan {
    let Some(incoming) = &open.incoming else {
        return Plan::Stuck("the journal names no new key".to_owned());
    };
    match observed.find(&incoming.id).map(|key| key.status) {
        Some(_) if open.reactivate => Plan::Activate,
        Some(KeyStatus::Active) => Plan::Verify,
        Some(KeyStatus::Inactive) => {
            Plan::Stuck(format!("the key {} was deactivated by somebody else", incoming.id))
        }
        // A list may lag behind a creation: the probes will tell. An old key cannot be new.
        None if open.undone.is_none() => Plan::Verify,
        None => Plan::Stuck(format!("the previous key {} is gone", incoming.id)),
    }
}

/// What the state of the outgoing key asks for, if not the step's own course.
fn outgoing(open: &Open, observed: &KeyList) -> Option<Plan> {
    let id = &open.outgoing.id;
    match observed.find(id).map(|key| key.status) {
        Some(KeyStatus::Inactive) => None,
        Some(KeyStatus::Active) if open.step < Step::Soak => None,
        Some(KeyStatus::Active) => Some(Plan::Stuck(format!(
            "the deactivated key {id} was made active again by somebody else"
        ))),
        // With an intent to delete it, we did it ourselves, or as good as: deleting goes on to see that it is gone.
        None if matches!(&open.intent, Some((Act::Delete { .. }, _))) => None,
        None => Some(Plan::Note(Record::Vanished { access_key_id: id.clone() })),
    }
}
