//! A machine with its two clocks, and a source that hands out keys through the real ledger.

use std::time::Duration;

use jiff::Timestamp;
use rotakey_core::credential::{AccessKeyId, Generation};
use rotakey_core::lease::{Horizon, Ledger};
use rotakey_core::policy::Policy;
use rotakey_core::time::{Monotonic, Now, later};

use crate::model_clients::Answer;
use crate::rule::{Part, Watch, policy};

/// One machine.
#[derive(Clone, Debug)]
pub struct World {
    /// The time that no step changes, since the beginning.
    pub truth: Duration,
    pub wall: Timestamp,
    pub since_boot: Duration,
    boot: u32,
    pub ledger: Ledger,
    pub policy: Policy,
    pub watch: Watch,
    pub without: Option<Part>,
    pub outage: bool,
    pub disk_full: bool,
    /// The next answer is lost; whether its horizon is written first.
    pub crash: Option<bool>,
    pub on_its_way: Option<(Answer, Duration)>,
    /// The latest expiration that was told and not recorded.
    pub unrecorded: Option<Timestamp>,
    pub healthy_since: Timestamp,
    /// When the proxy last signed with K, as the agent's process remembers it.
    pub fell_over: Option<Timestamp>,
}

pub fn old() -> AccessKeyId {
    "AKIAOLD".parse().expect("an id")
}

pub fn new() -> AccessKeyId {
    "AKIANEW".parse().expect("an id")
}

impl World {
    /// It serves the old key.
    pub fn new(lease: Duration, watch: Watch, millisecond: u16) -> Self {
        let wall = Timestamp::from_millisecond(1_700_000_000_000 + i64::from(millisecond));
        let wall = wall.expect("in range");
        Self {
            truth: Duration::ZERO,
            wall,
            since_boot: Duration::from_secs(1000),
            boot: 0,
            ledger: Ledger::new(old(), Generation(1), wall),
            policy: policy(lease),
            watch,
            without: None,
            outage: false,
            disk_full: false,
            crash: None,
            on_its_way: None,
            unrecorded: None,
            healthy_since: wall,
            fell_over: None,
        }
    }

    pub fn now(&self) -> Now {
        let boot = self.boot.to_string();
        Now { wall: self.wall, monotonic: Monotonic { boot, since_boot: self.since_boot } }
    }

    pub fn published(&self) -> bool {
        self.ledger.access_key_id == new()
    }

    /// When the new key was published, by the wall clock.
    pub fn superseded(&self) -> Timestamp {
        self.ledger.published
    }

    pub fn horizon(&self) -> Option<&Horizon> {
        self.ledger.horizons.get(&old())
    }

    /// Time passes; the machine is awake, or suspended.
    pub fn pass(&mut self, time: Duration, awake: bool) {
        self.truth += time;
        self.wall = later(self.wall, time);
        if awake {
            self.since_boot += time;
        } else {
            self.gained();
        }
    }

    /// Somebody sets the wall clock.
    pub fn set(&mut self, wall: Timestamp) {
        let forward = wall > self.wall;
        self.wall = wall;
        if forward {
            self.gained();
        }
    }

    /// Programs and answers on their way are gone; the files stay.
    pub fn reboot(&mut self, off: Duration) {
        self.truth += off;
        self.wall = later(self.wall, off);
        self.boot += 1;
        self.since_boot = Duration::from_secs(20);
        self.restart();
    }

    pub fn restart(&mut self) {
        self.on_its_way = None;
        self.fell_over = None;
        self.serving_begins();
    }

    /// U only ever rises, as a horizon does: it is compared with readings of the same clock.
    pub fn serving_begins(&mut self) {
        self.healthy_since = self.healthy_since.max(self.wall);
    }

    fn gained(&mut self) {
        if self.without != Some(Part::Gains) {
            self.serving_begins();
        }
    }

    /// K is superseded.
    pub fn publish(&mut self) {
        let now = self.now();
        let left = self.horizon().and_then(|horizon| horizon.monotonic.clone());
        self.ledger.publish(new(), Generation(2), &now, self.policy.lease);
        if self.without == Some(Part::MonotonicOfCutover) {
            self.ledger.horizons.get_mut(&old()).expect("just superseded").monotonic = left;
        }
        self.serving_begins();
    }
}
