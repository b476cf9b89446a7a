//! One seed: an installation lives through some rotations, in whatever weather its seed brings.

use std::collections::VecDeque;
use std::time::Duration;

use fastrand::Rng;
use jiff::Timestamp;
use rotakey_agent::simulator::Behaviour;
use rotakey_core::journal::{Origin, Record, Step};
use rotakey_core::policy::{OnStraggler, Policy};
use rotakey_core::rotation::{Command, Ending, Goal};
use rotakey_core::time::later;

use crate::figures::Figures;
use crate::programs::Programs;
use crate::system::blows::{Blow, random_blow};
use crate::system::machine::PowerCut;
use crate::system::{ROTATE, World, instant_policy, seconds};
use crate::weather::Weather;

/// The last events are told when something is violated.
const LOG_LINES: usize = 100;

/// No life is longer, however often its rotations are begun in vain.
const DAYS_MAX: u64 = 150;

/// No healed rotation needs more processes.
const PROCESSES_MAX: u32 = 40;

pub struct Life {
    pub rng: Rng,
    pub world: World,
    pub programs: Programs,
    pub weather: Weather,
    pub figures: Figures,
    /// When the engine is started again, if it is not at work, by the true time.
    pub restart_at: Timestamp,
    /// Nothing goes wrong any more.
    pub is_calm: bool,
    born: Timestamp,
    is_logged: bool,
    log: VecDeque<String>,
}

/// How a life ended.
pub struct Death {
    pub figures: Figures,
    pub violations: Vec<String>,
    pub log: Vec<String>,
}

/// Lives through `rotations` rotations, is healed, and must converge. Whoever wants to know how asks for a log.
pub fn live(seed: u64, rotations: u64, is_logged: bool) -> Death {
    let mut life = Life::new(seed);
    life.is_logged = is_logged;
    while life.figures.rotations < rotations && life.goes_on() {
        life.advance();
    }
    life.heal();
    Death {
        violations: std::mem::take(&mut life.world.watch.violations),
        log: life.log.into_iter().collect(),
        figures: life.figures,
    }
}

impl Life {
    fn new(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let policy = random_policy(&mut rng);
        let behaviour = random_behaviour(&mut rng, seed);
        let origin = if rng.bool() { Origin::HandedOver } else { Origin::Created };
        let world = World::new(policy, behaviour, origin, &["here"]);
        let restart_at = world.true_time();
        let weather = Weather::new(&mut rng, restart_at);
        let programs = Programs::new(&mut rng, restart_at);
        let (figures, log) = (Figures::default(), VecDeque::new());
        let (is_calm, is_logged, born) = (false, false, restart_at);
        Self { rng, world, programs, weather, figures, restart_at, is_calm, born, is_logged, log }
    }

    pub fn note(&mut self, what: &dyn Fn() -> String) {
        if !self.is_logged {
            return;
        }
        if self.log.len() == LOG_LINES {
            self.log.pop_front();
        }
        let (wall, skew) = (self.world.now.wall, self.world.skew);
        self.log.push_back(format!("{wall} ({skew:#} ahead): {}", what()));
    }

    fn goes_on(&self) -> bool {
        self.world.watch.violations.is_empty() && self.days() < DAYS_MAX
    }

    fn days(&self) -> u64 {
        let days = self.world.true_time().duration_since(self.born).as_hours() / 24;
        u64::try_from(days).unwrap_or(0)
    }

    /// The next event, whatever it is.
    fn advance(&mut self) {
        self.figures.events += 1;
        let engine = self.engine_due();
        let (programs, weather) = (self.programs.due(), self.weather.due(self.is_calm));
        let next = engine.min(programs).min(weather);
        if let Ok(left) = Duration::try_from(next.duration_since(self.world.true_time())) {
            self.world.pass(left);
        }
        if next == weather {
            self.change_weather();
        } else if next == programs {
            self.a_program_signs();
        } else {
            self.engine_goes_on();
        }
    }

    /// When the engine does something next, by the true time.
    fn engine_due(&self) -> Timestamp {
        let skew = self.world.skew;
        match &self.world.installs[0].process {
            None => self.restart_at,
            Some(process) => match process.command {
                Command::Wait { until, .. } => until.saturating_sub(skew).expect("in range"),
                _ => self.world.true_time(),
            },
        }
    }

    fn engine_goes_on(&mut self) {
        let Some(process) = &self.world.installs[0].process else { return self.start_engine() };
        let command = process.command.clone();
        if !command.action().is_empty() {
            self.world.pass(Duration::from_millis(self.rng.u64(20..400)));
        }
        let mut blow = self.weather.blow(&command);
        // The one call that must not be repeated gets more of them.
        let more = if matches!(command, Command::Create { .. }) { 8 } else { 1 };
        if !self.is_calm && self.rng.u8(..) < self.weather.blows_of_256 * more {
            blow = Some(random_blow(&command, &mut |below| self.rng.usize(..below)));
        }
        self.step(blow, &command);
    }

    fn step(&mut self, blow: Option<Blow>, command: &Command) {
        self.note(&|| match blow {
            Some(blow) => format!("{command:?}, {}", blow.name()),
            None => format!("{command:?}"),
        });
        self.figures.blows += u64::from(blow.is_some());
        self.world.step(0, blow);
        if matches!(command, Command::Publish { .. }) {
            // The first to be served a new key find out whether it is really accepted.
            (0..4).for_each(|_| self.world.a_new_program_signs(0));
        }
        if let Command::Append(entry) = command
            && matches!(entry.record, Record::Finished | Record::Abandoned { .. })
        {
            self.figures.rotations += u64::from(matches!(entry.record, Record::Finished));
        }
        let install = &self.world.installs[0];
        if install.process.is_some() {
            return;
        }
        if install.machine.is_dead || install.ended.is_none() {
            self.figures.crashes += 1;
            let what = if self.rng.bool() { PowerCut::Lost } else { PowerCut::Kept };
            self.world.power_cut(0, what);
            self.agent_was_away();
        }
        let ended = self.world.installs[0].ended.clone();
        self.note(&|| format!("the engine ended: {ended:?}"));
        self.restart_at = later(self.world.true_time(), self.pause(&ended));
    }

    /// The agent is there again: from now on, serving goes on without interruption.
    pub fn agent_was_away(&mut self) {
        self.world.installs[0].healthy_since = Some(self.world.now.wall);
    }

    /// How long until somebody, or something, starts the engine again.
    fn pause(&mut self, ended: &Option<Ending>) -> Duration {
        match ended {
            _ if self.is_calm => seconds(60),
            Some(Ending::Finished) => seconds(self.rng.u64(60..86_400)),
            Some(Ending::Stuck(_)) => seconds(self.rng.u64(600..86_400)),
            _ => seconds(self.rng.u64(1..7200)),
        }
    }

    fn start_engine(&mut self) {
        let open = self.world.status(0).rotation;
        let is_stuck = open.as_ref().is_some_and(|open| open.stuck.is_some());
        if is_stuck && self.rng.bool() {
            self.mend_keys();
        }
        let is_leak = !self.is_calm && self.rng.u8(..) < 8;
        let goal = match open {
            // A key leaks, whatever is open.
            _ if is_leak => Goal::COMPROMISED,
            None => ROTATE,
            // A person looks at a stuck rotation, and at others sometimes.
            Some(open) if !self.is_calm && (is_stuck || self.rng.u8(..) < 10) => {
                match self.rng.u8(..4) {
                    0 if open.can_undo() => Goal::Undo,
                    1 if open.step <= Step::Publish && !open.can_undo() => Goal::Abort,
                    _ => Goal::Resume,
                }
            }
            Some(_) => Goal::Resume,
        };
        self.note(&|| format!("the engine starts: {goal:?}"));
        self.world.start(0, goal, None);
        if self.world.installs[0].process.is_none() {
            let ended = self.world.installs[0].ended.clone();
            self.note(&|| format!("the engine ended at once: {ended:?}"));
            self.restart_at = later(self.world.true_time(), self.pause(&ended));
        }
    }

    /// Everything is mended; then all must come to rest.
    fn heal(&mut self) {
        if !self.world.watch.violations.is_empty() {
            return;
        }
        self.note(&|| "everything is mended".to_owned());
        self.is_calm = true;
        self.mend_everything();
        let started = self.world.installs[0].started;
        let is_open = |life: &mut Self| {
            life.world.installs[0].process.is_some() || life.world.status(0).rotation.is_some()
        };
        while is_open(self) && self.world.watch.violations.is_empty() {
            self.advance();
            if self.world.installs[0].started > started + PROCESSES_MAX {
                let open = format!("{:?}", self.world.status(0).rotation);
                self.world.watch.violation("converges", format!("it is still open: {open}"));
            }
            if self.world.installs[0].process.is_none() {
                self.mend_keys();
            }
        }
        if self.world.watch.violations.is_empty() {
            self.world.settled(0);
        }
        self.programs_all_sign();
        self.figures.lives += 1;
        self.figures.days += self.days();
    }
}

/// The product's defaults, and some of what people set.
fn random_policy(rng: &mut Rng) -> Policy {
    let lease = seconds(if rng.bool() { 3600 } else { 1800 });
    Policy {
        successes: rng.u32(3..=5),
        spacing: seconds(rng.u64(1..=2)),
        settle: seconds(30),
        deadline: seconds(300),
        lease,
        observe: seconds(rng.u64(0..=4) * 3600),
        soak: seconds(rng.u64(1..=72) * 3600),
        orphan_wait: seconds(rng.u64(10..=60) * 60),
        on_straggler: if rng.bool() { OnStraggler::Hold } else { OnStraggler::Proceed },
        presigned_ttl: seconds(if rng.u8(..4) == 0 { 900 } else { 0 }),
        create_timeout: seconds(30),
        lost_reply_wait: seconds(30),
        ..instant_policy()
    }
}

/// IAM as it is seen to be: late, flapping, on a clock of its own.
fn random_behaviour(rng: &mut Rng, seed: u64) -> Behaviour {
    let visible_after = rng.u64(..15_000);
    Behaviour {
        seed,
        visible_after,
        flaps_until: visible_after + rng.u64(..10_000),
        flap_percent: 50,
        lingers: rng.u64(..5000),
        list_lag: if rng.bool() { 0 } else { rng.u64(..1500) },
        last_used_lag: rng.u64(..4) * 3_600_000,
        server_offset: rng.i64(-120_000..120_000),
        ..Behaviour::default()
    }
}
