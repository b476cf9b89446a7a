//! What the rule assumes of clocks, reboots and outages. Schedules are cut down to it; `limits.rs` shows, for each
//! assumption, what comes of it when it does not hold.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::play::Play;
use crate::rule::Watch;
use crate::world::old;

impl Play {
    /// The steps of the clock that the rule is good for; `docs/leases.md` says why no rule is good for more.
    pub fn set_clock(&mut self, seconds: i32, running: bool) {
        let by = SignedDuration::from_secs(seconds.into());
        let mut to = self.world.wall.saturating_add(by).expect("a time in range");
        let now = self.world.wall;
        if self.assuming && to < now {
            // An answer takes milliseconds: no clock is set back between its making and its taking.
            self.world.lose_answer();
            // Once K is gone, the clock is not set back to where leases on it still run.
            let gone = self.gone.map(|gone| gone.ended);
            // In an outage it is not set back to before the last failure that a client knows of.
            let failed = self.failed.filter(|_| self.world.outage);
            // Nor, before the cutover, to before an answer that could not be recorded.
            let unrecorded = self.world.unrecorded_since().filter(|_| !self.world.published());
            to = [gone, failed, unrecorded].into_iter().flatten().fold(to, Timestamp::max).min(now);
        }
        if self.assuming && running && to > now && self.forward_step_is_unseen() {
            // Nobody sees a step forward without an agent: it must not end a lease that still runs when the
            // monotonic clock holds nothing any more, or a request signed a moment ago loses its S.
            to = to.min(self.world.bound().max(now));
        }
        self.world.set(to);
    }

    fn forward_step_is_unseen(&self) -> bool {
        let unseen = self.world.watch == Watch::Published;
        unseen && self.world.published() && !self.world.monotonic_holds()
    }

    /// All programs end, and with them requests that were signed and not sent. Caches kept elsewhere stay.
    pub fn reboot(&mut self, off: u32, step: i32) {
        self.world.reboot(Duration::from_secs(off.into()));
        for client in self.clients.iter_mut().filter(|client| !client.kind.survives_reboot) {
            *client = client.again();
        }
        (self.failed, self.signed) = (None, None);
        self.set_clock(step, false);
        self.world.serving_begins();
    }

    pub fn outage(&mut self) {
        self.sleepers_end();
        self.world.outage = true;
    }

    /// A client that keeps what it holds while its source fails, and that never woke while the source was
    /// healthy, would sign with K in the next outage. The rule assumes that there is none.
    pub fn sleepers_end(&mut self) {
        if self.gone.is_none() || !self.assuming {
            return;
        }
        for client in &mut self.clients {
            if !client.kind.bounded && client.holds() == Some(&old()) {
                *client = client.again();
                self.figures.slept_through += 1;
            }
        }
    }
}
