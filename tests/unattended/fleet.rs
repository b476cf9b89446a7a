//! One machine with an agent and some profiles, each with a user of its own.

use std::collections::VecDeque;
use std::time::Duration;

use fastrand::Rng;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use rotakey_agent::daemon::schedule::{AT_ONCE, Rules, SPACING, Turns};
use rotakey_agent::simulator::Behaviour;
use rotakey_core::journal::Origin;
use rotakey_core::policy::{OnStraggler, Policy};
use rotakey_core::time::later;

use crate::figures::Figures;
use crate::one::{One, Sky, some_hours};
use crate::programs::Program;
use crate::system::{World, instant_policy, seconds};
use crate::weather::{Repair, kinds};

/// The last events are told when something is violated.
const LOG_LINES: usize = 120;

pub struct Fleet {
    pub rng: Rng,
    pub ones: Vec<One>,
    pub turns: Turns,
    pub sky: Sky,
    pub repairs: Vec<(Timestamp, Repair)>,
    pub kinds: Vec<u8>,
    pub weather_every: u64,
    pub weather_next: Timestamp,
    pub figures: Figures,
    last_begun: Option<Duration>,
    log: VecDeque<String>,
}

impl Fleet {
    pub fn new(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let ones: Vec<_> = (0..rng.u64(1..=6)).map(|n| some_profile(&mut rng, seed, n)).collect();
        let now = ones[0].world.true_time();
        let kinds = kinds(&mut rng);
        let weather_every = [6 * 3600, 86_400, 3 * 86_400][rng.usize(..3)];
        let figures = Figures { profiles: ones.len() as u64, ..Figures::default() };
        let weather_next = later(now, seconds(rng.u64(..weather_every)));
        Self {
            rng,
            ones,
            turns: Turns::default(),
            sky: Sky::default(),
            repairs: Vec::new(),
            kinds,
            weather_every,
            weather_next,
            figures,
            last_begun: None,
            log: VecDeque::new(),
        }
    }

    pub fn true_time(&self) -> Timestamp {
        self.ones[0].world.true_time()
    }

    pub fn note(&mut self, which: usize, what: &dyn Fn() -> String) {
        if self.log.len() == LOG_LINES {
            self.log.pop_front();
        }
        let (wall, name) = (self.ones[0].world.now.wall, &self.ones[which].name);
        self.log.push_back(format!("{wall} {name}: {}", what()));
    }

    /// Lives for so many days, and is then left in peace until everything has come to its end.
    pub fn live(&mut self, days: u64) {
        let end = later(self.true_time(), seconds(days * 86_400));
        while self.true_time() < end && self.is_well() {
            self.advance(false);
        }
        self.come_to_rest();
        for one in &self.ones {
            self.figures.rotations += one.rotations;
            self.figures.turned_round += one.turned_round;
            self.figures.latest = self.figures.latest.max(one.latest);
            self.figures.news += one.news.len() as u64;
        }
    }

    fn come_to_rest(&mut self) {
        for (_, repair) in std::mem::take(&mut self.repairs) {
            self.mend(&repair);
        }
        let end = later(self.true_time(), seconds(60 * 86_400));
        while self.is_well() && self.true_time() < end {
            for n in 0..self.ones.len() {
                if self.ones[n].is_stuck()
                    && !self.repairs.iter().any(|(_, r)| *r == Repair::PersonComes(n))
                {
                    let soon = later(self.true_time(), seconds(3600));
                    self.repairs.push((soon, Repair::PersonComes(n)));
                }
            }
            // Begun ones come to their end; the next ones are not of this life.
            let is_open =
                |one: &mut One| one.is_at_work() || one.world.status(0).rotation.is_some();
            if !self.ones.iter_mut().any(is_open) {
                break;
            }
            self.advance(true);
        }
        for one in &mut self.ones {
            if one.world.watch.violations.is_empty() && one.world.status(0).rotation.is_none() {
                one.world.settled(0);
            }
        }
    }

    /// The next event, whatever it is.
    pub fn advance(&mut self, is_calm: bool) {
        let programs = self.ones.iter().flat_map(|one| one.programs.iter().map(|p| p.due)).min();
        let programs = programs.unwrap_or(Timestamp::MAX);
        let weather = if is_calm { Timestamp::MAX } else { self.weather_next };
        let (repair, sky) = (self.repair_due(), self.sky);
        let due = |one: &One| one.due(sky).saturating_sub(one.world.skew).unwrap_or(Timestamp::MAX);
        let (engine, which) =
            self.ones.iter().enumerate().map(|(n, one)| (due(one), n)).min().expect("there is one");
        let next = engine.min(programs).min(weather).min(repair);
        if let Ok(left) = Duration::try_from(next.duration_since(self.true_time())) {
            self.ones.iter_mut().for_each(|one| one.world.pass(left));
        }
        if next == repair {
            let at = self.repairs.iter().position(|(at, _)| *at == repair).expect("it is due");
            let (_, repair) = self.repairs.swap_remove(at);
            self.note(0, &|| format!("{repair:?}"));
            self.mend(&repair);
        } else if next == weather {
            self.change_weather();
        } else if next == programs {
            self.a_program_signs(programs);
        } else {
            self.engine_goes_on(which);
        }
        self.judge();
    }

    fn engine_goes_on(&mut self, which: usize) {
        let (was, sky) = (self.ones[which].is_at_work(), self.sky);
        let before = self.ones[which].world.now.clone();
        let is_idle = self.ones[which].world.status(0).rotation.is_none();
        let said = self.ones[which].go_on(sky, &mut self.turns);
        // The call took its time for all.
        let now = self.ones[which].world.now.clone();
        let took = now.monotonic.since_boot - before.monotonic.since_boot;
        for (n, one) in self.ones.iter_mut().enumerate().filter(|(n, _)| *n != which) {
            debug_assert_ne!(n, which);
            one.world.pass(took);
        }
        self.note(which, &|| said.clone());
        let one = &mut self.ones[which];
        if !was && one.is_at_work() && is_idle {
            let at = one.world.now.monotonic.since_boot;
            let is_early = self.last_begun.is_some_and(|last| at < last + SPACING);
            if is_early && !one.is_by_hand {
                one.violation("storm: two rotations began at once".to_owned());
            }
            self.last_begun = Some(at);
        }
        if one.is_stuck() && !self.repairs.iter().any(|(_, r)| *r == Repair::PersonComes(which)) {
            let after = seconds(self.rng.u64(600..12 * 3600));
            self.repairs.push((later(self.true_time(), after), Repair::PersonComes(which)));
        }
    }

    fn a_program_signs(&mut self, due: Timestamp) {
        let is_up = !self.sky.is_agent_down;
        for one in &mut self.ones {
            let One { programs, world, .. } = one;
            if let Some(program) = programs.iter_mut().find(|program| program.due == due) {
                self.figures.signatures += u64::from(program.sign(&mut self.rng, world, is_up));
                return;
            }
        }
    }

    fn judge(&mut self) {
        let sky = self.sky;
        self.ones.iter_mut().for_each(|one| one.judge(sky));
        let at_work = self.ones.iter().filter(|one| one.is_at_work() && !one.is_by_hand).count();
        if at_work > AT_ONCE {
            self.ones[0].violation(format!("storm: {at_work} are at work"));
        }
    }

    fn is_well(&self) -> bool {
        self.ones.iter().all(|one| one.world.watch.violations.is_empty())
    }

    pub fn violations(&self) -> Vec<String> {
        let of = |one: &One| {
            let name = one.name.clone();
            one.world.watch.violations.clone().into_iter().map(move |v| format!("{name}: {v}"))
        };
        self.ones.iter().flat_map(of).collect()
    }

    pub fn log(&self) -> Vec<String> {
        self.log.iter().cloned().collect()
    }
}

fn some_profile(rng: &mut Rng, seed: u64, number: u64) -> One {
    let visible_after = rng.u64(..15_000);
    let behaviour = Behaviour {
        seed: seed * 100 + number,
        visible_after,
        flaps_until: visible_after + rng.u64(..10_000),
        lingers: rng.u64(..5000),
        list_lag: if rng.bool() { 0 } else { rng.u64(..1500) },
        last_used_lag: rng.u64(..4) * 3_600_000,
        server_offset: rng.i64(-60_000..60_000),
        ..Behaviour::default()
    };
    let policy = Policy {
        successes: 5,
        spacing: seconds(2),
        settle: seconds(30),
        deadline: seconds(300),
        lease: seconds(if rng.bool() { 3600 } else { 1800 }),
        observe: seconds(rng.u64(0..=4) * 3600),
        soak: seconds(rng.u64(1..=7) * 86_400),
        on_straggler: if rng.u8(..4) > 0 { OnStraggler::Hold } else { OnStraggler::Proceed },
        create_timeout: seconds(10),
        lost_reply_wait: seconds(30),
        ..instant_policy()
    };
    let rules = Rules {
        max_age: seconds(rng.u64(10..=30) * 86_400),
        soak: policy.soak,
        quiet: some_hours(rng.usize(..4)),
        zone: TimeZone::UTC,
    };
    let origin = if rng.bool() { Origin::HandedOver } else { Origin::Created };
    let world = World::new(policy, behaviour, origin, &["here"]);
    let now = world.true_time();
    let programs = (0..3).map(|_| Program::new(rng, now)).collect();
    One::new(format!("profile-{number}"), world, rules, programs)
}
