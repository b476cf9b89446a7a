//! One profile in the agent's care: what `daemon::rotations` does, on virtual time.

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use rotakey_agent::config::QuietHours;
use rotakey_agent::daemon::schedule::{self, Next, Rules, Scheduler, Turns, Why};
use rotakey_agent::driver::Came;
use rotakey_agent::news::News;
use rotakey_agent::telling::{Seen, Told};
use rotakey_core::credential::KeyStatus;
use rotakey_core::iam::Doubt;
use rotakey_core::journal::{Record, Status};
use rotakey_core::rotation::{Command, Goal, REACTIVATED};
use rotakey_core::time::later;

use crate::programs::Program;
use crate::system::blows::{Blow, Loss};
use crate::system::{World, seconds};

pub struct One {
    pub name: String,
    pub world: World,
    pub rules: Rules,
    pub scheduler: Scheduler,
    pub programs: Vec<Program>,
    /// When it is looked at next, by this machine's clocks: whichever comes first.
    next: (Timestamp, Duration),
    /// A person's command is at work, not the agent.
    pub is_by_hand: bool,
    /// The journal when the present run began.
    before: Status,
    /// What the last run came to.
    pub came: Option<Came>,
    /// An admin's doings that are not set right yet.
    pub meddling: u32,
    /// A foreign installation's tag is on the user.
    pub is_tagged: bool,
    /// A holder reported.
    pub had_a_sign: bool,
    /// When AWS last refused what is served, the agent trying it.
    refused_at: Option<Timestamp>,
    /// Since when nothing keeps it, by the true time; and how late a rotation began.
    pub calm_since: Timestamp,
    pub latest: u64,
    told: Told,
    pub news: Vec<News>,
    pub rotations: u64,
    pub turned_round: u64,
}

/// What is the matter with the machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sky {
    pub is_aws_down: bool,
    pub is_agent_down: bool,
}

impl One {
    pub fn new(name: String, world: World, rules: Rules, programs: Vec<Program>) -> Self {
        let (now, calm_since) = (world.now.wall, world.true_time());
        Self {
            scheduler: Scheduler::new(&name),
            name,
            world,
            rules,
            programs,
            next: (now, Duration::ZERO),
            is_by_hand: false,
            before: Status::default(),
            came: None,
            meddling: 0,
            is_tagged: false,
            had_a_sign: false,
            refused_at: None,
            calm_since,
            latest: 0,
            told: Told::default(),
            news: Vec::new(),
            rotations: 0,
            turned_round: 0,
        }
    }

    /// When there is something to do, by this machine's clock.
    pub fn due(&self, sky: Sky) -> Timestamp {
        match &self.world.installs[0].process {
            _ if sky.is_agent_down && !self.is_by_hand => Timestamp::MAX,
            None => {
                let (wall, counted) = self.next;
                let now = &self.world.now;
                wall.min(later(now.wall, counted.saturating_sub(now.monotonic.since_boot)))
            }
            Some(process) => match &process.command {
                Command::Wait { until, waiting_for }
                    if schedule::is_kept(self.world.now.wall, *until, waiting_for) =>
                {
                    (*until).max(self.world.now.wall)
                }
                _ => self.world.now.wall,
            },
        }
    }

    pub fn look_at(&mut self, next: Timestamp) {
        let now = &self.world.now;
        let left = Duration::try_from(next.duration_since(now.wall)).unwrap_or_default();
        self.next = (next, now.monotonic.since_boot + left);
    }

    pub fn is_at_work(&self) -> bool {
        self.world.installs[0].process.is_some()
    }

    /// Does what is due now.
    pub fn go_on(&mut self, sky: Sky, turns: &mut Turns) -> String {
        if self.is_at_work() {
            return self.step(sky, turns);
        }
        let now = self.world.now.clone();
        let status = self.world.status(0);
        match self.scheduler.look(&now, &self.rules, &status) {
            Next::At(next) => {
                self.look_at(next.max(later(now.wall, seconds(1))));
                format!("looks again at {next}: {:?}", self.scheduler.view().waits_for)
            }
            Next::Health => {
                let health = match sky.is_aws_down {
                    true => schedule::Health::Unknown,
                    false => self.world.health(0),
                };
                if matches!(health, schedule::Health::Refused(_)) {
                    self.refused_at = Some(now.wall);
                }
                let said = format!("tries what is served: {health:?}");
                self.scheduler.health(now.wall, &self.rules, health);
                self.look_at(now.wall);
                said
            }
            Next::Run(goal) => self.begin(goal, &status, sky, turns),
        }
    }

    fn begin(&mut self, goal: Goal, status: &Status, sky: Sky, turns: &mut Turns) -> String {
        let now = self.world.now.wall;
        self.look_at(now);
        let begins = matches!(goal, Goal::Rotate(_));
        if let Err(next) = turns.ask(&self.name, begins, now) {
            self.scheduler.hold(now, next, Why::Turn, None);
            return "has to wait for its turn".to_owned();
        }
        let reached = match sky.is_aws_down {
            true => {
                let doubt = Doubt { sent: false, reason: "no route".to_owned() };
                Err(Came::Offline(doubt.to_string()))
            }
            false => self.world.reach(0),
        };
        self.before = status.clone();
        if let Err(came) = reached {
            return self.over(came, turns);
        }
        self.world.start(0, goal.clone(), None);
        match self.world.installs[0].ended.clone() {
            Some(ending) => self.over(ending.into(), turns),
            None => format!("the engine starts: {goal:?}"),
        }
    }

    /// One command of the engine.
    fn step(&mut self, sky: Sky, turns: &mut Turns) -> String {
        let Some(process) = &self.world.installs[0].process else { return String::new() };
        let (command, now) = (process.command.clone(), self.world.now.wall);
        match &command {
            Command::Wait { until, waiting_for }
                if !schedule::is_kept(now, *until, waiting_for) =>
            {
                self.world.installs[0].process = None;
                return self.over(Came::Waits(*until, waiting_for.clone()), turns);
            }
            Command::Append(entry) if !self.is_by_hand => {
                let status = process.journal.status().clone();
                if let Some(until) = schedule::held_back(&self.rules, &status, &entry.record, now) {
                    self.world.installs[0].process = None;
                    let quiet = rotakey_core::rotation::WaitingFor::QuietHours;
                    return self.over(Came::Waits(until, quiet), turns);
                }
            }
            _ => {}
        }
        let is_call = !command.action().is_empty();
        if is_call {
            self.world.pass(Duration::from_millis(120));
        }
        self.watch_quiet_hours(&command);
        let lost = (is_call && sky.is_aws_down).then_some(Blow::Lost(Loss::NotSent));
        self.world.step(0, lost);
        self.note(&command);
        match self.world.installs[0].ended.clone().filter(|_| !self.is_at_work()) {
            Some(ending) => format!("{command:?}; {}", self.over(ending.into(), turns)),
            None => format!("{command:?}"),
        }
    }

    fn over(&mut self, came: Came, turns: &mut Turns) -> String {
        let (now, after) = (self.world.now.wall, self.world.status(0));
        if !std::mem::take(&mut self.is_by_hand) {
            turns.done(&self.name);
            self.scheduler.came_to(now, &came, &after);
        }
        self.look_at(later(now, Duration::from_millis(1)));
        let seen = Seen {
            profile: &self.name,
            now,
            before: &self.before,
            after: &after,
            came: &came,
            failures: self.scheduler.failures(),
        };
        let news = self.told.news(&seen);
        let said = format!(
            "{came:?} {}",
            news.iter().map(|n| format!("[{:?}]", n.kind)).collect::<String>()
        );
        for one in news {
            let is_same = |old: &News| {
                (old.kind, &old.rotation, &old.message) == (one.kind, &one.rotation, &one.message)
            };
            if one.rotation.is_some() && self.news.iter().any(is_same) {
                self.violation(format!("told-once: {one:?}"));
            }
            self.news.push(one);
        }
        self.came = Some(came);
        said
    }

    /// The agent's process is gone, and its memory with it.
    pub fn forget(&mut self) {
        if !self.is_by_hand {
            self.world.installs[0].process = None;
        }
        self.scheduler = Scheduler::new(&self.name);
        self.look_at(self.world.now.wall);
    }

    fn note(&mut self, command: &Command) {
        let Command::Append(entry) = command else { return };
        match &entry.record {
            Record::Finished => self.rotations += 1,
            Record::UndoBegun { why, .. } => {
                self.turned_round += 1;
                // As long as a sign is one, and what a run takes to its first record.
                let lately = self.world.now.wall.saturating_sub(seconds(360)).expect("in range");
                let is_refused = self.refused_at.is_some_and(|at| at > lately);
                if why.starts_with(REACTIVATED) && !self.had_a_sign && !is_refused {
                    self.violation(
                        "local-sign: a key was made active again without one".to_owned(),
                    );
                }
            }
            Record::Begun { .. } if !self.is_by_hand => {
                self.had_a_sign = false;
                let skew = self.world.skew.abs();
                if skew > jiff::SignedDuration::from_mins(5) + jiff::SignedDuration::from_mins(2) {
                    self.violation(format!("right-clock: begun with a clock that is {skew} off"));
                }
            }
            _ => {}
        }
    }

    /// No key is made, deactivated or deleted in quiet hours by the agent, but what was announced before them.
    fn watch_quiet_hours(&mut self, command: &Command) {
        let is_act = match command {
            Command::Create { .. } | Command::Update { status: KeyStatus::Inactive, .. } => true,
            Command::Delete { id, .. } => self.world.keys().iter().any(|(key, _)| key == id),
            _ => false,
        };
        let status = self.world.status(0);
        let (true, false, Some(open)) = (is_act, self.is_by_hand, &status.rotation) else { return };
        let Some((_, at)) = &open.intent else { return };
        // A key that no program was ever given.
        let is_nobodys = match command {
            Command::Update { id, .. } => open.orphan.as_ref().is_some_and(|o| o.id == *id),
            Command::Delete { .. } => open.aborting.is_some() && open.published.is_none(),
            _ => false,
        };
        let is_quiet = |at| self.rules.quiet.until(at, &TimeZone::UTC).is_some();
        let ready = match (open.deactivated, open.step.name()) {
            (Some(at), "soak" | "delete") => later(at, self.rules.soak),
            _ => open.published.unwrap_or(open.begun),
        };
        let is_pressing = *at >= later(ready, seconds(7 * 86_400) - seconds(60));
        let before = at.saturating_sub(seconds(10)).expect("in range");
        if is_quiet(*at) && is_quiet(before) && !is_pressing && !is_nobodys {
            self.violation(format!("quiet-hours: {command:?}, announced at {at}"));
        }
    }

    pub fn violation(&mut self, what: String) {
        self.world.watch.violations.push(what);
    }
}

/// Hours that some people set.
pub fn some_hours(which: usize) -> QuietHours {
    let hours: [&[&str]; 4] =
        [&[], &["08:00-18:00"], &["22:00-06:00"], &["06:00-09:00", "16:00-22:00"]];
    QuietHours::parse(hours[which].iter().copied()).expect("hours")
}
