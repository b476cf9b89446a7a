//! What was lived through.

use std::fmt;
use std::ops::AddAssign;

#[derive(Clone, Copy, Debug, Default)]
pub struct Figures {
    pub profiles: u64,
    pub rotations: u64,
    pub turned_round: u64,
    pub weather: u64,
    pub persons: u64,
    pub signatures: u64,
    pub news: u64,
    /// The latest beginning, counted without what kept it, in minutes.
    pub latest: u64,
}

impl AddAssign for Figures {
    fn add_assign(&mut self, more: Self) {
        self.profiles += more.profiles;
        self.rotations += more.rotations;
        self.turned_round += more.turned_round;
        self.weather += more.weather;
        self.persons += more.persons;
        self.signatures += more.signatures;
        self.news += more.news;
        self.latest = self.latest.max(more.latest);
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} profiles, {} rotations ({} turned round), {} changes of weather, a person came {} times, \
             {} signatures, {} news, latest {} min after nothing kept it",
            self.profiles,
            self.rotations,
            self.turned_round,
            self.weather,
            self.persons,
            self.signatures,
            self.news,
            self.latest
        )
    }
}
