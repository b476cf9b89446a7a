//! How long it pauses after what a run came to: longer each time that it fails, and never in step with others.

use std::time::Duration;

use jiff::Timestamp;
use rotakey_core::journal::Status;
use rotakey_core::rotation::WaitingFor;
use rotakey_core::rotation::preflight::describe;
use rotakey_core::time::later;

use super::hold::Place;
use super::{LONG, Scheduler, Why};
use crate::driver::Came;

/// Another process rotates, or a rotation was just closed: it is looked at again after this.
const SOON: Duration = Duration::from_secs(2);

/// After a failure, and after each further one twice that, up to the longest.
const BACKOFF: Duration = Duration::from_secs(10);
const BACKOFF_MAX: Duration = Duration::from_secs(900);

/// While AWS cannot be asked, and while the clock is off. A call that fails costs nobody anything.
const OFFLINE: Duration = Duration::from_secs(15);
const OFFLINE_MAX: Duration = Duration::from_secs(300);

/// After a rotation that was taken back: each try makes a key, and deletes it.
const TAKEN_BACK: Duration = Duration::from_secs(3600);
const TAKEN_BACK_MAX: Duration = Duration::from_secs(86_400);

impl Scheduler {
    /// What a run came to, and what the journal says after it.
    pub fn came_to(&mut self, now: Timestamp, came: &Came, status: &Status) {
        self.came(now, came, status);
        if let Some(hold) = &mut self.hold {
            hold.place = Some(Place::of(status));
        }
    }

    fn came(&mut self, now: Timestamp, came: &Came, status: &Status) {
        let failures = self.failures;
        let was_tried =
            !matches!(came, Came::Offline(_) | Came::Clock(_) | Came::GaveWay | Came::Busy);
        if was_tried && self.sign.take().is_some() {
            // If it did not help, what is served is tried before anything else is: it may work again, if not at once.
            (self.refusals, self.health_next) = (1, None);
        }
        if !matches!(came, Came::Offline(_) | Came::Clock(_)) {
            self.offline = 0;
        }
        if was_tried {
            self.failures = 0;
        }
        let (pause, why, detail) = match came {
            Came::Waits(until, waiting_for @ WaitingFor::QuietHours) => {
                let until = (*until).max(later(now, SOON));
                return self.hold(now, until, waiting_for.into(), None);
            }
            Came::Waits(until, waiting_for) => {
                let detail = Some(waiting_for.to_string());
                return self.hold(now, *until, waiting_for.into(), detail);
            }
            // The journal says it.
            Came::Stuck(_) => return,
            Came::GaveWay | Came::Busy => (SOON, Why::Busy, None),
            Came::Finished if status.last_failure.is_none() => return,
            Came::Finished => (self.around(TAKEN_BACK), Why::Backoff, status.last_failure.clone()),
            Came::Abandoned(why) => {
                self.failures = failures + 1;
                let pause = doubled(TAKEN_BACK, failures, TAKEN_BACK_MAX);
                (self.around(pause), Why::Backoff, Some(why.clone()))
            }
            Came::Blocked(findings) => {
                let why: Vec<_> = findings.iter().map(describe).collect();
                (self.around(LONG), Why::Person, Some(why.join("; ")))
            }
            Came::Copied(place) => (self.around(LONG), Why::Copy, Some(place.clone())),
            Came::Quarantined(why) => (self.around(LONG), Why::Person, Some(why.clone())),
            Came::Offline(why) | Came::Clock(why) => {
                let is_clock = matches!(came, Came::Clock(_));
                let pause = doubled(OFFLINE, self.offline, OFFLINE_MAX);
                self.offline += 1;
                let waits_for = if is_clock { Why::Clock } else { Why::Offline };
                (self.around(pause), waits_for, Some(why.clone()))
            }
            Came::Failed(why) => {
                self.failures = failures + 1;
                let pause = doubled(BACKOFF, failures, BACKOFF_MAX);
                (self.around(pause), Why::Backoff, Some(why.clone()))
            }
        };
        self.hold(now, later(now, pause), why, detail);
    }
}

fn doubled(pause: Duration, times: u32, most: Duration) -> Duration {
    (pause * 2u32.saturating_pow(times.min(10))).min(most)
}
