//! What the log is told of a key's rotations.

use rotakey_core::rotation::preflight::describe;

use super::Rotations;
use crate::driver::Came;

impl Rotations {
    /// What goes on all the while is said once.
    pub(super) fn log(&mut self, came: &Came) {
        let (profile, failures) = (&self.holder, self.scheduler.failures());
        let (kind, why) = match came {
            Came::Offline(why) => ("AWS cannot be reached: nothing is begun", why.clone()),
            Came::Clock(why) => ("the clock is off: nothing is begun", why.clone()),
            Came::Stuck(why) => ("stuck: a person has to decide", why.clone()),
            Came::Failed(why) | Came::Abandoned(why) | Came::Quarantined(why) => {
                ("not done yet", why.clone())
            }
            Came::Blocked(findings) => {
                let why: Vec<_> = findings.iter().map(describe).collect();
                ("the rotation is held up", why.join("; "))
            }
            Came::Copied(place) => {
                ("the rotation is held up by a plaintext copy of the key", place.clone())
            }
            Came::Waits(..) | Came::GaveWay | Came::Busy => return,
            Came::Finished => {
                tracing::info!(profile, "the rotation is closed");
                self.said = None;
                return;
            }
        };
        // The words of the first two differ each time.
        let what = match came {
            Came::Offline(_) | Came::Clock(_) => kind.to_owned(),
            _ => format!("{kind}: {why}"),
        };
        if self.said.as_ref() != Some(&what) {
            tracing::warn!(profile, why, failures, "{kind}");
            self.said = Some(what);
        }
    }
}
