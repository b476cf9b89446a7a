//! Which key worked last. AWS learns of a new key place by place: without a memory, each request to a place that does not
//! know it yet would be sent twice.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rotakey_core::credential::AccessKeyId;
use tokio::time::Instant;

/// For how long the other key is tried first: at first, and at most. AWS mostly knows a key within seconds, and each use of
/// the other one keeps that from being retired.
const REMEMBERED: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(60));

/// No profile uses so many services in so many regions.
const PLACES_MAX: usize = 4096;

/// A profile, a service and a region.
pub(crate) type Place = (String, String, String);

/// Places where another key than the current one worked.
#[derive(Debug, Default)]
pub(crate) struct Preferred(Mutex<HashMap<Place, Memory>>);

#[derive(Debug)]
struct Memory {
    key: AccessKeyId,
    until: Instant,
    lasts: Duration,
}

impl Preferred {
    /// The key that worked there when the current one did not.
    pub(crate) fn at(&self, place: &Place, now: Instant) -> Option<AccessKeyId> {
        let places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let memory = places.get(place)?;
        (now < memory.until).then(|| memory.key.clone())
    }

    /// The other key worked there. If it had to be found out anew, it is remembered for longer.
    pub(crate) fn note(&self, place: Place, key: AccessKeyId, now: Instant) {
        let mut places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = places.get(&place).filter(|before| before.key == key);
        let before = before.filter(|before| now < before.until + REMEMBERED.1);
        let lasts = match before {
            // Several requests at a time find out the same.
            Some(before) if now < before.until => return,
            Some(before) => (before.lasts * 2).min(REMEMBERED.1),
            None => REMEMBERED.0,
        };
        if places.len() >= PLACES_MAX {
            places.retain(|_, memory| now < memory.until);
        }
        if places.len() < PLACES_MAX {
            places.insert(place, Memory { key, until: now + lasts, lasts });
        }
    }

    /// It did not work there: the current one goes first again.
    pub(crate) fn forget(&self, place: &Place) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(place);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_remembered_for_longer_each_time_and_for_that_place_alone() {
        let now = Instant::now();
        let key: AccessKeyId = "AKIAOLD".parse().expect("an id");
        let place = |region: &str| ("p".to_owned(), "s3".to_owned(), region.to_owned());
        let preferred = Preferred::default();
        let mut at = now;
        for seconds in [2, 4, 8, 16, 32, 60, 60] {
            preferred.note(place("eu-west-1"), key.clone(), at);
            let lasts = Duration::from_secs(seconds);
            // Known already.
            preferred.note(place("eu-west-1"), key.clone(), at + lasts / 2);
            let almost = at + lasts - Duration::from_millis(1);
            assert_eq!(preferred.at(&place("eu-west-1"), almost), Some(key.clone()));
            assert_eq!(preferred.at(&place("us-east-1"), almost), None);
            at += lasts;
            assert_eq!(preferred.at(&place("eu-west-1"), at), None);
        }
        at += Duration::from_secs(61);
        preferred.note(place("eu-west-1"), key.clone(), at);
        assert_eq!(preferred.at(&place("eu-west-1"), at + Duration::from_secs(2)), None);
        preferred.note(place("eu-west-1"), key, at);
        preferred.forget(&place("eu-west-1"));
        assert_eq!(preferred.at(&place("eu-west-1"), at), None);
    }
}
