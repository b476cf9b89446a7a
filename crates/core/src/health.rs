//! U: since when programs could have fetched without interruption.

use std::time::Duration;

use jiff::Timestamp;

use crate::time::Now;

/// The wall clock gains on the monotonic one by as much between two looks: a suspend, or a step forward. Less is what
/// NTP does when it slews.
const GAIN: Duration = Duration::from_secs(1);

/// Nobody looked for as long: the process stood still, and whoever asked it meanwhile got nothing. (SIGSTOP, a freezer,
/// a machine out of memory: both clocks go on.)
const STANDSTILL: Duration = Duration::from_secs(120);

/// Keeps U, for the rule of leases ([`safety`](crate::lease::safety)): the latest of the start of the process that serves,
/// the end of the last outage, and the last time that the wall clock gained on the monotonic one. It never falls.
#[derive(Clone, Debug)]
pub struct Health {
    since: Timestamp,
    seen: Now,
}

impl Health {
    /// Serving begins.
    pub fn new(now: Now) -> Self {
        Self { since: now.wall, seen: now }
    }

    /// U as of now. Somebody has to look every half minute or so: a gain counts from the look that noticed it.
    pub fn look(&mut self, now: &Now) -> Timestamp {
        let wall = now.wall.duration_since(self.seen.wall);
        let monotonic = now.monotonic.since_boot.saturating_sub(self.seen.monotonic.since_boot);
        let expected = jiff::SignedDuration::try_from(monotonic + GAIN);
        if now.monotonic.boot != self.seen.monotonic.boot
            || monotonic > STANDSTILL
            || expected.is_ok_and(|most| wall > most)
        {
            self.since = self.since.max(now.wall);
        }
        self.seen = now.clone();
        self.since
    }

    /// A program was turned away, or got nothing: the outage ends now at the earliest.
    pub fn failed(&mut self, now: &Now) {
        self.look(now);
        self.since = self.since.max(now.wall);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Monotonic;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + second).expect("in range")
    }

    fn now(wall: i64, mono_ms: u64) -> Now {
        let since_boot = Duration::from_millis(mono_ms);
        Now { wall: at(wall), monotonic: Monotonic { boot: "a".to_owned(), since_boot } }
    }

    #[test]
    fn undisturbed_serving_counts_from_its_start() {
        let mut health = Health::new(now(0, 0));
        for (wall, mono) in [(60, 60_000), (120, 119_500), (180, 178_600), (170, 200_000)] {
            assert_eq!(health.look(&now(wall, mono)), at(0), "{wall} {mono}");
        }
    }

    #[test]
    fn a_suspend_a_step_forward_and_another_boot_begin_anew() {
        let mut health = Health::new(now(0, 0));
        assert_eq!(health.look(&now(61, 60_000)), at(0));
        assert_eq!(health.look(&now(3600, 61_000)), at(3600));
        assert_eq!(health.look(&now(3602, 61_999)), at(3602));
        assert_eq!(health.look(&now(3603, 63_000)), at(3602));
        let mut rebooted = now(3700, 160_000);
        rebooted.monotonic.boot = "b".to_owned();
        assert_eq!(health.look(&rebooted), at(3700));
    }

    #[test]
    fn a_process_that_stood_still_begins_anew() {
        let mut health = Health::new(now(0, 0));
        assert_eq!(health.look(&now(120, 120_000)), at(0));
        assert_eq!(health.look(&now(241, 240_001)), at(241));
    }

    #[test]
    fn an_outage_begins_anew_and_a_clock_set_back_moves_nothing_back() {
        let mut health = Health::new(now(0, 0));
        health.failed(&now(100, 100_000));
        assert_eq!(health.look(&now(200, 200_000)), at(100));
        health.failed(&now(50, 201_000));
        assert_eq!(health.look(&now(51, 202_000)), at(100));
        // It was set back, and forward again: that is a gain.
        assert_eq!(health.look(&now(203, 203_000)), at(203));
    }
}
