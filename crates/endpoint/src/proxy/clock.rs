//! How far the clocks of those who answer are from ours. A machine with a wrong clock signs by theirs.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use http::{HeaderMap, HeaderValue, header};
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
    /// Of those whose clock is not right.
    of: Mutex<HashMap<String, SignedDuration>>,
    last: Mutex<Last>,
}

/// What the last answer said.
#[derive(Debug, Default)]
struct Last {
    offset: SignedDuration,
    /// Its `Date`, and what that is: within a second, all say the same.
    read: Option<(HeaderValue, Timestamp)>,
}

impl Last {
    fn read(&mut self, date: &HeaderValue) -> Option<Timestamp> {
        if let Some((_, at)) = self.read.as_ref().filter(|(known, _)| known == date) {
            return Some(*at);
        }
        let at = text(date).and_then(date::parse_http)?;
        // A copy: it would keep the whole head in memory.
        self.read = HeaderValue::from_bytes(date.as_bytes()).ok().map(|date| (date, at));
        Some(at)
    }
}

impl Offsets {
    /// How far a host's clock is ahead.
    pub(crate) fn of(&self, host: &str) -> SignedDuration {
        let of = self.of.lock().unwrap_or_else(PoisonError::into_inner);
        of.get(host).copied().unwrap_or_default()
    }

    /// How far the clock of whoever answered last is ahead: programs go by its answers, too.
    pub(crate) fn last(&self) -> SignedDuration {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).offset
    }

    /// Learns from an answer.
    pub(crate) fn learn(&self, host: &str, headers: &HeaderMap, now: Timestamp) {
        let Some(date) = headers.get(header::DATE) else { return };
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(theirs) = last.read(date) else { return };
        let offset = theirs.duration_since(now);
        let offset = if offset.abs() <= EXACT { SignedDuration::ZERO } else { offset };
        last.offset = offset;
        drop(last);
        let mut of = self.of.lock().unwrap_or_else(PoisonError::into_inner);
        if offset.is_zero() {
            // Most are right, and a map that is empty is not searched.
            of.remove(host);
            return;
        }
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
        headers.insert(header::DATE, "nonsense".parse().expect("a value"));
        offsets.learn("a", &headers, now);
        assert_eq!(offsets.last(), SignedDuration::from_mins(10), "it tells nothing");
        headers.insert(header::DATE, "Wed, 25 Nov 2026 11:59:58 GMT".parse().expect("a value"));
        offsets.learn("a", &headers, now);
        assert_eq!((offsets.of("a"), offsets.last()), (SignedDuration::ZERO, SignedDuration::ZERO));
        assert!(offsets.of.lock().expect("whole").is_empty());
    }
}
