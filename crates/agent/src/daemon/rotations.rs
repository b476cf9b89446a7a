//! Carries out what the scheduler decides about one key: it rotates it when its time has come, and goes on with what was
//! begun, after a crash, after a wait, and after a person's command.
//!
//! The engine's lock is held only while there is something to do. A wait of hours is left to the journal, so that a
//! person's `undo`, say, never finds the agent in the way.

mod log;
mod looks;
mod watcher;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use rotakey_core::journal::{Reason, Status};
use rotakey_core::rotation::Goal;
use rotakey_core::time::later;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::oneshot;

use self::watcher::Watcher;
use super::board::Board;
use super::schedule::{self, Health, Next, Rules, Scheduler, Turns, Why};
use crate::app::App;
use crate::clock::Clock;
use crate::driver::Came;
use crate::engine::{self, Run};
use crate::failure::Exit;
use crate::incident::quarantine;
use crate::store::keystore::Keystore;
use crate::store::profile::ProfileState;
use crate::telling::{self, Seen};

/// Another process rotates, or the agent ends: it is looked at again after this.
const BUSY: Duration = Duration::from_secs(2);
const LONG: Duration = Duration::from_secs(3600);

/// What a key's task is told.
#[derive(Debug)]
pub(super) enum Order {
    /// Look again: a person did something.
    Wake,
    /// A program that holds a credential says that AWS refuses it. Answered by whether that counts now.
    Report(String, oneshot::Sender<bool>),
    /// The configuration was changed.
    Configure(Rc<App>),
}

/// Rotates one key.
pub(super) struct Rotations {
    /// The profile that holds it.
    pub(super) holder: String,
    /// The configuration.
    pub(super) app: Rc<App>,
    /// Where the secrets are.
    pub(super) keystore: Rc<dyn Keystore>,
    /// Set when the agent is to end.
    pub(super) ending: Rc<Cell<bool>>,
    /// Set when a person's command wants the engine's lock.
    pub(super) yielding: Rc<Cell<bool>>,
    /// Decides.
    pub(super) scheduler: Scheduler,
    /// Whose turn it is, of all keys.
    pub(super) turns: Rc<RefCell<Turns>>,
    /// Where people see what it is doing.
    pub(super) board: Arc<Board>,
    /// The trouble that the log has told last.
    pub(super) said: Option<String>,
}

impl Rotations {
    /// Works until nobody can tell it anything any more.
    pub(super) async fn run(mut self, mut orders: UnboundedReceiver<Order>) {
        let clock = self.app.clock.clone();
        loop {
            let next = self.step().await;
            // A wall clock that is set back must not make it sleep for longer.
            let left = Duration::try_from(next.duration_since(clock.now().wall));
            let left = left.unwrap_or_default();
            self.board.show(&self.holder, self.scheduler.view());
            tokio::select! {
                order = orders.recv() => match order {
                    None => break,
                    Some(Order::Wake) => self.scheduler.wake(),
                    Some(Order::Report(what, done)) => {
                        let counts = !self.is_quarantined()
                            && self.status().is_ok_and(|s| self.scheduler.report(self.app.clock.now().wall, &s, what));
                        let _ = done.send(counts);
                    }
                    Some(Order::Configure(app)) => {
                        // Other profiles' settings are no reason to try again what failed here.
                        let is_other = is_other(&self.app, &app);
                        self.app = app;
                        if is_other {
                            self.scheduler.wake();
                        }
                    }
                },
                () = clock.sleep_until(next) => {}
                () = tokio::time::sleep(left) => {}
            }
        }
        self.board.forget(&self.holder);
    }

    fn status(&self) -> Result<Status, String> {
        let state = ProfileState::new(&self.app.paths.state, &self.holder);
        state.read().map(|(_, status)| status).map_err(|error| error.to_string())
    }

    /// Does what there is to be done, and says when to look again. What asks AWS is in a box, which is gone afterwards: the
    /// task waits for most of its life, and would keep the room for it.
    async fn step(&mut self) -> Timestamp {
        let now = self.app.clock.now();
        let state = ProfileState::new(&self.app.paths.state, &self.holder);
        if self.ending.get() {
            return later(now.wall, LONG);
        }
        if self.yielding.take() || state.engine().is_some() {
            return later(now.wall, BUSY);
        }
        let rules = match self.rules() {
            Ok(rules) => rules,
            Err(why) => return self.cannot(why),
        };
        let status = match self.status() {
            Ok(status) => status,
            Err(why) => return self.cannot(why),
        };
        match self.scheduler.look(&now, &rules, &status) {
            Next::At(next) => schedule::peeks_at(now.wall, next, &status),
            Next::Health => {
                let health = Box::pin(self.try_served(&status)).await;
                if let Health::Refused(why) = &health
                    && self.said.replace(why.clone()).as_ref() != Some(why)
                {
                    tracing::warn!(profile = self.holder, why, "what is served does not work");
                }
                self.scheduler.health(self.app.clock.now().wall, &rules, health);
                self.app.clock.now().wall
            }
            // Whoever has the leaked key would have it back.
            Next::Run(Goal::Reactivate(sign)) if self.is_quarantined() => {
                let why = format!("{sign}, but a key of this user leaked: `undo` needs --force");
                self.came_to(Came::Quarantined(why), &status, None)
            }
            Next::Run(Goal::Rotate(Reason::Scheduled))
                if let Some(copy) = self.copy_of_served(&status) =>
            {
                self.came_to(Came::Copied(copy.to_string()), &status, None)
            }
            Next::Run(goal) => {
                let begins = matches!(goal, Goal::Rotate(_));
                let turn = self.turns.borrow_mut().ask(&self.holder, begins, now.wall);
                if let Err(next) = turn {
                    self.scheduler.hold(now.wall, next, Why::Turn, None);
                    return now.wall;
                }
                // It may be at work for minutes.
                self.board.show(&self.holder, self.scheduler.view());
                let next = Box::pin(self.rotate(goal, &rules, &status)).await;
                self.turns.borrow_mut().done(&self.holder);
                next
            }
        }
    }

    fn is_quarantined(&self) -> bool {
        quarantine::is_marked(&ProfileState::new(&self.app.paths.state, &self.holder))
    }

    fn rules(&self) -> Result<Rules, String> {
        let settings = self.app.settings().map_err(|failed| failed.message)?;
        let (soak, zone) = (settings.policy.soak, self.app.clock.zone());
        Ok(Rules { max_age: settings.max_age, soak, quiet: settings.quiet_hours, zone })
    }

    async fn rotate(&mut self, goal: Goal, rules: &Rules, before: &Status) -> Timestamp {
        if let Err(came) = self.reach(before).await {
            return self.came_to(came, before, None);
        }
        let mut watcher = Watcher {
            holder: &self.holder,
            clock: self.app.clock.clone(),
            ending: &self.ending,
            yielding: &self.yielding,
            rules,
            until: None,
            step: None,
        };
        let run = engine::run(&self.app, self.keystore.as_ref(), goal, None, &mut watcher).await;
        let until = watcher.until;
        let now = self.app.clock.now().wall;
        match run {
            Err(failed) if failed.exit == Exit::Decide => self.came_to(Came::Busy, before, None),
            Err(failed) => self.came_to(Came::Failed(failed.message), before, None),
            Ok(Run { stop, status }) => {
                let came = Came::of(stop, until, now);
                if matches!(came, Came::GaveWay) && self.yielding.take() {
                    return later(now, BUSY);
                }
                self.came_to(came, before, Some(&status))
            }
        }
    }

    /// Without rules or a journal nothing can be looked at: it is tried again after a pause.
    fn cannot(&mut self, why: String) -> Timestamp {
        let next = self.came_to(Came::Failed(why), &Status::default(), None);
        self.scheduler.held_until().unwrap_or(next)
    }

    /// Notes and tells what came of it, and looks again when the scheduler says so.
    fn came_to(&mut self, came: Came, before: &Status, after: Option<&Status>) -> Timestamp {
        let (now, profile) = (self.app.clock.now().wall, self.holder.clone());
        let after = after.unwrap_or(before);
        self.scheduler.came_to(now, &came, after);
        let failures = self.scheduler.failures();
        telling::tell(
            &self.app,
            &Seen { profile: &profile, now, before, after, came: &came, failures },
        );
        self.log(&came);
        later(now, Duration::from_millis(1))
    }
}

/// Whether the profile's settings are others. What cannot be read may be anything.
fn is_other(before: &App, after: &App) -> bool {
    match (before.settings(), after.settings()) {
        (Ok(before), Ok(after)) => before != after,
        _ => true,
    }
}
