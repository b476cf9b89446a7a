//! What befalls the machine, and what an admin does to its users.

use fastrand::Rng;
use jiff::{SignedDuration, Timestamp};
use rotakey_agent::daemon::schedule::Turns;
use rotakey_core::credential::KeyStatus;
use rotakey_core::time::later;
use serde_json::json;

use crate::fleet::Fleet;
use crate::system::people::Change;
use crate::system::seconds;

/// What ends by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Repair {
    AwsAnswers,
    AgentStarts,
    ClockIsRight,
    /// Somebody comes to look after a profile.
    PersonComes(usize),
}

/// The events of one seed: few kinds, or all.
pub fn kinds(rng: &mut Rng) -> Vec<u8> {
    let (chosen, all) = (rng.u16(..), rng.u8(..3) == 0);
    (0..10).filter(|n| all || chosen & (1 << n) != 0).collect()
}

impl Fleet {
    pub fn change_weather(&mut self) {
        self.figures.weather += 1;
        self.weather_next =
            later(self.true_time(), seconds(self.rng.u64(1..=2 * self.weather_every)));
        let Some(kind) = self.kinds.get(self.rng.usize(..self.kinds.len().max(1))).copied() else {
            return;
        };
        let lasts = seconds(self.rng.u64(60..10 * 3600));
        let which = self.rng.usize(..self.ones.len());
        self.note(which, &|| format!("weather {kind}, {lasts:?}"));
        match kind {
            0 | 1 => {
                // Asleep: the wall clock goes on, the monotonic one does not. At night for longer.
                for one in &mut self.ones {
                    one.world.now.wall = later(one.world.now.wall, lasts * 3);
                    one.world.installs[0].healthy_since = Some(one.world.now.wall);
                    one.calm_since = one.world.true_time();
                }
            }
            2 => {
                self.sky.is_aws_down = true;
                self.repairs.push((later(self.true_time(), lasts), Repair::AwsAnswers));
            }
            3 => {
                let skew = SignedDuration::from_secs(self.rng.i64(-7200..7200));
                self.set_clock(skew);
                self.repairs.push((later(self.true_time(), lasts), Repair::ClockIsRight));
            }
            4 => {
                self.sky.is_agent_down = true;
                self.turns = Turns::default();
                self.ones.iter_mut().for_each(crate::one::One::forget);
                self.repairs.push((later(self.true_time(), lasts / 20), Repair::AgentStarts));
            }
            5 => self.admin_adds_a_key(which),
            6 => self.admin_sets_the_served_key_inactive(which),
            7 => self.admin_deletes_the_old_key(which),
            8 => {
                self.ones[which].world.foreign_tag(0, true);
                self.ones[which].is_tagged = true;
                self.call(which);
            }
            _ => self.somebody_tries_the_old_key(which),
        }
    }

    fn call(&mut self, which: usize) {
        self.ones[which].meddling += 1;
        let after = seconds(self.rng.u64(1800..12 * 3600));
        self.repairs.push((later(self.true_time(), after), Repair::PersonComes(which)));
    }

    fn admin_adds_a_key(&mut self, which: usize) {
        let world = &mut self.ones[which].world;
        if !world.changes().contains(&Change::Add) {
            return;
        }
        let id = world.change(Change::Add);
        let open = world.status(0).rotation;
        if open.is_none_or(|open| open.published.is_none()) {
            world.watch.may_fence.insert(id);
        }
        self.call(which);
    }

    fn admin_sets_the_served_key_inactive(&mut self, which: usize) {
        let world = &mut self.ones[which].world;
        let served = world.ledger(0).access_key_id;
        if world.keys().contains(&(served.clone(), KeyStatus::Active)) {
            world.change(Change::Set(served, KeyStatus::Inactive));
            self.call(which);
        }
    }

    fn admin_deletes_the_old_key(&mut self, which: usize) {
        let world = &mut self.ones[which].world;
        let open = world.status(0).rotation;
        let Some(open) = open.filter(|open| open.published.is_some()) else { return };
        let (old, served) = (open.outgoing.id, world.ledger(0).access_key_id);
        if old != served && world.keys().iter().any(|(id, _)| *id == old) {
            world.change(Change::Delete(old));
        }
    }

    /// Somebody who has it from elsewhere: that is no sign of this machine's.
    fn somebody_tries_the_old_key(&mut self, which: usize) {
        let world = &mut self.ones[which].world;
        let Some(open) = world.status(0).rotation else { return };
        for service in ["s3", "ec2"] {
            world.order(json!({"op": "use-key", "access_key_id": open.outgoing.id.as_str(),
                "service": service, "region": "eu-west-1"}));
        }
    }

    /// No rule survives a clock that is set back behind what was promised for a key that is gone (docs/leases.md).
    pub fn set_clock(&mut self, skew: SignedDuration) {
        let least =
            |one: &crate::one::One| one.world.watch.promised_for_the_gone(one.world.true_time());
        let skew = self.ones.iter().map(least).max().map_or(skew, |least| skew.max(least));
        for one in &mut self.ones {
            let world = &mut one.world;
            let is_forward = skew > world.skew;
            let wall = world.true_time().saturating_add(skew).expect("in range");
            (world.skew, world.now.wall) = (skew, wall);
            if is_forward {
                world.installs[0].healthy_since = Some(wall);
            }
        }
    }

    pub fn mend(&mut self, repair: &Repair) {
        match repair {
            Repair::AwsAnswers => self.sky.is_aws_down = false,
            Repair::AgentStarts => {
                self.sky.is_agent_down = false;
                for one in &mut self.ones {
                    one.world.installs[0].healthy_since = Some(one.world.now.wall);
                    one.forget();
                }
            }
            Repair::ClockIsRight => {
                self.set_clock(SignedDuration::ZERO);
                if !self.ones[0].world.skew.is_zero() {
                    let again = later(self.true_time(), seconds(3600));
                    self.repairs.push((again, Repair::ClockIsRight));
                }
            }
            Repair::PersonComes(which) => {
                // While its engine is at work nobody touches it.
                let one = &mut self.ones[*which];
                if one.is_at_work() {
                    let again = later(one.world.true_time(), seconds(60));
                    self.repairs.push((again, repair.clone()));
                    return;
                }
                one.a_person_comes();
                self.figures.persons += 1;
            }
        }
    }

    /// When the next thing ends by itself.
    pub fn repair_due(&self) -> Timestamp {
        self.repairs.iter().map(|(at, _)| *at).min().unwrap_or(Timestamp::MAX)
    }
}
