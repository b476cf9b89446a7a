//! What was tried, for the line at the end.

use std::collections::BTreeSet;
use std::fmt;

/// What was tried.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    pub schedules: u64,
    pub events: u64,
    pub signatures_by_old: u64,
    pub signatures: u64,
    /// Copies asked after the cutover that still held K.
    pub asked: u64,
    pub slept_through: u64,
    pub kinds: BTreeSet<String>,
}

impl Figures {
    pub fn add(&mut self, other: Self) {
        self.schedules += other.schedules;
        self.events += other.events;
        self.signatures_by_old += other.signatures_by_old;
        self.signatures += other.signatures;
        self.asked += other.asked;
        self.slept_through += other.slept_through;
        self.kinds.extend(other.kinds);
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} schedules, {} events, {} signatures, {} of them by K, {} times asked of a client that held \
             it after the cutover, {} sleepers, {} kinds",
            self.schedules,
            self.events,
            self.signatures,
            self.signatures_by_old,
            self.asked,
            self.slept_through,
            self.kinds.len()
        )
    }
}
