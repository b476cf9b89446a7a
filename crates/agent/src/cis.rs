//! What CIS AWS Foundations Benchmark finds wrong with access keys.
//!
//! The numbers are those of v1.4 to v4.0.1. In v5.0 the same items stand one number lower (1.11 to 1.13, root 1.3), in v7.0
//! they are 2.11 (unused) and 2.12 (age).

use std::time::Duration;

use jiff::Timestamp;
use rotakey_core::credential::KeyStatus;
use rotakey_core::iam::{LastUsed, ListedKey};

/// 1.12: an active key is not left unused for this long.
const UNUSED_DAYS: i64 = 45;
/// 1.14: nor kept for longer than this.
pub const AGE_DAYS: i64 = 90;
/// The same as a time: who rotates by then is in time.
pub const AGE: Duration = Duration::from_secs(AGE_DAYS.unsigned_abs() * DAY.unsigned_abs());
const DAY: i64 = 86_400;

/// What a root account with access keys is found for.
pub const ROOT: &str = "1.4 root has access keys";

/// How old a key is, in whole days, as auditors count: the day that is under way does not count yet.
#[must_use]
pub fn days_old(created: Timestamp, now: Timestamp) -> i64 {
    now.duration_since(created).as_secs() / DAY
}

/// Whether a key is older than 1.14 allows: at 90 whole days it is not, at 91 it is.
#[must_use]
pub fn is_too_old(created: Timestamp, now: Timestamp) -> bool {
    days_old(created, now) > AGE_DAYS
}

/// The findings about one key of a user with so many active ones.
///
/// A key that was never used counts from its creation. If nobody can tell when it was used, nothing is found.
pub fn findings(
    key: &ListedKey,
    used: &Result<Option<LastUsed>, String>,
    active: usize,
    now: Timestamp,
) -> Vec<&'static str> {
    if key.status == KeyStatus::Inactive {
        return Vec::new();
    }
    let mut found = Vec::new();
    let idle_since = match used {
        Ok(Some(used)) => Some(used.at),
        Ok(None) => Some(key.created),
        Err(_) => None,
    };
    if idle_since.is_some_and(|at| days_old(at, now) >= UNUSED_DAYS) {
        found.push("1.12 unused for 45 days");
    }
    if active > 1 {
        found.push("1.13 two active keys");
    }
    if is_too_old(key.created, now) {
        found.push("1.14 older than 90 days");
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(day: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + day * 86_400).expect("in range")
    }

    fn found(
        status: KeyStatus,
        created: i64,
        used: Option<i64>,
        active: usize,
    ) -> Vec<&'static str> {
        let access_key_id = "AKIAEXAMPLE".parse().expect("an id");
        let key = ListedKey { access_key_id, status, created: at(created) };
        let text = String::new;
        let used = used.map(|day| LastUsed { at: at(day), service: text(), region: text() });
        findings(&key, &Ok(used), active, at(1000))
    }

    #[test]
    fn a_key_is_too_old_at_91_whole_days() {
        let created = at(0);
        let after = |seconds: i64| Timestamp::from_second(created.as_second() + seconds);
        for (seconds, days, is_old) in
            [(90 * DAY, 90, false), (91 * DAY - 1, 90, false), (91 * DAY, 91, true), (-5, 0, false)]
        {
            let now = after(seconds).expect("in range");
            assert_eq!((days_old(created, now), is_too_old(created, now)), (days, is_old));
        }
    }

    #[test]
    fn the_limits_are_to_the_day() {
        use KeyStatus::{Active, Inactive};
        let none: [&str; 0] = [];
        assert_eq!(found(Active, 910, Some(999), 1), none);
        assert_eq!(found(Active, 909, Some(999), 1), ["1.14 older than 90 days"]);
        assert_eq!(found(Active, 956, None, 1), none);
        assert_eq!(found(Active, 955, None, 1), ["1.12 unused for 45 days"]);
        assert_eq!(found(Active, 920, Some(955), 1), ["1.12 unused for 45 days"]);
        assert_eq!(found(Active, 999, Some(999), 2), ["1.13 two active keys"]);
        assert_eq!(found(Inactive, 1, None, 1), none);
        let key = ListedKey {
            access_key_id: "AKIAEXAMPLE".parse().expect("an id"),
            status: Active,
            created: at(950),
        };
        assert_eq!(findings(&key, &Err("AccessDenied".to_owned()), 1, at(1000)), none);
    }
}
