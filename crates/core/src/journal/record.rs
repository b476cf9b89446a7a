//! The lines of the journal.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::credential::{AccessKeyId, Generation};
use crate::journal::Origin;

/// Names one rotation: 16 hexadecimal digits. It goes into the user agent of `CreateAccessKey`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RotationId(pub String);

impl std::fmt::Display for RotationId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(&self.0)
    }
}

/// One line: when, for which rotation, and what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The wall clock when it was written.
    pub time: Timestamp,
    /// The rotation it belongs to, if one is open.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub rotation: Option<RotationId>,
    /// What.
    #[serde(flatten)]
    pub record: Record,
}

/// What can be said in the journal. `status` decides when each is legal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Record {
    /// A person handed a key over: it is ours to rotate from now on.
    Enrolled {
        /// The key.
        access_key_id: AccessKeyId,
        /// Its account.
        account_id: String,
        /// Its user's ARN.
        arn: String,
        /// Its user's name.
        user: String,
        /// Its `CreateDate`, if listing was allowed.
        created: Option<Timestamp>,
        /// How it came to us.
        origin: Origin,
    },
    /// The secret was shown to a person: whoever he gives it to, we do not know of.
    Exported {
        /// The key, which is the served one.
        access_key_id: AccessKeyId,
    },
    /// A rotation begins.
    Begun {
        /// Why.
        reason: Reason,
    },
    /// Something outside is about to be changed.
    Intended {
        /// What.
        act: Act,
    },
    /// An intended act is confirmed.
    Done {
        /// Which.
        act: Act,
    },
    /// The intended creation made this key, whose secret is in the keystore.
    Created {
        /// The key.
        access_key_id: AccessKeyId,
        /// Its `CreateDate`.
        created: Timestamp,
        /// True if the reply was lost, and the key was found by its secret.
        adopted: bool,
    },
    /// The intended creation provably made no key.
    NotCreated {
        /// How that is known.
        why: String,
    },
    /// The reply to the intended creation was lost.
    CreateUnknown {
        /// What was seen.
        why: String,
    },
    /// The lost creation made this key, whose secret nobody holds.
    OrphanFound {
        /// The key.
        access_key_id: AccessKeyId,
        /// Its `CreateDate`.
        created: Timestamp,
    },
    /// The incoming key was accepted as often as the policy asks.
    Verified {
        /// The key.
        access_key_id: AccessKeyId,
    },
    /// Nobody can sign with the outgoing key any more.
    Drained {
        /// The key.
        access_key_id: AccessKeyId,
    },
    /// A person said that the outgoing key leaked: it goes at once after publish, and never comes back by itself.
    ///
    /// A rotation that was begun for that says so in [`Begun`](Record::Begun); this is for one that was open already.
    Compromised {
        /// The key.
        access_key_id: AccessKeyId,
    },
    /// The previous key is to be served again.
    UndoBegun {
        /// Why.
        why: String,
        /// A person insists, though the key leaked.
        #[serde(skip_serializing_if = "std::ops::Not::not", default)]
        forced: bool,
    },
    /// The rotation is given up before anything was published.
    AbortBegun {
        /// Why.
        why: String,
    },
    /// A key that this rotation was about to delete is gone by another's hand.
    Vanished {
        /// The key.
        access_key_id: AccessKeyId,
    },
    /// A person has to decide.
    Stuck {
        /// What.
        why: String,
    },
    /// A person decided to go on.
    Resumed,
    /// The rotation ended without a change.
    Abandoned {
        /// Why.
        why: String,
    },
    /// The rotation is complete: one key, the published one.
    Finished,
    /// A person takes the served key out of service, with nothing in its place: it leaked, and there is no room for
    /// another. It is written before the key is set Inactive.
    Withdrawn {
        /// The key.
        access_key_id: AccessKeyId,
    },
    /// The withdrawn key was set Inactive, and seen refused.
    Disabled {
        /// The key.
        access_key_id: AccessKeyId,
    },
}

/// What can be changed outside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "act", rename_all = "kebab-case")]
pub enum Act {
    /// `CreateAccessKey`.
    Create {
        /// The user's keys just before.
        known: Vec<AccessKeyId>,
        /// The server's clock less ours, milliseconds.
        clock_offset_ms: i64,
    },
    /// Every source serves this key from now on.
    Publish {
        /// The key.
        access_key_id: AccessKeyId,
        /// The generation it becomes.
        generation: Generation,
    },
    /// `UpdateAccessKey` to `Active`.
    Activate {
        /// The key.
        access_key_id: AccessKeyId,
    },
    /// `UpdateAccessKey` to `Inactive`.
    Deactivate {
        /// The key.
        access_key_id: AccessKeyId,
    },
    /// `DeleteAccessKey`.
    Delete {
        /// The key.
        access_key_id: AccessKeyId,
    },
    /// The secret leaves the keystore.
    Forget {
        /// Its key.
        access_key_id: AccessKeyId,
    },
}

impl Act {
    /// The key it touches, if it names one.
    pub fn access_key_id(&self) -> Option<&AccessKeyId> {
        match self {
            Self::Create { .. } => None,
            Self::Publish { access_key_id, .. }
            | Self::Activate { access_key_id }
            | Self::Deactivate { access_key_id }
            | Self::Delete { access_key_id }
            | Self::Forget { access_key_id } => Some(access_key_id),
        }
    }

    /// Its name in `history`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Create { .. } => "create",
            Self::Publish { .. } => "publish",
            Self::Activate { .. } => "activate",
            Self::Deactivate { .. } => "deactivate",
            Self::Delete { .. } => "delete",
            Self::Forget { .. } => "forget",
        }
    }
}

impl Record {
    /// The key it is about, if one.
    pub fn access_key_id(&self) -> Option<&AccessKeyId> {
        match self {
            Self::Intended { act } | Self::Done { act } => act.access_key_id(),
            Self::Enrolled { access_key_id, .. }
            | Self::Exported { access_key_id }
            | Self::Created { access_key_id, .. }
            | Self::OrphanFound { access_key_id, .. }
            | Self::Verified { access_key_id }
            | Self::Drained { access_key_id }
            | Self::Compromised { access_key_id }
            | Self::Vanished { access_key_id }
            | Self::Withdrawn { access_key_id }
            | Self::Disabled { access_key_id } => Some(access_key_id),
            _ => None,
        }
    }
}

/// Why a rotation was begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// A person asked for it.
    Forced,
    /// The key came of age.
    Scheduled,
    /// A person said that the key leaked.
    Compromised,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id() -> AccessKeyId {
        "AKIANAMED".parse().expect("an id")
    }

    fn acts() -> [Act; 6] {
        [
            Act::Create { known: vec![id()], clock_offset_ms: 0 },
            Act::Publish { access_key_id: id(), generation: Generation(2) },
            Act::Activate { access_key_id: id() },
            Act::Deactivate { access_key_id: id() },
            Act::Delete { access_key_id: id() },
            Act::Forget { access_key_id: id() },
        ]
    }

    #[test]
    fn an_act_has_the_name_that_stands_in_the_journal() {
        for act in acts() {
            let json = serde_json::to_value(&act).expect("plain data");
            assert_eq!(json["act"], act.name());
        }
        assert_eq!(format!("{:>6}", RotationId("abcd".to_owned())), "  abcd");
    }

    #[test]
    fn every_line_about_a_key_names_it() {
        for act in acts() {
            let named = (!matches!(act, Act::Create { .. })).then(id);
            assert_eq!(act.access_key_id(), named.as_ref());
            for record in [Record::Intended { act: act.clone() }, Record::Done { act }] {
                assert_eq!(record.access_key_id(), named.as_ref());
            }
        }
        let created = Timestamp::UNIX_EPOCH;
        for record in [
            Record::Created { access_key_id: id(), created, adopted: false },
            Record::OrphanFound { access_key_id: id(), created },
            Record::Verified { access_key_id: id() },
            Record::Drained { access_key_id: id() },
            Record::Exported { access_key_id: id() },
            Record::Vanished { access_key_id: id() },
            Record::Compromised { access_key_id: id() },
            Record::Withdrawn { access_key_id: id() },
            Record::Disabled { access_key_id: id() },
        ] {
            assert_eq!(record.access_key_id(), Some(&id()));
        }
        assert_eq!(Record::Resumed.access_key_id(), None);
    }
}
