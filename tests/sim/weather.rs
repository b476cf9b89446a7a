//! What befalls an installation: crashes, outages, sleep, clocks that are set, and an admin who interferes.

use std::time::Duration;

use fastrand::Rng;
use jiff::{SignedDuration, Timestamp};
use rotakey_core::credential::{AccessKeyId, KeyStatus};
use rotakey_core::rotation::Command;
use rotakey_core::time::{Monotonic, later};

use crate::life::Life;
use crate::system::blows::{Blow, Loss};
use crate::system::machine::PowerCut;
use crate::system::seconds;

/// What can befall it.
#[derive(Clone, Copy, Debug)]
enum Event {
    EngineKilled,
    PowerCut,
    Suspended,
    ClockSet,
    AwsUnreachable,
    DiskFull,
    KeystoreLocked,
    AgentDown,
    AdminAddsKey,
    AdminDeactivatesServed,
    AdminDeletesOther,
    AdminTogglesOther,
}

const EVENTS: [Event; 12] = [
    Event::EngineKilled,
    Event::PowerCut,
    Event::Suspended,
    Event::ClockSet,
    Event::AwsUnreachable,
    Event::DiskFull,
    Event::KeystoreLocked,
    Event::AgentDown,
    Event::AdminAddsKey,
    Event::AdminDeactivatesServed,
    Event::AdminDeletesOther,
    Event::AdminTogglesOther,
];

/// What ends by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Repair {
    AwsAnswers,
    DiskHasRoom,
    KeystoreOpens,
    AgentComesUp,
    ClockIsRight,
    KeyIsRemoved(AccessKeyId),
    KeyIsSet(AccessKeyId, KeyStatus),
}

/// The weather of one life.
pub struct Weather {
    /// Of 256 commands, so many go wrong by themselves.
    pub blows_of_256: u8,
    events: Vec<Event>,
    /// Seconds between two of them, about.
    every: u64,
    next: Timestamp,
    repairs: Vec<(Timestamp, Repair)>,
    is_aws_down: bool,
    is_agent_down: bool,
}

impl Weather {
    pub fn new(rng: &mut Rng, now: Timestamp) -> Self {
        // A life has few kinds of trouble, or all: both find other things.
        let chosen = rng.u16(..);
        let all = rng.u8(..4) == 0;
        let events: Vec<_> = EVENTS
            .into_iter()
            .enumerate()
            .filter(|(n, _)| all || chosen & (1 << n) != 0)
            .map(|(_, event)| event)
            .collect();
        let every = [1200, 6 * 3600, 86_400, 3 * 86_400][rng.usize(..4)];
        Self {
            blows_of_256: [0, 1, 4, 16][rng.usize(..4)],
            events,
            every,
            next: later(now, seconds(rng.u64(..every))),
            repairs: Vec::new(),
            is_aws_down: false,
            is_agent_down: false,
        }
    }

    pub fn is_agent_up(&self) -> bool {
        !self.is_agent_down
    }

    /// When it changes next.
    pub fn due(&self, is_calm: bool) -> Timestamp {
        let repair = self.repairs.iter().map(|(at, _)| *at).min().unwrap_or(Timestamp::MAX);
        if is_calm || self.events.is_empty() { repair } else { repair.min(self.next) }
    }

    /// What the weather does to a command.
    pub fn blow(&self, command: &Command) -> Option<Blow> {
        let is_call = !command.action().is_empty();
        (is_call && self.is_aws_down).then_some(Blow::Lost(Loss::NotSent))
    }
}

impl Life {
    pub fn change_weather(&mut self) {
        let now = self.world.true_time();
        let due = self.weather.repairs.iter().position(|(at, _)| *at <= now);
        if let Some(due) = due {
            let (_, repair) = self.weather.repairs.swap_remove(due);
            return self.mend(repair);
        }
        let every = self.weather.every;
        self.weather.next = later(now, seconds(self.rng.u64(1..=2 * every)));
        let event = self.weather.events[self.rng.usize(..self.weather.events.len())];
        self.note(&|| format!("{event:?}"));
        self.figures.weather += 1;
        self.befall(event);
    }

    fn befall(&mut self, event: Event) {
        let lasts = seconds(self.rng.u64(1..4 * 3600));
        match event {
            Event::EngineKilled => self.engine_dies(PowerCut::Kept),
            Event::PowerCut => self.power_cut(),
            Event::Suspended => {
                self.world.now.wall = later(self.world.now.wall, lasts);
                self.agent_was_away();
            }
            Event::ClockSet => {
                let most = if self.rng.bool() { 600 } else { 7200 };
                let skew = SignedDuration::from_secs(self.rng.i64(-most..most));
                self.set_clock(skew);
                self.repair_in(lasts, Repair::ClockIsRight);
            }
            Event::AwsUnreachable => {
                self.weather.is_aws_down = true;
                self.repair_in(lasts / 4, Repair::AwsAnswers);
            }
            Event::DiskFull => {
                self.world.installs[0].machine.is_full = true;
                self.repair_in(lasts, Repair::DiskHasRoom);
            }
            Event::KeystoreLocked => {
                self.world.installs[0].machine.is_locked = true;
                self.repair_in(lasts, Repair::KeystoreOpens);
            }
            Event::AgentDown => {
                self.weather.is_agent_down = true;
                self.engine_dies(PowerCut::Kept);
                self.restart_at = Timestamp::MAX;
                self.repair_in(lasts, Repair::AgentComesUp);
            }
            Event::AdminAddsKey => self.admin_adds_key(lasts),
            Event::AdminDeactivatesServed => {
                let served = self.world.ledger(0).access_key_id;
                self.admin_sets(&served, KeyStatus::Inactive);
                self.repair_in(lasts, Repair::KeyIsSet(served, KeyStatus::Active));
            }
            Event::AdminDeletesOther => {
                if let Some((id, _)) = self.other_key().filter(|(id, _)| self.is_on_its_way_out(id))
                {
                    self.admin_deletes(&id);
                }
            }
            Event::AdminTogglesOther => {
                if let Some((id, status)) = self.other_key() {
                    let other = match status {
                        KeyStatus::Active => KeyStatus::Inactive,
                        KeyStatus::Inactive => KeyStatus::Active,
                    };
                    self.admin_sets(&id, other);
                    self.repair_in(lasts, Repair::KeyIsSet(id, status));
                }
            }
        }
    }

    pub fn repair_in(&mut self, after: Duration, repair: Repair) {
        self.weather.repairs.push((later(self.world.true_time(), after), repair));
    }

    fn engine_dies(&mut self, what: PowerCut) {
        self.world.power_cut(0, what);
        self.agent_was_away();
        self.restart_at = later(self.world.true_time(), seconds(self.rng.u64(1..7200)));
        self.figures.crashes += 1;
    }

    fn power_cut(&mut self) {
        let what = if self.rng.bool() { PowerCut::Lost } else { PowerCut::Kept };
        self.engine_dies(what);
        let boot = format!("{}", self.rng.u64(..));
        self.world.now.monotonic = Monotonic { boot, since_boot: seconds(20) };
        self.programs.boot();
    }

    /// Somebody sets the wall clock, or NTP does: it is wrong, or right again.
    ///
    /// No rule survives two things (docs/leases.md): that it is set back behind what was promised for a key
    /// that is gone by now, as programs would then take an ended lease for a running one; and that it is set
    /// back after an answer that could not be recorded, before the cutover.
    fn set_clock(&mut self, skew: SignedDuration) {
        let mut least = self.world.watch.promised_for_the_gone(self.world.true_time());
        let ledger = self.world.ledger(0);
        let recorded = ledger.horizons.get(&ledger.access_key_id).and_then(|h| h.served_until);
        if self.world.watch.promised(&ledger.access_key_id) > recorded {
            least = least.max(self.world.skew);
        }
        let skew = skew.max(least);
        let wall = self.world.true_time().saturating_add(skew).expect("in range");
        // Whoever keeps count of healthy serving sees the clock gain on the monotonic one.
        let is_forward = skew > self.world.skew;
        (self.world.skew, self.world.now.wall) = (skew, wall);
        if is_forward {
            self.agent_was_away();
        }
    }

    fn mend(&mut self, repair: Repair) {
        self.note(&|| format!("{repair:?}"));
        match repair {
            Repair::AwsAnswers => self.weather.is_aws_down = false,
            Repair::ClockIsRight => self.set_clock(SignedDuration::ZERO),
            Repair::DiskHasRoom => self.world.installs[0].machine.is_full = false,
            Repair::KeystoreOpens => {
                self.world.installs[0].machine.is_locked = false;
                self.agent_was_away();
            }
            Repair::AgentComesUp => {
                self.weather.is_agent_down = false;
                self.agent_was_away();
                self.restart_at = self.world.true_time();
            }
            Repair::KeyIsRemoved(id) => self.admin_deletes(&id),
            Repair::KeyIsSet(id, status) => {
                self.admin_sets(&id, status);
                // Only what is as it was is judged again.
                let is_served = self.world.ledger(0).access_key_id == id;
                if is_served && self.world.keys().contains(&(id.clone(), KeyStatus::Active)) {
                    self.world.watch.meddled.remove(&id);
                }
            }
        }
    }

    /// Everything that is wrong is mended at once.
    pub fn mend_everything(&mut self) {
        for (_, repair) in std::mem::take(&mut self.weather.repairs) {
            self.mend(repair);
        }
        // A clock that may not be set back yet is set right later: until then AWS refuses what it signs.
        if self.world.skew.is_positive() {
            let ahead = Duration::try_from(self.world.skew).expect("positive");
            self.world.pass(ahead + self.world.policy.lease);
            // There is room again: what is served is recorded.
            self.world.fetch(0).expect("all is mended");
            self.set_clock(SignedDuration::ZERO);
        }
        self.restart_at = self.restart_at.min(self.world.true_time());
        self.mend_keys();
    }
}
