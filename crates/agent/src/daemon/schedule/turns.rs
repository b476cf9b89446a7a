//! Whose turn it is: of many profiles that are due at once only a few are at work, and they begin one after the other.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use jiff::Timestamp;
use rotakey_core::time::later;

/// So many are at work at a time.
pub const AT_ONCE: usize = 3;

/// Between the beginnings of two rotations.
pub const SPACING: Duration = Duration::from_secs(15);

/// Whoever has not asked again for as long does not want to any more.
const PATIENCE: Duration = Duration::from_secs(120);

/// The profiles at work, and those that wait: first come, first served.
#[derive(Clone, Debug, Default)]
pub struct Turns {
    at_work: BTreeSet<String>,
    waiting: VecDeque<(String, Timestamp)>,
    last_begun: Option<Timestamp>,
}

impl Turns {
    /// Asks for a turn, to begin a rotation or to go on with one. If it is not given: when to ask again.
    ///
    /// Whoever is given one says when he is [`done`](Self::done).
    pub fn ask(&mut self, profile: &str, begins: bool, now: Timestamp) -> Result<(), Timestamp> {
        // A clock that was set back must not make anybody wait for it.
        let is_recent = |at: Timestamp| at <= now && now < later(at, PATIENCE);
        self.waiting.retain(|(name, asked)| name == profile || is_recent(*asked));
        match self.waiting.iter_mut().find(|(name, _)| name == profile) {
            Some((_, asked)) => *asked = now,
            None => self.waiting.push_back((profile.to_owned(), now)),
        }
        let spaced = self.last_begun.filter(|at| *at <= now).map(|at| later(at, SPACING));
        let free = AT_ONCE.saturating_sub(self.at_work.len());
        let is_next = self.waiting.iter().take(free).any(|(name, _)| name == profile);
        if !is_next {
            return Err(later(now, SPACING));
        }
        if let Some(spaced) = spaced.filter(|spaced| begins && *spaced > now) {
            return Err(spaced);
        }
        self.waiting.retain(|(name, _)| name != profile);
        self.at_work.insert(profile.to_owned());
        if begins {
            self.last_begun = Some(now);
        }
        Ok(())
    }

    /// A turn is over.
    pub fn done(&mut self, profile: &str) {
        self.at_work.remove(profile);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + second).expect("in range")
    }

    #[test]
    fn beginnings_are_spaced_and_only_a_few_are_at_work() {
        let mut turns = Turns::default();
        assert_eq!(turns.ask("a", true, at(0)), Ok(()));
        assert_eq!(turns.ask("b", true, at(1)), Err(at(15)));
        assert_eq!(turns.ask("b", true, at(15)), Ok(()));
        assert_eq!(turns.ask("c", true, at(30)), Ok(()));
        assert_eq!(turns.ask("d", true, at(60)), Err(at(75)));
        turns.done("a");
        assert_eq!(turns.ask("d", true, at(75)), Ok(()));
    }

    #[test]
    fn going_on_is_not_spaced_but_counts() {
        let mut turns = Turns::default();
        for name in ["a", "b", "c"] {
            assert_eq!(turns.ask(name, false, at(0)), Ok(()));
        }
        assert_eq!(turns.ask("d", false, at(0)), Err(at(15)));
    }

    #[test]
    fn who_came_first_is_first_and_who_does_not_come_back_is_not_waited_for() {
        let mut turns = Turns::default();
        for name in ["a", "b", "c"] {
            assert_eq!(turns.ask(name, false, at(0)), Ok(()));
        }
        assert!(turns.ask("d", false, at(1)).is_err());
        assert!(turns.ask("e", false, at(2)).is_err());
        turns.done("a");
        assert!(turns.ask("e", false, at(3)).is_err());
        assert_eq!(turns.ask("d", false, at(4)), Ok(()));
        turns.done("b");
        assert!(turns.ask("f", false, at(5)).is_err());
        assert_eq!(turns.ask("f", false, at(124)), Ok(()), "e went away");
    }

    #[test]
    fn a_clock_that_is_set_back_makes_nobody_wait() {
        let mut turns = Turns::default();
        assert_eq!(turns.ask("a", true, at(100_000)), Ok(()));
        assert_eq!(turns.ask("b", true, at(0)), Ok(()));
    }
}
