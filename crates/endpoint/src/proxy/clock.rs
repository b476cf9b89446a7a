//! How far the clocks of those who answer are from ours. A machine with a wrong clock signs by theirs.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use http::{HeaderMap, HeaderValue, header};
use jiff::{SignedDuration, Timestamp};

use super::date;
use super::names::text;

/// `Date` has whole seconds, and an answer takes its time.
const EXACT: SignedDuration = SignedDuration::from_secs(3);

/// More hosts than any machine talks to.
const HOSTS_MAX: usize = 1024;

/// The offsets, by host. They are read with every request and hardly ever change, so that nobody waits for a lock.
#[derive(Debug, Default)]
pub(crate) struct Offsets {
    /// Of those whose clock is not right. Most are, and a map that is empty is not searched.
    of: ArcSwap<HashMap<String, SignedDuration>>,
    last: ArcSwap<Last>,
}

/// What the last answer said.
#[derive(Debug, Default)]
struct Last {
    offset: SignedDuration,
    /// Its `Date`, and what that is: within a second, all say the same.
    read: Option<(HeaderValue, Timestamp)>,
}

impl Last {
    /// What a `Date` is, if it is the one that was read.
    fn known(&self, date: &HeaderValue) -> Option<Timestamp> {
        self.read.as_ref().filter(|(known, _)| known == date).map(|(_, at)| *at)
    }
}

impl Offsets {
    /// How far a host's clock is ahead.
    pub(crate) fn of(&self, host: &str) -> SignedDuration {
        self.of.load().get(host).copied().unwrap_or_default()
    }

    /// How far the clock of whoever answered last is ahead: programs go by its answers, too.
    pub(crate) fn last(&self) -> SignedDuration {
        self.last.load().offset
    }

    /// Learns from an answer.
    pub(crate) fn learn(&self, host: &str, headers: &HeaderMap, now: Timestamp) {
        let Some(date) = headers.get(header::DATE) else { return };
        let last = self.last.load();
        let known = last.known(date);
        let Some(theirs) = known.or_else(|| date::parse_http(text(date)?)) else { return };
        let offset = theirs.duration_since(now);
        let offset = if offset.abs() <= EXACT { SignedDuration::ZERO } else { offset };
        if known.is_none() || offset != last.offset {
            // A copy: it would keep the whole head in memory.
            let read = HeaderValue::from_bytes(date.as_bytes()).ok().map(|date| (date, theirs));
            self.last.store(Arc::new(Last { offset, read }));
        }
        if self.of(host) != offset {
            self.note(host, offset);
        }
    }

    fn note(&self, host: &str, offset: SignedDuration) {
        self.of.rcu(|before| {
            let mut next = HashMap::clone(before);
            if next.len() >= HOSTS_MAX && !next.contains_key(host) {
                next.clear();
            }
            match offset.is_zero() {
                true => next.remove(host),
                false => next.insert(host.to_owned(), offset),
            };
            next
        });
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
        assert!(offsets.of.load().is_empty());
    }
}
