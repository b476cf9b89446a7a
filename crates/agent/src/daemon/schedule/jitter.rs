//! Chance that is the same each time: what happens to many at once is spread, and a test can be repeated.

use std::time::Duration;

use sha2::{Digest, Sha256};

/// A number from 0 to 1, always the same for the same words.
fn share(words: &str, count: u32) -> f64 {
    let hash = Sha256::new().chain_update(words).chain_update(count.to_be_bytes()).finalize();
    f64::from(u16::from_be_bytes([hash[0], hash[1]])) / f64::from(u16::MAX)
}

/// `max_age`, up to a tenth more or less, always the same for a profile: many profiles do not come due at once.
pub fn of_age(max_age: Duration, profile: &str) -> Duration {
    max_age.mul_f64(0.9 + share(profile, 0) / 5.0)
}

/// Up to a quarter more or less; another `count` gives another pause.
pub(super) fn around(pause: Duration, profile: &str, count: u32) -> Duration {
    pause.mul_f64(0.75 + share(profile, count) / 2.0)
}

/// Some time up to `most`.
pub(super) fn within(most: Duration, profile: &str, count: u32) -> Duration {
    most.mul_f64(share(profile, count))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn profiles_come_due_within_a_tenth_of_the_age_and_not_all_at_once() {
        let day = Duration::from_secs(86_400);
        let ages: Vec<_> = (0..50).map(|n| of_age(day * 30, &format!("profile-{n}"))).collect();
        assert!(ages.iter().all(|age| (day * 27..=day * 33).contains(age)), "{ages:?}");
        let early = ages.iter().filter(|age| **age < day * 30).count();
        assert!((10..40).contains(&early), "{early} of 50 are early");
        assert_eq!(of_age(day, "a"), of_age(day, "a"));
    }

    #[test]
    fn a_pause_differs_between_profiles_and_from_one_time_to_the_next() {
        let pause = Duration::from_secs(1000);
        let many: std::collections::BTreeSet<_> =
            (0..20).flat_map(|n| [around(pause, "a", n), around(pause, "b", n)]).collect();
        assert!(many.len() > 30, "{}", many.len());
        assert!(many.iter().all(|one| (750..=1250).contains(&one.as_secs())), "{many:?}");
        assert!((0..20).all(|n| within(pause, "a", n) <= pause));
    }
}
