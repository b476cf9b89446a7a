//! `world.json`: what was around the files of a saved state, what the person says, and what must come of it.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use rotakey_core::credential::{AccessKeyId, KeyStatus};
use rotakey_core::journal::Reason;
use rotakey_core::rotation::Goal;
use rotakey_core::time::Monotonic;
use serde::{Deserialize, Serialize};

/// What was around the files.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scene {
    /// Where the state comes from.
    pub what: String,
    pub now: Timestamp,
    pub monotonic: Monotonic,
    /// The server's clock less ours, milliseconds.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub server_offset: i64,
    /// What IAM has.
    pub keys: Vec<Key>,
    /// What somebody outside deleted.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub deleted_by_others: BTreeSet<AccessKeyId>,
    /// What the keystore holds: the secrets of these. The test makes them up.
    pub held: BTreeSet<AccessKeyId>,
    /// Until when programs were told they may use a key, and may by the clock that stops in a suspend.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub leases: BTreeMap<AccessKeyId, (Timestamp, Monotonic)>,
    /// What the person says.
    pub asked: Asked,
    /// So long is the machine suspended, directly after the publish.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub sleeps_seconds: i64,
    pub expected: Expected,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Key {
    pub id: AccessKeyId,
    pub status: KeyStatus,
    pub created: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inactive_since: Option<Timestamp>,
    /// Neither handed over nor made by us.
    #[serde(default, skip_serializing_if = "is_false")]
    pub is_theirs: bool,
    /// Somebody outside set its status.
    #[serde(default, skip_serializing_if = "is_false")]
    pub is_meddled: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Asked {
    Resume,
    Rotate,
    Undo,
    Abort,
}

/// What must come of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expected {
    pub ends: Ends,
    /// A part of the reason, where it is stuck or an error.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
    /// The key that is served in the end: an id, `new`, or nothing if it cannot be told.
    pub served: Option<String>,
    /// Secrets of keys that are gone, which stay in the keystore: no engine of today gets there.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub left_behind: BTreeSet<AccessKeyId>,
    /// The old key is not deactivated before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active_until: Option<Timestamp>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ends {
    Finished,
    Abandoned,
    Stuck,
    /// Nothing is begun.
    Blocked,
    /// The error names the file, and nothing outside is changed.
    Damaged,
}

fn is_zero(n: &i64) -> bool {
    *n == 0
}

fn is_false(so: &bool) -> bool {
    !so
}

impl Asked {
    pub fn goal(self) -> Goal {
        match self {
            Self::Resume => Goal::Resume,
            Self::Rotate => Goal::Rotate(Reason::Forced),
            Self::Undo => Goal::Undo,
            Self::Abort => Goal::Abort,
        }
    }
}
