//! The scheduler's decisions about one key: what is to be done now, or when to look again and why.
//!
//! It touches nothing: the clocks, the journal's status and what a run came to are arguments. `quiet` says what quiet hours
//! hold back, `pause` spaces what failed, `rotations` carries out what is decided; `tests/unattended.rs` has it live through
//! months of bad weather.

mod hold;
mod jitter;
mod pause;
mod quiet;
#[cfg(test)]
mod tests;
mod turns;
mod view;

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use rotakey_core::journal::{Open, Reason, Status, Step};
use rotakey_core::rotation::{Goal, WaitingFor};
use rotakey_core::time::{Now, later};

use self::hold::{Hold, Place};
pub use self::jitter::of_age;
pub use self::quiet::held_back;
use self::quiet::{is_urgent, quiet_end, quiet_until, ready};
pub use self::turns::{AT_ONCE, SPACING, Turns};
pub use self::view::{View, Why};
use crate::config::QuietHours;

/// Something that only a person can change stands in the way. Nothing else is looked at more seldom.
const LONG: Duration = Duration::from_secs(3600);

/// While a rotation is open, its journal is looked at so often at least.
const PEEK: Duration = Duration::from_secs(60);

/// The longest wait for which a run keeps the engine's lock.
const KEPT: Duration = Duration::from_secs(5);

/// The wall clock gained so much on the monotonic one: the machine was asleep.
const ASLEEP: Duration = Duration::from_secs(60);

/// After a sleep the network takes a moment, and the profiles do not come all at once.
const AWAKE: Duration = Duration::from_secs(5);
const AWAKE_SPREAD: Duration = Duration::from_secs(60);

/// During the soak what is served is tried so often at least.
const HEALTH: Duration = Duration::from_secs(3600);
/// How long a sign is one: what is served may be taken again by then.
const FRESH: Duration = Duration::from_secs(300);

/// One that was refused is tried again after this, and so many refusals in a row are a sign.
const HEALTH_AGAIN: Duration = Duration::from_secs(20);
const HEALTH_REFUSALS: u32 = 3;

/// What the configuration says about when.
#[derive(Clone, Debug)]
pub struct Rules {
    /// Rotate at this age.
    pub max_age: Duration,
    /// How long a deactivated key soaks.
    pub soak: Duration,
    /// When to leave the keys as they are.
    pub quiet: QuietHours,
    /// Whose hours these are.
    pub zone: TimeZone,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Nothing, until then.
    At(Timestamp),
    /// Ask for a turn, see that AWS is there, and run the engine with this goal.
    Run(Goal),
    /// Try what is served, and say what came of it.
    Health,
}

/// What came of trying what is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// AWS takes it.
    Good,
    /// AWS refuses it.
    Refused(String),
    /// Nobody knows.
    Unknown,
}

/// Schedules one key.
#[derive(Clone, Debug)]
pub struct Scheduler {
    profile: String,
    hold: Option<Hold>,
    /// Failures in a row, and calls in a row that did not reach AWS.
    failures: u32,
    offline: u32,
    /// Counts pauses: each has a chance of its own.
    pauses: u32,
    seen: Option<Now>,
    /// The machine woke up: nothing before then.
    awake: Option<Timestamp>,
    /// Why the previous key is wanted back.
    sign: Option<(String, Timestamp)>,
    refusals: u32,
    health_next: Option<Timestamp>,
    view: View,
}

impl Scheduler {
    /// For the key that this profile holds.
    pub fn new(profile: &str) -> Self {
        Self {
            profile: profile.to_owned(),
            hold: None,
            failures: 0,
            offline: 0,
            pauses: 0,
            seen: None,
            awake: None,
            sign: None,
            refusals: 0,
            health_next: None,
            view: View::default(),
        }
    }

    /// A person did something, or the configuration was changed: what held it may be gone.
    pub fn wake(&mut self) {
        (self.hold, self.awake) = (None, None);
        (self.failures, self.offline) = (0, 0);
    }

    /// A program of this machine that is served says that it is refused. It counts during the soak alone.
    pub fn report(&mut self, now: Timestamp, status: &Status, what: String) -> bool {
        let applies = status.rotation.as_ref().is_some_and(Open::may_reactivate);
        if applies {
            self.wanted_back(what, now);
        }
        applies
    }

    /// Failures in a row.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// What it is doing.
    pub fn view(&self) -> &View {
        &self.view
    }

    /// What is to be done now.
    pub fn look(&mut self, now: &Now, rules: &Rules, status: &Status) -> Next {
        self.notice_sleep(now);
        let now = now.wall;
        // Right now, if nothing below says otherwise.
        self.view = View {
            due: self.due(rules, status),
            next_look: Some(now),
            failures: self.failures,
            ..View::default()
        };
        let open = status.rotation.as_ref();
        if !open.is_some_and(Open::may_reactivate) {
            (self.sign, self.refusals, self.health_next) = (None, 0, None);
        }
        // Nobody could act on it for a while (a sleep, an outage): what is served is tried again before anything is done.
        let is_fresh = |at: Timestamp| at <= now && now < later(at, FRESH);
        if self.sign.as_ref().is_some_and(|(_, at)| !is_fresh(*at)) {
            (self.sign, self.refusals, self.health_next) = (None, 1, None);
        }
        // A clock that was set back: what it said before is no measure.
        self.hold = self.hold.take().filter(|hold| hold.since <= now && now < hold.until);
        // Nor is a hold of what is over.
        let place = Place::of(status);
        self.hold = self.hold.take().filter(|hold| hold.place.as_ref().is_none_or(|p| *p == place));
        if let Some(hold) = &mut self.hold {
            hold.place = Some(place);
        }
        if let Some(hold) = self.hold.clone() {
            return self.holds(now, rules, status, hold);
        }
        // What was refused a while ago may be taken by now.
        if self.refusals > 0 && self.sign.is_none() {
            let health = self.health_next.filter(|at| *at <= later(now, HEALTH * 2));
            match health.filter(|at| now < *at) {
                None => return Next::Health,
                Some(at) => {
                    let detail = "what is served was refused".to_owned();
                    return self.waits(now, at, Some(Why::Backoff), Some(detail));
                }
            }
        }
        let goal = match (open, &status.current) {
            _ if status.withdrawn.is_some() => {
                return self.waits(now, later(now, LONG), None, None);
            }
            (_, None) => return self.waits(now, later(now, LONG), None, None),
            (Some(open), _) => match self.wanted_of(open, rules, now) {
                Ok(goal) => goal,
                Err((until, why, detail)) if open.may_reactivate() => {
                    let hold = Hold { since: now, until, why, detail, place: None };
                    return self.holds(now, rules, status, hold);
                }
                Err((until, why, detail)) => return self.waits(now, until, Some(why), detail),
            },
            (None, Some(_)) => match self.view.due {
                None => {
                    let detail = "the key's age is not known: rotate it once by hand".to_owned();
                    return self.waits(now, later(now, LONG), Some(Why::Person), Some(detail));
                }
                Some(due) if now < due => return self.waits(now, due, None, None),
                Some(_) => match quiet_until(rules, status, now) {
                    Some(until) => return self.waits(now, until, Some(Why::QuietHours), None),
                    None => Goal::Rotate(Reason::Scheduled),
                },
            },
        };
        if let Some(until) = self.awake.filter(|until| now < *until) {
            let detail = "the machine was asleep: its profiles take turns".to_owned();
            return self.waits(now, until, Some(Why::Turn), Some(detail));
        }
        self.awake = None;
        Next::Run(goal)
    }

    fn wanted_of(
        &self,
        open: &Open,
        rules: &Rules,
        now: Timestamp,
    ) -> Result<Goal, (Timestamp, Why, Option<String>)> {
        if let Some(why) = &open.stuck {
            return Err((later(now, LONG), Why::Person, Some(why.clone())));
        }
        if let Some((sign, _)) = self.sign.as_ref().filter(|_| open.may_reactivate()) {
            return Ok(Goal::Reactivate(sign.clone()));
        }
        let retires = match open.step {
            _ if is_urgent(open) => false,
            Step::Drain | Step::Soak => true,
            Step::Deactivate => open.intent.is_none(),
            _ => false,
        };
        match quiet_end(rules, ready(open, rules), now).filter(|_| retires) {
            Some(until) => Err((until, Why::QuietHours, None)),
            None => Ok(Goal::Resume),
        }
    }

    /// Nothing is to be done before a hold is over, but to try what is served.
    fn holds(&mut self, now: Timestamp, rules: &Rules, status: &Status, hold: Hold) -> Next {
        let mut next = hold.until;
        let soaks = status.rotation.as_ref().is_some_and(Open::may_reactivate);
        if soaks && matches!(hold.why, Why::Soak | Why::QuietHours) {
            let every = (rules.soak / 8).clamp(Duration::from_secs(1), HEALTH);
            let health = self.health_next.filter(|at| *at <= later(now, HEALTH * 2));
            let health = health.unwrap_or_else(|| later(now, self.around(every)));
            self.health_next = Some(health);
            if health <= now {
                return Next::Health;
            }
            next = next.min(health);
        }
        self.waits(now, next, Some(hold.why), hold.detail);
        self.view.until = Some(hold.until);
        Next::At(next)
    }

    /// What came of trying what is served.
    pub fn health(&mut self, now: Timestamp, rules: &Rules, health: Health) {
        let every = (rules.soak / 8).clamp(Duration::from_secs(1), HEALTH);
        let mut pause = self.around(every);
        match health {
            Health::Good => self.refusals = 0,
            Health::Unknown if self.refusals > 0 => pause = every.min(HEALTH_AGAIN * 3),
            Health::Unknown => {}
            Health::Refused(why) => {
                self.refusals += 1;
                pause = every.min(HEALTH_AGAIN);
                if self.refusals >= HEALTH_REFUSALS {
                    self.wanted_back(why, now);
                }
            }
        }
        self.health_next = Some(later(now, pause));
    }

    fn wanted_back(&mut self, sign: String, now: Timestamp) {
        (self.sign, self.hold) = (Some((sign, now)), None);
    }

    /// It is not its turn, or AWS is not there, or another process is at work.
    pub fn hold(&mut self, now: Timestamp, until: Timestamp, why: Why, detail: Option<String>) {
        self.hold = Some(Hold { since: now, until, why, detail, place: None });
    }

    /// When a hold is over, if there is one.
    pub fn held_until(&self) -> Option<Timestamp> {
        self.hold.as_ref().map(|hold| hold.until)
    }

    /// When the current key comes of age, if nothing is under way.
    fn due(&self, rules: &Rules, status: &Status) -> Option<Timestamp> {
        let current = status.current.as_ref().filter(|_| status.rotation.is_none())?;
        Some(later(current.created?, of_age(rules.max_age, &self.profile)))
    }

    fn notice_sleep(&mut self, now: &Now) {
        let seen = self.seen.replace(now.clone());
        let Some(seen) = seen.filter(|seen| seen.monotonic.boot == now.monotonic.boot) else {
            return;
        };
        let counted = now.monotonic.since_boot.saturating_sub(seen.monotonic.since_boot);
        if now.wall <= later(seen.wall, counted + ASLEEP) {
            return;
        }
        self.pauses += 1;
        let spread = jitter::within(AWAKE_SPREAD, &self.profile, self.pauses);
        self.awake = Some(later(now.wall, AWAKE + spread));
        let is_stale = |hold: &Hold| matches!(hold.why, Why::Offline | Why::Clock | Why::Backoff);
        if self.hold.as_ref().is_some_and(is_stale) {
            (self.hold, self.offline) = (None, 0);
        }
    }

    fn around(&mut self, pause: Duration) -> Duration {
        self.pauses += 1;
        jitter::around(pause, &self.profile, self.pauses)
    }

    fn waits(
        &mut self,
        now: Timestamp,
        until: Timestamp,
        why: Option<Why>,
        detail: Option<String>,
    ) -> Next {
        // What a person or a clock changes is seen within the hour.
        let next = if self.hold.is_some() { until } else { until.min(later(now, LONG)) };
        self.view.waits_for = why;
        self.view.until = why.filter(|why| *why != Why::Person).map(|_| until);
        self.view.detail = detail;
        self.view.next_look = Some(next);
        Next::At(next)
    }
}

/// When the journal is looked at again, if nothing is to be done before `next`: a command that was killed has woken nobody.
pub fn peeks_at(now: Timestamp, next: Timestamp, status: &Status) -> Timestamp {
    let most = if status.rotation.is_some() { PEEK } else { LONG };
    next.min(later(now, most))
}

/// Whether a run goes on through this wait. A wait of hours is left to the journal, so that a person's command never
/// finds the engine's lock taken.
pub fn is_kept(now: Timestamp, until: Timestamp, waiting_for: &WaitingFor) -> bool {
    let is_in_the_journal = matches!(
        waiting_for,
        WaitingFor::Leases
            | WaitingFor::Observation
            | WaitingFor::Straggler(..)
            | WaitingFor::Soak
            | WaitingFor::Orphan
            | WaitingFor::Mfa(..)
            | WaitingFor::QuietHours
    );
    !is_in_the_journal || until <= later(now, KEPT)
}
