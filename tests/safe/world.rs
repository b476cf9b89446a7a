//! A machine with its two clocks, and a source that hands out keys through the real ledger.

use std::time::Duration;

use jiff::{Timestamp, Unit};
use rotakey_core::credential::{AccessKeyId, Generation};
use rotakey_core::lease::{Horizon, Ledger, Safety, safety};
use rotakey_core::policy::{OnStraggler, Policy};
use rotakey_core::time::{Monotonic, Now, later};

use crate::model_clients::Answer;

const MINUTE: Duration = Duration::from_secs(60);
/// An answer that takes longer than this on its way is not waited for: the longest any of the SDKs waits
/// for an endpoint, and far longer than `credential-process` may take.
const ON_ITS_WAY_MAX: Duration = Duration::from_secs(30);

/// What is known of the serving.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Watch {
    /// When the new key was published, and no more. `credential-process` without an agent.
    Published,
    /// An agent sees outages end, and the wall clock gain on the monotonic one.
    Agent,
}

/// A part of the rule, to be left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// X.
    Backoff,
    /// S.
    SignatureWindow,
    /// Mx.
    Monotonic,
    /// That Mx is at least a lease after the cutover.
    MonotonicOfCutover,
    Unrecorded,
    /// That the horizon is written before the answer goes out.
    WrittenAhead,
    /// That U is not before the end of an outage.
    Outages,
    /// That U is not before the wall clock last gained on the monotonic one.
    Gains,
}

/// One machine.
#[derive(Clone, Debug)]
pub struct World {
    /// The time that no step changes, since the beginning.
    pub truth: Duration,
    pub wall: Timestamp,
    since_boot: Duration,
    boot: u32,
    ledger: Ledger,
    pub policy: Policy,
    pub watch: Watch,
    pub without: Option<Part>,
    pub outage: bool,
    pub disk_full: bool,
    /// The next answer is lost; whether its horizon is written first.
    pub crash: Option<bool>,
    on_its_way: Option<(Answer, Duration)>,
    /// The latest expiration that was told and not recorded.
    unrecorded: Option<Timestamp>,
    healthy_since: Timestamp,
}

pub fn old() -> AccessKeyId {
    "AKIAOLD".parse().expect("an id")
}

pub fn new() -> AccessKeyId {
    "AKIANEW".parse().expect("an id")
}

impl World {
    /// It serves the old key.
    pub fn new(lease: Duration, watch: Watch, millisecond: u16) -> Self {
        let wall = Timestamp::from_millisecond(1_700_000_000_000 + i64::from(millisecond));
        let wall = wall.expect("in range");
        Self {
            truth: Duration::ZERO,
            wall,
            since_boot: Duration::from_secs(1000),
            boot: 0,
            ledger: Ledger::new(old(), Generation(1), wall),
            policy: policy(lease),
            watch,
            without: None,
            outage: false,
            disk_full: false,
            crash: None,
            on_its_way: None,
            unrecorded: None,
            healthy_since: wall,
        }
    }

    pub fn now(&self) -> Now {
        let boot = self.boot.to_string();
        Now { wall: self.wall, monotonic: Monotonic { boot, since_boot: self.since_boot } }
    }

    pub fn published(&self) -> bool {
        self.ledger.access_key_id == new()
    }

    /// When the new key was published, by the wall clock.
    pub fn superseded(&self) -> Timestamp {
        self.ledger.published
    }

    fn horizon(&self) -> Option<&Horizon> {
        self.ledger.horizons.get(&old())
    }

    /// Time passes; the machine is awake, or suspended.
    pub fn pass(&mut self, time: Duration, awake: bool) {
        self.truth += time;
        self.wall = later(self.wall, time);
        if awake {
            self.since_boot += time;
        } else {
            self.gained();
        }
    }

    /// Somebody sets the wall clock.
    pub fn set(&mut self, wall: Timestamp) {
        let forward = wall > self.wall;
        self.wall = wall;
        if forward {
            self.gained();
        }
    }

    /// Programs and answers on their way are gone; the files stay.
    pub fn reboot(&mut self, off: Duration) {
        self.truth += off;
        self.wall = later(self.wall, off);
        self.boot += 1;
        self.since_boot = Duration::from_secs(20);
        self.restart();
    }

    pub fn restart(&mut self) {
        self.on_its_way = None;
        self.serving_begins();
    }

    /// U only ever rises, as a horizon does: it is compared with readings of the same clock.
    pub fn serving_begins(&mut self) {
        self.healthy_since = self.healthy_since.max(self.wall);
    }

    fn gained(&mut self) {
        if self.without != Some(Part::Gains) {
            self.serving_begins();
        }
    }

    /// K is superseded.
    pub fn publish(&mut self) {
        let now = self.now();
        let left = self.horizon().and_then(|horizon| horizon.monotonic.clone());
        self.ledger.publish(new(), Generation(2), &now, self.policy.lease);
        if self.without == Some(Part::MonotonicOfCutover) {
            self.ledger.horizons.get_mut(&old()).expect("just superseded").monotonic = left;
        }
        self.serving_begins();
    }

    /// U.
    fn healthy_since(&self) -> Timestamp {
        match self.watch {
            Watch::Agent if self.without == Some(Part::Outages) => self.ledger.published,
            // Not healthy at all.
            Watch::Agent if self.outage => self.healthy_since.max(self.wall),
            Watch::Agent => self.healthy_since,
            Watch::Published => self.ledger.published,
        }
    }

    /// SAFE(K), but for the part that is to be left out.
    pub fn safety(&self) -> Safety {
        let mut horizon = self.horizon().cloned();
        let mut policy = self.policy.clone();
        match self.without {
            Some(Part::Backoff) => policy.client_backoff = Duration::ZERO,
            Some(Part::SignatureWindow) => policy.signature_window = Duration::ZERO,
            Some(Part::Monotonic) => horizon.iter_mut().for_each(|h| h.monotonic = None),
            Some(Part::Unrecorded) => horizon.iter_mut().for_each(|h| h.unrecorded_until = None),
            _ => {}
        }
        safety(horizon.as_ref(), self.healthy_since(), &policy, &self.now())
    }

    /// `max(H, U + X)`: from then on, by the wall clock, every client has stopped or asked again.
    pub fn bound(&self) -> Timestamp {
        let horizon = self.horizon();
        let ends = horizon.iter().flat_map(|h| [h.served_until, h.unrecorded_until]).flatten();
        let healed = later(self.healthy_since(), self.policy.client_backoff);
        ends.fold(healed, Timestamp::max)
    }

    /// Whether the monotonic clock alone holds K for S at least.
    pub fn monotonic_holds(&self) -> bool {
        let monotonic = self.horizon().and_then(|horizon| horizon.monotonic.as_ref());
        let now = self.now().monotonic;
        monotonic.is_some_and(|held| held.boot == now.boot && now.since_boot < held.since_boot)
    }

    /// When the last answer was given, by the wall clock, that no horizon covers and no program may
    /// outlive, since the ledger could not be written.
    pub fn unrecorded_since(&self) -> Option<Timestamp> {
        let recorded = self.horizon().and_then(|horizon| horizon.served_until);
        let unrecorded = self.unrecorded.filter(|until| recorded.is_none_or(|h| *until > h))?;
        Some(rotakey_core::time::earlier(unrecorded, self.policy.lease))
    }

    /// The source answers, or fails.
    pub fn answer(&mut self) -> Option<Answer> {
        if self.outage {
            return None;
        }
        if let Some((answer, _)) = self.arriving() {
            self.on_its_way = None;
            return Some(answer);
        }
        if self.crash == Some(false) {
            self.crash = None;
            self.restart();
            return None;
        }
        let answer = self.make();
        if self.crash.take().is_some() {
            self.restart();
            return None;
        }
        Some(answer)
    }

    /// What the source would answer, with no trace left.
    pub fn would_answer(&self) -> Option<Answer> {
        if self.outage {
            return None;
        }
        let on_its_way = self.arriving().map(|(answer, _)| answer);
        on_its_way.or_else(|| self.clone().make().into())
    }

    /// Makes an answer, which arrives when a client next asks.
    pub fn answer_later(&mut self) {
        if !self.outage {
            self.on_its_way = Some((self.make(), self.since_boot));
        }
    }

    /// Nobody waits for it any more.
    pub fn lose_answer(&mut self) {
        self.on_its_way = None;
    }

    pub fn answer_on_its_way_has_expired(&self) -> bool {
        self.arriving().is_some_and(|(answer, _)| answer.expiration <= self.wall)
    }

    fn arriving(&self) -> Option<(Answer, Duration)> {
        self.on_its_way.clone().filter(|(_, made)| self.since_boot - *made <= ON_ITS_WAY_MAX)
    }

    /// As `credential-process` does: the horizon first; if it cannot be written, serving goes on.
    fn make(&mut self) -> Answer {
        let (now, lease, generation) = (self.now(), self.policy.lease, self.ledger.generation);
        let expiration = later(now.wall, lease);
        let covered = self.ledger.covers(generation, expiration).expect("the served generation");
        if !covered && self.without != Some(Part::WrittenAhead) {
            if self.disk_full {
                self.unrecorded = self.unrecorded.max(Some(expiration));
            } else {
                let ahead = (lease / 6).min(10 * MINUTE);
                self.ledger.extend(generation, &now, lease, ahead).expect("the served generation");
            }
        }
        let mut whole = expiration.round(Unit::Second).expect("a time in range");
        if whole > expiration {
            whole = rotakey_core::time::earlier(whole, Duration::from_secs(1));
        }
        Answer { access_key_id: self.ledger.access_key_id.clone(), expiration: whole }
    }
}

/// The product's defaults, but for the lease.
fn policy(lease: Duration) -> Policy {
    Policy {
        successes: 5,
        spacing: Duration::from_secs(2),
        settle: Duration::from_secs(30),
        deadline: 5 * MINUTE,
        vantages: Vec::new(),
        lease,
        client_backoff: 15 * MINUTE,
        signature_window: 15 * MINUTE,
        presigned_ttl: Duration::ZERO,
        observe: Duration::ZERO,
        soak: 60 * MINUTE,
        orphan_wait: 60 * MINUTE,
        on_straggler: OnStraggler::Hold,
        create_timeout: MINUTE,
        lost_reply_wait: MINUTE,
    }
}
