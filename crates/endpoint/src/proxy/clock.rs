//! How far the clocks of those who answer are from ours. A machine with a wrong clock signs by theirs.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use http::{HeaderMap, header};
use jiff::{SignedDuration, Timestamp};

use super::date;
use super::names::text;

/// `Date` has whole seconds, and an answer takes its time.
const EXACT: SignedDuration = SignedDuration::from_secs(3);

/// More hosts than any machine talks to.
const HOSTS_MAX: usize = 1024;

/// The offsets, by host.
#[derive(Debug, Default)]
pub(crate) struct Offsets {
    of: Mutex<HashMap<String, SignedDuration>>,
    last: Mutex<SignedDuration>,
}

impl Offsets {
    /// How far a host's clock is ahead.
    pub(crate) fn of(&self, host: &str) -> SignedDuration {
        let of = self.of.lock().unwrap_or_else(PoisonError::into_inner);
        of.get(host).copied().unwrap_or_default()
    }

    /// How far the clock of whoever answered last is ahead: programs go by its answers, too.
    pub(crate) fn last(&self) -> SignedDuration {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Learns from an answer.
    pub(crate) fn learn(&self, host: &str, headers: &HeaderMap, now: Timestamp) {
        let text = headers.get(header::DATE).and_then(text);
        let Some(theirs) = text.and_then(date::parse_http) else { return };
        let offset = theirs.duration_since(now);
        let offset = if offset.abs() <= EXACT { SignedDuration::ZERO } else { offset };
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = offset;
        let mut of = self.of.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = of.get_mut(host) {
            *known = offset;
            return;
        }
        if of.len() >= HOSTS_MAX {
            of.clear();
        }
        of.insert(host.to_owned(), offset);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_followed_and_no_other() {
        let now: Timestamp = "2026-11-25T12:00:00Z".parse().expect("a time");
        let mut headers = HeaderMap::new();
        let offsets = Offsets::default();
        offsets.learn("a", &headers, now);
        assert_eq!(offsets.of("a"), SignedDuration::ZERO);
        headers.insert(header::DATE, "Wed, 25 Nov 2026 12:10:00 GMT".parse().expect("a value"));
        offsets.learn("a", &headers, now);
        assert_eq!(offsets.of("a"), SignedDuration::from_mins(10));
        assert_eq!(offsets.of("b"), SignedDuration::ZERO);
        assert_eq!(offsets.last(), SignedDuration::from_mins(10));
        headers.insert(header::DATE, "Wed, 25 Nov 2026 11:59:58 GMT".parse().expect("a value"));
        offsets.learn("a", &headers, now);
        assert_eq!((offsets.of("a"), offsets.last()), (SignedDuration::ZERO, SignedDuration::ZERO));
    }
}
