//! The scheduler's decisions about one key: what is to be done now, or when to look again and why.
//!
//! It touches nothing: the clocks, the journal's status and what a run came to are arguments. `rotations` carries out
//! what it says; `tests/unattended.rs` has it live through months of bad weather.

mod came;
mod jitter;
#[cfg(test)]
mod tests;
mod turns;
mod view;

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use rotakey_core::credential::AccessKeyId;
use rotakey_core::journal::{Act, Open, Reason, Record, RotationId, Status, Step};
use rotakey_core::rotation::preflight::describe;
use rotakey_core::rotation::{Goal, WaitingFor};
use rotakey_core::time::{Now, later};

pub use self::came::Came;
pub use self::jitter::of_age;
pub use self::turns::{AT_ONCE, SPACING, Turns};
pub use self::view::{View, Why};
use crate::cis;
use crate::config::QuietHours;

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

/// Quiet hours hold nothing back for longer: a machine may be awake in them alone.
const QUIET_MAX: Duration = Duration::from_secs(7 * 86_400);

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

/// Not before then.
#[derive(Clone, Debug)]
struct Hold {
    since: Timestamp,
    until: Timestamp,
    why: Why,
    detail: Option<String>,
    /// What the journal said then, once it was looked at: a command that wrote to it may have died before it woke us.
    place: Option<Place>,
}

/// Where a rotation is, as far as a hold goes by it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    rotation: Option<(RotationId, Step)>,
    compromised: Option<AccessKeyId>,
    undone: Option<String>,
    is_stuck: bool,
    is_given_up: bool,
    is_withdrawn: bool,
}

impl Place {
    fn of(status: &Status) -> Self {
        let open = status.rotation.as_ref();
        Self {
            rotation: open.map(|open| (open.id.clone(), open.step)),
            compromised: open.and_then(|open| open.compromised.clone()),
            undone: open.and_then(|open| open.undone.clone()),
            is_stuck: open.is_some_and(|open| open.stuck.is_some()),
            is_given_up: open.is_some_and(|open| open.aborting.is_some()),
            is_withdrawn: status.withdrawn.is_some(),
        }
    }
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

/// Until when a record may not be written, as what it announces is not done in quiet hours: a rotation begun, a key
/// made, deactivated or deleted. What is announced already is brought to its end. A key that no program was ever given is
/// no key that anybody misses: one that is given up is deleted, and an orphan set Inactive.
pub fn held_back(
    rules: &Rules,
    status: &Status,
    record: &Record,
    now: Timestamp,
) -> Option<Timestamp> {
    let open = status.rotation.as_ref();
    match record {
        Record::Begun { .. } => quiet_until(rules, status, now),
        Record::Intended { act }
            if matches!(act, Act::Create { .. } | Act::Deactivate { .. } | Act::Delete { .. }) =>
        {
            let open = open.filter(|open| open.intent.as_ref().map(|(act, _)| act) != Some(act))?;
            if is_urgent(open) || is_nobodys(open, act) {
                return None;
            }
            // It was begun a moment ago, when it was not quiet.
            let is_begun = matches!(act, Act::Create { .. }) && now < later(open.begun, KEPT);
            quiet_end(rules, ready(open, rules), now).filter(|_| !is_begun)
        }
        _ => None,
    }
}

/// Whether a key leaked: that asks for no hour.
fn is_urgent(open: &Open) -> bool {
    open.reason == Reason::Compromised || open.compromised.is_some()
}

/// Whether it takes away a key that was never served.
fn is_nobodys(open: &Open, act: &Act) -> bool {
    match act {
        Act::Delete { .. } => open.aborting.is_some() && open.published.is_none(),
        Act::Deactivate { access_key_id } => {
            open.orphan.as_ref().is_some_and(|orphan| orphan.id == *access_key_id)
        }
        _ => false,
    }
}

/// Until when no rotation begins. At the age that CIS allows the hours are quiet no longer.
fn quiet_until(rules: &Rules, status: &Status, now: Timestamp) -> Option<Timestamp> {
    let created = status.current.as_ref().and_then(|key| key.created);
    let overdue = created.map_or(Timestamp::MAX, |created| later(created, cis::AGE));
    rules.quiet.until(now, &rules.zone).map(|end| end.min(overdue)).filter(|end| now < *end)
}

/// Until when what was ready at `ready` is held back.
fn quiet_end(rules: &Rules, ready: Timestamp, now: Timestamp) -> Option<Timestamp> {
    let most = later(ready, QUIET_MAX);
    rules.quiet.until(now, &rules.zone).map(|end| end.min(most)).filter(|end| now < *end)
}

/// Since when it could be done, about. Of an old key that is to be deactivated that is since the new one is served, so
/// that each step on the way has not seven days of its own.
fn ready(open: &Open, rules: &Rules) -> Timestamp {
    match (open.deactivated, open.published) {
        (Some(at), _) if open.step >= Step::Soak => later(at, rules.soak),
        (_, Some(at)) => at,
        _ => open.begun,
    }
}

fn doubled(pause: Duration, times: u32, most: Duration) -> Duration {
    (pause * 2u32.saturating_pow(times.min(10))).min(most)
}
