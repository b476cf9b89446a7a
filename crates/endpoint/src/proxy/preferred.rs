//! Which key worked last. AWS learns of a new key place by place: without a memory, each request to a place that does not
//! know it yet would be sent twice.
//!
//! A refusal in answer to a `HEAD` has no words, and may be of the key or of the object. A program that asks for objects
//! which are not there (S3 says 403 to whoever may not list) would use the old key for ever, if each were tried with it.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rotakey_core::credential::AccessKeyId;
use tokio::time::Instant;

/// For how long the other key is tried first: at first, and at most. AWS mostly knows a key within seconds, and each use of
/// the other one keeps that from being retired.
const REMEMBERED: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(60));

/// For how long a refusal without words is doubted where nothing shows that the current key is known. Longest that was seen
/// of a new key is minutes; refusals with words are heard of in any case.
const DOUBTED: Duration = Duration::from_secs(300);

/// No profile uses so many services in so many regions.
const PLACES_MAX: usize = 4096;

/// A profile, a service and a region.
pub(crate) type Place = (String, String, String);

/// What places showed of keys.
#[derive(Debug, Default)]
pub(crate) struct Preferred(Mutex<Places>);

#[derive(Debug, Default)]
struct Places {
    /// Those where another key than the current one worked.
    preferred: HashMap<Place, Memory>,
    /// What a refusal without words may mean of the current one.
    wordless: HashMap<Place, Wordless>,
}

#[derive(Debug)]
struct Memory {
    key: AccessKeyId,
    until: Instant,
    lasts: Duration,
}

#[derive(Debug)]
struct Wordless {
    key: AccessKeyId,
    /// Until when it may be that the place does not know the key; `None` if it took it.
    doubted_until: Option<Instant>,
}

impl Preferred {
    fn lock(&self) -> MutexGuard<'_, Places> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a refusal without words may mean that the place does not know the current key.
    pub(crate) fn doubts(&self, place: &Place, current: &AccessKeyId, now: Instant) -> bool {
        let places = self.lock();
        let known = places.wordless.get(place).filter(|known| known.key == *current);
        known.is_none_or(|known| known.doubted_until.is_some_and(|until| now < until))
    }

    /// The current key was taken there: what is refused without words is not refused for the key.
    pub(crate) fn took(&self, place: &Place, current: &AccessKeyId) {
        let known = Wordless { key: current.clone(), doubted_until: None };
        self.lock().keep(place, known);
    }

    /// Both keys were refused without words, which tells nothing of the current one; it goes on being doubted for a while.
    pub(crate) fn refused_both(&self, place: &Place, current: &AccessKeyId, now: Instant) {
        let mut places = self.lock();
        if places.wordless.get(place).is_none_or(|known| known.key != *current) {
            let doubted_until = Some(now + DOUBTED);
            places.keep(place, Wordless { key: current.clone(), doubted_until });
        }
    }

    /// The current key is not known there after all: AWS answers from many hosts.
    pub(crate) fn did_not_know(&self, place: &Place) {
        self.lock().wordless.remove(place);
    }

    /// The key that worked there when the current one did not.
    pub(crate) fn at(&self, place: &Place, now: Instant) -> Option<AccessKeyId> {
        let places = self.lock();
        let memory = places.preferred.get(place)?;
        (now < memory.until).then(|| memory.key.clone())
    }

    /// The other key worked there. If it had to be found out anew, it is remembered for longer.
    pub(crate) fn note(&self, place: Place, key: AccessKeyId, now: Instant) {
        let places = &mut self.lock().preferred;
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
        self.lock().preferred.remove(place);
    }
}

impl Places {
    fn keep(&mut self, place: &Place, known: Wordless) {
        if self.wordless.len() >= PLACES_MAX && !self.wordless.contains_key(place) {
            // It is soon known anew.
            self.wordless.clear();
        }
        self.wordless.insert(place.clone(), known);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_without_words_is_doubted_until_the_key_was_taken_or_for_a_while() {
        let now = Instant::now();
        let id = |text: &str| -> AccessKeyId { text.parse().expect("an id") };
        let (new, newer) = (id("AKIANEW"), id("AKIANEWER"));
        let place = |number: usize| ("p".to_owned(), "s3".to_owned(), number.to_string());
        let preferred = Preferred::default();
        assert!(preferred.doubts(&place(0), &new, now));
        preferred.took(&place(0), &new);
        assert!(!preferred.doubts(&place(0), &new, now));
        assert!(preferred.doubts(&place(1), &new, now), "another place");
        assert!(preferred.doubts(&place(0), &newer, now), "another key");
        preferred.refused_both(&place(0), &new, now);
        assert!(!preferred.doubts(&place(0), &new, now), "it was taken");
        preferred.did_not_know(&place(0));
        assert!(preferred.doubts(&place(0), &new, now));

        preferred.refused_both(&place(1), &new, now);
        let end = now + DOUBTED;
        let almost = end - Duration::from_millis(1);
        preferred.refused_both(&place(1), &new, almost);
        assert!(preferred.doubts(&place(1), &new, almost), "for a while");
        assert!(!preferred.doubts(&place(1), &new, end), "no longer, however often");
        for number in 0..=PLACES_MAX {
            preferred.took(&place(number), &new);
        }
        assert!(preferred.lock().wordless.len() <= PLACES_MAX);
    }

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
