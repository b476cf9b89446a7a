//! What became of a key through the proxy. Shared by all that is made of its profile, whenever the configuration is read again.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use jiff::Timestamp;

/// How many enrolments this process has seen end or begin. A profile that is removed and added again is another one.
static ENROLMENTS: AtomicU64 = AtomicU64::new(0);

/// Where the enrolment stands in an epoch; below it is how often the ledger says that sessions were made void.
const ENROLMENT_SHIFT: u32 = 32;

const REVOCATIONS: u64 = 0xFFFF_FFFF;

/// A key's fail-overs, and what its programs' sessions are worth.
#[derive(Debug)]
pub struct Through {
    fell_over: AtomicU64,
    /// In milliseconds of the Unix time.
    fell_over_at: AtomicI64,
    session_epoch: AtomicU64,
}

impl Default for Through {
    fn default() -> Self {
        Self {
            fell_over: AtomicU64::new(0),
            fell_over_at: AtomicI64::new(i64::MIN),
            session_epoch: AtomicU64::new(next_enrolment()),
        }
    }
}

fn next_enrolment() -> u64 {
    (ENROLMENTS.fetch_add(1, Ordering::AcqRel) + 1) << ENROLMENT_SHIFT
}

impl Through {
    /// The proxy signs with the other key, now.
    pub fn falls_over(&self, now: Timestamp) {
        self.fell_over_at.fetch_max(now.as_millisecond(), Ordering::AcqRel);
    }

    /// As above, for a request that is sent once more.
    pub fn tries_other(&self, now: Timestamp) {
        self.fell_over.fetch_add(1, Ordering::Relaxed);
        self.falls_over(now);
    }

    /// How often the other key was tried.
    pub fn fell_over(&self) -> u64 {
        self.fell_over.load(Ordering::Relaxed)
    }

    /// When it was used last.
    pub fn fell_over_at(&self) -> Option<Timestamp> {
        let at = self.fell_over_at.load(Ordering::Acquire);
        (at != i64::MIN).then(|| Timestamp::from_millisecond(at).ok()).flatten()
    }

    /// Changes when the sessions that programs made with the key are to be worth nothing.
    pub fn session_epoch(&self) -> u64 {
        self.session_epoch.load(Ordering::Acquire)
    }

    /// Goes by how often sessions were made void, as the ledger counts that.
    pub fn void_sessions_before(&self, revocations: u64) {
        self.change_epoch(|epoch| (epoch & !REVOCATIONS) | (revocations & REVOCATIONS));
    }

    /// The profile was removed and added again: no session of before is its own.
    pub fn void_sessions(&self) {
        let enrolment = next_enrolment();
        self.change_epoch(|epoch| enrolment | (epoch & REVOCATIONS));
    }

    fn change_epoch(&self, to: impl Fn(u64) -> u64) {
        let change = |epoch| Some(to(epoch));
        let _ = self.session_epoch.fetch_update(Ordering::AcqRel, Ordering::Acquire, change);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_session_of_before_is_worth_anything_after_a_profile_was_away() {
        let first = Through::default();
        first.void_sessions_before(3);
        let before = first.session_epoch();
        first.void_sessions_before(3);
        assert_eq!(first.session_epoch(), before);
        first.void_sessions_before(4);
        assert_ne!(first.session_epoch(), before);
        first.void_sessions();
        first.void_sessions_before(3);
        let again = Through::default();
        again.void_sessions_before(3);
        let mut all = vec![before, first.session_epoch(), again.session_epoch()];
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 3, "{all:x?}");
    }
}
