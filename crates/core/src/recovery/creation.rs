//! What became of a creation whose reply was lost.
//!
//! A key is *ours* only if it was not there before, was created while the request was under way, was never
//! used, and is the only such key. A person's key that looks the same to us is fenced: it is set Inactive
//! first, and left alone as soon as anybody touches it.

use std::time::Duration;

use jiff::Timestamp;

use crate::credential::AccessKeyId;
use crate::iam::ListedKey;
use crate::time::{earlier, later};

/// `CreateDate` and `Date` are whole seconds.
const GRAIN: Duration = Duration::from_secs(1);

/// When the request was under way, by the server's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    from: Timestamp,
    to: Timestamp,
}

impl Window {
    /// The window of a request sent at `sent` that was given up at `given_up`, both by our clock, when the
    /// server's clock was `offset_ms` ahead of ours.
    pub fn new(sent: Timestamp, given_up: Timestamp, offset_ms: i64) -> Self {
        let shift = |at: Timestamp| {
            let span = Duration::from_millis(offset_ms.unsigned_abs());
            if offset_ms < 0 { earlier(at, span) } else { later(at, span) }
        };
        Self { from: earlier(shift(sent), GRAIN), to: later(shift(given_up), GRAIN) }
    }

    fn contains(&self, at: Timestamp) -> bool {
        self.from <= at && at <= self.to
    }
}

/// A key that was not there before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The key.
    pub key: ListedKey,
    /// The keystore holds its secret.
    pub held: bool,
    /// It was used.
    pub used: bool,
}

/// What became of the creation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It made this key, and the secret is in the keystore.
    Adopt(ListedKey),
    /// It made this key, and nobody holds the secret.
    Orphan(ListedKey),
    /// It made none.
    Nothing,
    /// Somebody else made a key meanwhile; whether ours is among them cannot be told.
    Strangers(Vec<AccessKeyId>),
}

/// Decides, once no more keys can come.
pub fn judge(candidates: &[Candidate], window: Window) -> Verdict {
    if let Some(held) = candidates.iter().find(|c| c.held) {
        return Verdict::Adopt(held.key.clone());
    }
    match candidates {
        [] => Verdict::Nothing,
        [only] if !only.used && window.contains(only.key.created) => {
            Verdict::Orphan(only.key.clone())
        }
        several => {
            Verdict::Strangers(several.iter().map(|c| c.key.access_key_id.clone()).collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credential::KeyStatus;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + second).expect("in range")
    }

    fn candidate(id: &str, created: i64, held: bool, used: bool) -> Candidate {
        let access_key_id = id.parse().expect("an id");
        let key = ListedKey { access_key_id, status: KeyStatus::Active, created: at(created) };
        Candidate { key, held, used }
    }

    fn window() -> Window {
        Window::new(at(0), at(30), 0)
    }

    #[test]
    fn a_key_whose_secret_is_held_is_ours_whatever_else_is_there() {
        for (created, used) in [(10, false), (10, true), (-5000, false), (5000, true)] {
            let ours = candidate("AKIAOURS", created, true, used);
            let other = candidate("AKIAOTHER", 10, false, false);
            let adopt = Verdict::Adopt(ours.key.clone());
            assert_eq!(judge(std::slice::from_ref(&ours), window()), adopt);
            assert_eq!(judge(&[other.clone(), ours.clone()], window()), adopt);
            assert_eq!(judge(&[ours, other], window()), adopt);
        }
    }

    #[test]
    fn nothing_new_means_that_nothing_was_made() {
        assert_eq!(judge(&[], window()), Verdict::Nothing);
    }

    #[test]
    fn only_a_single_unused_key_of_the_right_time_is_an_orphan() {
        let strangers = |ids: &[&str]| {
            Verdict::Strangers(ids.iter().map(|id| id.parse().expect("an id")).collect())
        };
        // The window is the request's time, and a second of grain on both sides.
        for created in [-1, 0, 15, 30, 31] {
            let only = candidate("AKIAONLY", created, false, false);
            assert_eq!(
                judge(std::slice::from_ref(&only), window()),
                Verdict::Orphan(only.key),
                "{created}"
            );
        }
        for created in [-2, 32, -86_400, 86_400] {
            let only = candidate("AKIAONLY", created, false, false);
            assert_eq!(judge(&[only], window()), strangers(&["AKIAONLY"]), "{created}");
        }
        let used = candidate("AKIAONLY", 15, false, true);
        assert_eq!(judge(&[used], window()), strangers(&["AKIAONLY"]));
        let two = [candidate("AKIAONE", 15, false, false), candidate("AKIATWO", 16, false, false)];
        assert_eq!(judge(&two, window()), strangers(&["AKIAONE", "AKIATWO"]));
        let unlike =
            [candidate("AKIAONE", 15, false, false), candidate("AKIATWO", 99, false, true)];
        assert_eq!(judge(&unlike, window()), strangers(&["AKIAONE", "AKIATWO"]));
    }

    #[test]
    fn the_window_is_told_by_the_servers_clock() {
        let only = |created| [candidate("AKIAONLY", created, false, false)];
        let is_orphan = |created, offset| {
            matches!(judge(&only(created), Window::new(at(0), at(30), offset)), Verdict::Orphan(_))
        };
        assert!(is_orphan(600, 590_000) && !is_orphan(15, 590_000));
        assert!(is_orphan(-600, -620_000) && !is_orphan(15, -620_000));
    }
}
