//! Rotates one key when its time has come, and goes on with what was begun: after a crash, after a wait, and after a
//! person's command.
//!
//! The engine's lock is held only while there is something to do. A wait of hours is left to the journal, so that a
//! person's `undo`, say, never finds the agent in the way.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use jiff::Timestamp;
use rotakey_core::journal::{Reason, Status};
use rotakey_core::rotation::{Ending, Goal, WaitingFor};
use rotakey_core::time::later;
use tokio::sync::mpsc::UnboundedReceiver;

use crate::clock::{Clock, SystemClock};
use crate::command::App;
use crate::driver::{Observer, Stop};
use crate::engine::{self, Run};
use crate::store::profile::ProfileState;

/// Another process rotates: it is looked at again after this.
const BUSY: Duration = Duration::from_secs(2);

/// After a failure, and after each further one twice that, up to the longest.
const BACKOFF: Duration = Duration::from_secs(10);
const BACKOFF_MAX: Duration = Duration::from_secs(900);

/// Something that only a person can change stands in the way.
const LONG: Duration = Duration::from_secs(3600);

/// The longest wait for which the lock is kept.
const KEPT: Duration = Duration::from_secs(5);

/// What a key's task is told.
#[derive(Debug)]
pub(super) enum Order {
    /// Look again: a person did something.
    Wake,
    /// The configuration was changed.
    Configure(Rc<App>),
}

/// Rotates one key.
pub(super) struct Rotations {
    /// The profile that holds it.
    pub(super) holder: String,
    /// The configuration.
    pub(super) app: Rc<App>,
    /// Set when the agent is to end.
    pub(super) ending: Rc<Cell<bool>>,
    /// Set when a person's command wants the engine's lock.
    pub(super) yielding: Rc<Cell<bool>>,
    /// Failures in a row.
    pub(super) failures: u32,
}

impl Rotations {
    /// Works until nobody can tell it anything any more.
    pub(super) async fn run(mut self, mut orders: UnboundedReceiver<Order>) {
        let clock = self.app.clock.clone();
        loop {
            let next = self.step().await;
            tokio::select! {
                order = orders.recv() => match order {
                    None => return,
                    Some(Order::Wake) => self.failures = 0,
                    Some(Order::Configure(app)) => self.app = app,
                },
                () = clock.sleep_until(next) => {}
            }
        }
    }

    /// Does what there is to be done, and says when to look again.
    async fn step(&mut self) -> Timestamp {
        let now = self.app.clock.now().wall;
        let state = ProfileState::new(&self.app.paths.state, &self.holder);
        if self.ending.get() {
            return later(now, LONG);
        }
        if self.yielding.take() || state.engine().is_some() {
            return later(now, BUSY);
        }
        let status = match state.read() {
            Ok((_, status)) => status,
            Err(error) => return self.failed(&error.to_string()),
        };
        match self.wanted(&status, now) {
            Err(until) => until,
            Ok(goal) => self.rotate(goal).await,
        }
    }

    /// What is to be done now, or when to look again.
    fn wanted(&self, status: &Status, now: Timestamp) -> Result<Goal, Timestamp> {
        let far = Err(later(now, LONG));
        let Some(current) = status.current.as_ref().filter(|_| status.withdrawn.is_none()) else {
            return far;
        };
        if let Some(open) = &status.rotation {
            return if open.stuck.is_some() { far } else { Ok(Goal::Resume) };
        }
        let Ok(settings) = self.app.settings() else { return far };
        // Of unknown age: a person has to begin.
        let Some(created) = current.created else { return far };
        let due = later(created, jittered(settings.max_age, &self.holder));
        if now < due { Err(due.min(later(now, LONG))) } else { Ok(Goal::Rotate(Reason::Scheduled)) }
    }

    async fn rotate(&mut self, goal: Goal) -> Timestamp {
        let mut watcher = Watcher {
            holder: &self.holder,
            clock: self.app.clock.clone(),
            ending: &self.ending,
            yielding: &self.yielding,
            until: None,
        };
        let run = engine::run(&self.app, goal, None, &mut watcher).await;
        let (until, now) = (watcher.until, self.app.clock.now().wall);
        match run {
            Err(failed) if failed.exit == crate::cli::failure::Exit::Decide => later(now, BUSY),
            Err(failed) => self.failed(&failed.message),
            Ok(Run { stop: Stop::Reached | Stop::Waiting(_), .. }) => {
                self.failures = 0;
                if self.yielding.take() { later(now, BUSY) } else { until.unwrap_or(now) }
            }
            Ok(Run { stop: Stop::Ending(Ending::Finished), status })
                if status.last_failure.is_some() =>
            {
                // It was taken back: the same would come of it again at once.
                let why = status.last_failure.unwrap_or_default();
                tracing::error!(profile = self.holder, why, "the rotation was undone");
                later(now, LONG)
            }
            Ok(Run { stop: Stop::Ending(ending), .. }) => self.ended(&ending),
        }
    }

    fn ended(&mut self, ending: &Ending) -> Timestamp {
        let now = self.app.clock.now().wall;
        let profile = &self.holder;
        match ending {
            Ending::Finished => {
                tracing::info!(profile, "the rotation is done");
                self.failures = 0;
                later(now, BUSY)
            }
            Ending::Failed(failure) => self.failed(&failure.to_string()),
            Ending::Abandoned(why) => self.failed(why),
            Ending::Stuck(why) => {
                tracing::error!(profile, why, "stuck: a person has to decide");
                later(now, LONG)
            }
            Ending::Checked(findings) | Ending::Blocked(findings) => {
                let why: Vec<_> =
                    findings.iter().map(rotakey_core::rotation::preflight::describe).collect();
                tracing::error!(profile, why = why.join("; "), "the rotation is held up");
                later(now, LONG)
            }
        }
    }

    fn failed(&mut self, why: &str) -> Timestamp {
        let pause = (BACKOFF * 2u32.saturating_pow(self.failures.min(10))).min(BACKOFF_MAX);
        self.failures += 1;
        tracing::warn!(profile = self.holder, why, retry_seconds = pause.as_secs(), "not done yet");
        later(self.app.clock.now().wall, pause)
    }
}

/// `max_age`, up to a tenth more or less, always the same for a profile: many profiles do not come due at once.
fn jittered(max_age: Duration, profile: &str) -> Duration {
    use sha2::{Digest, Sha256};
    let hash = Sha256::digest(profile.as_bytes());
    let share = f64::from(u16::from_be_bytes([hash[0], hash[1]])) / f64::from(u16::MAX);
    max_age.mul_f64(0.9 + share / 5.0)
}

/// Sees to it that no long wait keeps the lock.
struct Watcher<'a> {
    holder: &'a str,
    clock: SystemClock,
    ending: &'a Cell<bool>,
    yielding: &'a Cell<bool>,
    until: Option<Timestamp>,
}

impl Observer for Watcher<'_> {
    fn advanced(&mut self, status: &Status) {
        if let Some(open) = &status.rotation {
            tracing::info!(profile = self.holder, rotation = open.id.0, step = %open.step, "rotation");
        }
    }

    fn waits(&mut self, until: Timestamp, waiting_for: &WaitingFor) -> bool {
        let is_in_the_journal = matches!(
            waiting_for,
            WaitingFor::Leases
                | WaitingFor::Observation
                | WaitingFor::Straggler(..)
                | WaitingFor::Soak
                | WaitingFor::Orphan
                | WaitingFor::Mfa(..)
        );
        if is_in_the_journal && until > later(self.clock.now().wall, KEPT) {
            tracing::info!(profile = self.holder, %until, "waits for {waiting_for}");
            self.until = Some(until);
            return false;
        }
        true
    }

    fn is_over(&self) -> bool {
        self.ending.get() || self.yielding.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn profiles_come_due_within_a_tenth_of_the_age_and_not_all_at_once() {
        let day = Duration::from_secs(86_400);
        let ages: Vec<Duration> =
            (0..50).map(|n| jittered(day * 30, &format!("profile-{n}"))).collect();
        assert!(ages.iter().all(|age| (day * 27..=day * 33).contains(age)), "{ages:?}");
        let early = ages.iter().filter(|age| **age < day * 30).count();
        assert!((10..40).contains(&early), "{early} of 50 are early");
    }
}
