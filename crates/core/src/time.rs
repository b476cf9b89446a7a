//! Instants as arguments: the wall clock, and the monotonic clock of one boot.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What the clocks say at one instant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Now {
    /// The wall clock, which people and NTP may set.
    pub wall: Timestamp,
    /// The clock that only goes forward, and stands still while the machine is suspended.
    pub monotonic: Monotonic,
}

/// A reading of `CLOCK_MONOTONIC`; readings of different boots cannot be compared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Monotonic {
    /// `/proc/sys/kernel/random/boot_id`, or what names a boot elsewhere.
    pub boot: String,
    /// Since that boot, without suspended time.
    pub since_boot: Duration,
}

/// `instant + duration`, at the end of time if that overflows.
pub fn later(instant: Timestamp, duration: Duration) -> Timestamp {
    instant.saturating_add(duration).unwrap_or(Timestamp::MAX)
}

/// `instant - duration`, at the beginning of time if that overflows.
pub fn earlier(instant: Timestamp, duration: Duration) -> Timestamp {
    instant.saturating_sub(duration).unwrap_or(Timestamp::MIN)
}
