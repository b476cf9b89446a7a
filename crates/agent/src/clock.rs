//! The one module that reads clocks.
#![allow(clippy::disallowed_methods, reason = "this is the module that may read a clock")]

use std::time::Duration;

use jiff::Timestamp;
use rotakey_core::time::{Monotonic, Now};

use crate::proc;

/// Says what time it is, and lets time pass.
pub trait Clock {
    /// Both clocks.
    fn now(&self) -> Now;

    /// Returns at `until`, by the wall clock, or a little after it.
    fn sleep_until(&self, until: Timestamp) -> impl Future<Output = ()>;
}

/// The machine's clocks.
#[derive(Clone, Debug)]
pub struct SystemClock {
    boot: String,
}

/// The longest single sleep: timers stand still while a laptop is suspended, the wall clock does not.
const NAP: Duration = Duration::from_secs(15);

impl SystemClock {
    /// The machine's clocks.
    pub fn new() -> Self {
        Self { boot: proc::boot().unwrap_or_default() }
    }

    /// Where on Earth it is, for times that people write down. Read anew each time: a laptop travels.
    pub fn zone(&self) -> jiff::tz::TimeZone {
        jiff::tz::TimeZone::system()
    }

    /// The wall clock alone: each answer to a program needs it.
    pub fn wall(&self) -> Timestamp {
        Timestamp::now()
    }
}

/// The monotonic clock alone, for how long something takes.
pub fn ticks() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    Duration::new(seconds, u32::try_from(now.tv_nsec).unwrap_or(0))
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Now {
        let monotonic = Monotonic { boot: self.boot.clone(), since_boot: ticks() };
        Now { wall: self.wall(), monotonic }
    }

    async fn sleep_until(&self, until: Timestamp) {
        loop {
            let left = until.duration_since(Timestamp::now());
            let Ok(left) = Duration::try_from(left) else { return };
            if left.is_zero() {
                return;
            }
            tokio::time::sleep(left.min(NAP)).await;
        }
    }
}
