//! What a key waits for, and how it is seen that it is over.

use jiff::Timestamp;
use rotakey_core::credential::AccessKeyId;
use rotakey_core::journal::{RotationId, Status, Step};

use super::Why;

/// Not before then.
#[derive(Clone, Debug)]
pub(super) struct Hold {
    pub(super) since: Timestamp,
    pub(super) until: Timestamp,
    pub(super) why: Why,
    pub(super) detail: Option<String>,
    /// What the journal said then, once it was looked at: a command that wrote to it may have died before it woke us.
    pub(super) place: Option<Place>,
}

/// Where a rotation is, as far as a hold goes by it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    rotation: Option<(RotationId, Step)>,
    compromised: Option<AccessKeyId>,
    undone: Option<String>,
    is_stuck: bool,
    is_given_up: bool,
    is_withdrawn: bool,
}

impl Place {
    pub(super) fn of(status: &Status) -> Self {
        let open = status.rotation.as_ref();
        Self {
            rotation: open.map(|open| (open.id.clone(), open.step)),
            compromised: open.and_then(|open| open.compromised.clone()),
            undone: open.and_then(|open| open.undone.clone()),
            is_stuck: open.is_some_and(|open| open.stuck.is_some()),
            is_given_up: open.is_some_and(|open| open.aborting.is_some()),
            is_withdrawn: status.withdrawn.is_some(),
        }
    }
}
