//! What was lived through.

use std::ops::AddAssign;

#[derive(Clone, Copy, Debug, Default)]
pub struct Figures {
    pub lives: u64,
    pub rotations: u64,
    pub days: u64,
    pub events: u64,
    pub blows: u64,
    pub crashes: u64,
    pub weather: u64,
    pub fetches: u64,
    pub signatures: u64,
    /// Signatures by SDKs that go on with what has expired.
    pub overdue: u64,
}

impl AddAssign for Figures {
    fn add_assign(&mut self, more: Self) {
        let Self {
            lives,
            rotations,
            days,
            events,
            blows,
            crashes,
            weather,
            fetches,
            signatures,
            overdue,
        } = more;
        self.overdue += overdue;
        self.lives += lives;
        self.rotations += rotations;
        self.days += days;
        self.events += events;
        self.blows += blows;
        self.crashes += crashes;
        self.weather += weather;
        self.fetches += fetches;
        self.signatures += signatures;
    }
}
