//! How long an answer is good for.

use std::time::Duration;

use jiff::Timestamp;
use rotakey_core::time::later;

use crate::publish::Snapshot;

/// The least life of an answer, while there is anything to be had: botocore replaces an `Expiration` of IMDS that is
/// less than 25 minutes ahead, and asks again at each signature below 15.
pub const LIFE_MIN: Duration = Duration::from_secs(30 * 60);

/// The `Expiration` of an answer, and whether it may go out as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grant {
    /// The horizon on disk reaches that far.
    Covered(Timestamp),
    /// It does not, and could not be written. Such an answer may go out only if its generation is still the one that the
    /// ledger has: the horizon is then raised when the key is superseded (ADR 3).
    Uncovered(Timestamp),
    /// The credential is over.
    Over,
}

impl Snapshot {
    /// What an answer of this instant may promise: `min(real end, now + lease)`, or as far as the horizon reaches if
    /// that is far enough.
    pub fn grant(&self, now: Timestamp, lease: Duration) -> Grant {
        let real_end = self.valid_until.unwrap_or(Timestamp::MAX);
        if real_end <= now {
            return Grant::Over;
        }
        let wanted = later(now, lease).min(real_end);
        let enough = later(now, lease.min(LIFE_MIN)).min(real_end);
        match self.covered_until {
            Some(covered) if covered >= enough => Grant::Covered(covered.min(wanted)),
            _ => Grant::Uncovered(wanted),
        }
    }
}

#[cfg(test)]
mod tests {
    use rotakey_core::credential::{AccessKeyId, Credentials, Generation, SecretAccessKey};

    use super::*;

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + minute * 60).expect("in range")
    }

    fn grant(valid: Option<i64>, covered: Option<i64>, lease_minutes: u64) -> Grant {
        let key: AccessKeyId = "AKIAEXAMPLE".parse().expect("an id");
        let secret = SecretAccessKey::new("s".to_owned());
        let snapshot = Snapshot {
            generation: Generation(1),
            credentials: Credentials::long_term(key.clone(), secret),
            key,
            valid_until: valid.map(at),
            covered_until: covered.map(at),
        };
        snapshot.grant(at(0), Duration::from_secs(lease_minutes * 60))
    }

    #[test]
    fn an_answer_promises_a_lease_or_what_is_accounted_for_never_more_than_there_is() {
        let table = [
            // A key, its horizon ahead of the lease, or behind by a little, or by too much.
            (None, Some(70), 60, Grant::Covered(at(60))),
            (None, Some(60), 60, Grant::Covered(at(60))),
            (None, Some(59), 60, Grant::Covered(at(59))),
            (None, Some(30), 60, Grant::Covered(at(30))),
            (None, Some(29), 60, Grant::Uncovered(at(60))),
            (None, None, 60, Grant::Uncovered(at(60))),
            // A session ends when it ends.
            (Some(45), Some(70), 60, Grant::Covered(at(45))),
            (Some(10), Some(70), 60, Grant::Covered(at(10))),
            (Some(10), Some(10), 60, Grant::Covered(at(10))),
            (Some(10), Some(9), 60, Grant::Uncovered(at(10))),
            (Some(0), Some(70), 60, Grant::Over),
            (Some(-1), None, 60, Grant::Over),
            // A lease shorter than the least life (`unsafe_durations`) is wanted whole.
            (None, Some(1), 1, Grant::Covered(at(1))),
            (None, Some(0), 1, Grant::Uncovered(at(1))),
        ];
        for (valid, covered, lease, expected) in table {
            assert_eq!(grant(valid, covered, lease), expected, "{valid:?} {covered:?} {lease}");
        }
    }
}
