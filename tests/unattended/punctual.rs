//! Is everything on time? Whatever is due and undisturbed is done within this.

use rotakey_agent::daemon::schedule::Why;
use rotakey_agent::driver::Came;
use rotakey_core::time::later;

use crate::one::{One, Sky};
use crate::system::seconds;

/// Something that stood in the way is looked at again within 75 minutes; then a turn, AWS and the engine take their time.
const GRACE: u64 = 2 * 3600;

impl One {
    /// After every event.
    pub fn judge(&mut self, sky: Sky) {
        let now = self.world.true_time();
        let status = self.world.status(0);
        let wall = self.world.now.wall;
        let is_due = match &status.rotation {
            None => self.scheduler.view().due.is_none_or(|due| due <= wall),
            // What the journal waits for is over.
            Some(open) => {
                open.stuck.is_none()
                    && !matches!(&self.came, Some(Came::Waits(until, _)) if *until > wall)
            }
        };
        let is_taken_back = matches!(self.came, Some(Came::Abandoned(_)))
            || (matches!(self.came, Some(Came::Finished)) && status.last_failure.is_some());
        let is_patient = is_taken_back
            && self.scheduler.view().waits_for == Some(Why::Backoff)
            && self
                .scheduler
                .view()
                .until
                .is_some_and(|until| until < later(wall, seconds(31 * 3600)));
        let is_kept = sky.is_aws_down
            || sky.is_agent_down
            || !self.world.skew.is_zero()
            || self.meddling > 0
            || self.is_tagged
            || self.is_at_work()
            || is_patient
            || self.rules.quiet.until(wall, &self.rules.zone).is_some()
            || status.rotation.as_ref().is_some_and(|open| open.stuck.is_some());
        if !is_due || is_kept {
            let due = self.scheduler.view().due.filter(|_| status.rotation.is_none());
            if let Some(due) = due.filter(|_| is_due && self.is_at_work()) {
                let late = now.duration_since(self.calm_since).min(wall.duration_since(due));
                self.latest = self.latest.max(late.as_secs().unsigned_abs() / 60);
            }
            self.calm_since = now;
        } else if now > later(self.calm_since, seconds(GRACE)) {
            let view = self.scheduler.view().clone();
            let since = self.calm_since;
            self.violation(format!(
                "on-time: nothing keeps it since {since}: {view:?} {:?}",
                self.came
            ));
        }
    }
}
