//! Carries out what the scheduler decides about one key: it rotates it when its time has come, and goes on with what was
//! begun, after a crash, after a wait, and after a person's command.
//!
//! The engine's lock is held only while there is something to do. A wait of hours is left to the journal, so that a
//! person's `undo`, say, never finds the agent in the way.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use rotakey_core::credential::Credentials;
use rotakey_core::journal::{Reason, Record, Status};
use rotakey_core::rotation::preflight::describe;
use rotakey_core::rotation::{Goal, WaitingFor};
use rotakey_core::time::later;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::oneshot;

use super::board::Board;
use super::reach::{health, reach};
use super::schedule::{self, Came, Health, Next, Rules, Scheduler, Turns, Why};
use super::telling::{self, Seen};
use crate::cli::failure::Exit;
use crate::clock::{Clock, SystemClock};
use crate::command::App;
use crate::driver::Observer;
use crate::engine::{self, Run};
use crate::incident::quarantine;
use crate::shared_files::{Copy, plaintext_copies};
use crate::store::keystore::Keystore;
use crate::store::profile::ProfileState;

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

    /// Does what there is to be done, and says when to look again.
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
                let health = self.try_served(&status).await;
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
                let next = self.rotate(goal, &rules, &status).await;
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
        let run = engine::run(&self.app, goal, None, &mut watcher).await;
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

    /// What goes on all the while is said once.
    fn log(&mut self, came: &Came) {
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

    /// Whether AWS is there, by the key that is served.
    async fn reach(&self, status: &Status) -> Result<(), Came> {
        // What the keystore does not hold, the engine will say better.
        let Some((served, user)) = self.served(status) else { return Ok(()) };
        let Ok(settings) = self.app.settings() else { return Ok(()) };
        reach(&self.app.service(&settings), &self.app.clock, &served, &user).await
    }

    /// A copy that programs may go on reading when the key in it is gone. A person may rotate it all the same.
    fn copy_of_served(&self, status: &Status) -> Option<Copy> {
        let served = status.current.as_ref()?;
        plaintext_copies(&self.app.env, &[&served.id]).into_iter().next()
    }

    async fn try_served(&self, status: &Status) -> Health {
        let Some((served, user)) = self.served(status) else { return Health::Unknown };
        let Ok(settings) = self.app.settings() else { return Health::Unknown };
        let service = self.app.service(&settings);
        health(&service, &settings.policy.vantages, &served, &user).await
    }

    fn served(&self, status: &Status) -> Option<(Credentials, String)> {
        let id = status.current.as_ref()?.id.clone();
        let secret = self.keystore.get(&id).ok()??;
        Some((Credentials::long_term(id, secret), status.enrolment.as_ref()?.user.clone()))
    }
}

/// Whether the profile's settings are others. What cannot be read may be anything.
fn is_other(before: &App, after: &App) -> bool {
    match (before.settings(), after.settings()) {
        (Ok(before), Ok(after)) => before != after,
        _ => true,
    }
}

/// Sees to it that no long wait keeps the lock, and that quiet hours are kept.
struct Watcher<'a> {
    holder: &'a str,
    clock: SystemClock,
    ending: &'a Cell<bool>,
    yielding: &'a Cell<bool>,
    rules: &'a Rules,
    until: Option<Timestamp>,
    step: Option<rotakey_core::journal::Step>,
}

impl Observer for Watcher<'_> {
    fn advanced(&mut self, status: &Status) {
        let Some(open) = &status.rotation else { return };
        if self.step.replace(open.step) != Some(open.step) {
            tracing::info!(profile = self.holder, rotation = open.id.0, step = %open.step, "rotation");
        }
    }

    fn waits(&mut self, until: Timestamp, waiting_for: &WaitingFor) -> bool {
        let is_kept = schedule::is_kept(self.clock.now().wall, until, waiting_for);
        if !is_kept {
            tracing::info!(profile = self.holder, %until, "waits for {waiting_for}");
        }
        self.until = Some(until);
        is_kept
    }

    fn holds_back(&mut self, status: &Status, record: &Record) -> Option<Timestamp> {
        schedule::held_back(self.rules, status, record, self.clock.now().wall)
    }

    fn is_over(&self) -> bool {
        self.ending.get() || self.yielding.get()
    }
}
