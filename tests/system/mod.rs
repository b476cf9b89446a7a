//! The whole system in one process, on virtual time: the real engine, driver, journal, ledger and IAM simulator,
//! on machines that break to order. A world is plain data: a suite can copy it, and go on in every direction.
#![allow(dead_code, missing_docs, unreachable_pub, reason = "each suite uses its own part")]

mod asking;
pub mod blows;
mod breaking;
mod engine;
pub mod machine;
pub mod people;
pub mod seeds;
pub mod watch;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rotakey_agent::simulator::{Behaviour, Command as Order, Simulator};
use rotakey_agent::store::profile::ProfileState;
use rotakey_core::credential::{AccessKeyId, Generation, KeyStatus, SecretAccessKey};
use rotakey_core::iam::{CallerIdentity, Vantage};
use rotakey_core::journal::{Entry, Origin, Reason, Record, Status};
use rotakey_core::lease::Ledger;
use rotakey_core::policy::{OnStraggler, Policy};
use rotakey_core::rotation::{Ending, Goal};
use rotakey_core::time::{Monotonic, Now, later};
use serde_json::{Value, json};

use breaking::BreakingDisk;
pub use engine::Process;
use machine::{Machine, enter};
use watch::Watch;

pub const ROTATE: Goal = Goal::Rotate(Reason::Forced);

/// The IAM user whose keys are rotated.
pub const USER: &str = "app";

/// Everything: the account, the installations that rotate its user's keys, the time.
#[derive(Clone)]
pub struct World {
    /// What the clocks of the installations say.
    pub now: Now,
    /// What they are ahead of the true time, by which IAM goes.
    pub skew: SignedDuration,
    pub policy: Arc<Policy>,
    pub iam: Simulator,
    pub installs: Vec<Install>,
    pub watch: Watch,
}

/// One installation of rotakey.
#[derive(Clone)]
pub struct Install {
    pub name: &'static str,
    pub machine: Machine,
    /// The engine's process, if one runs.
    pub process: Option<Process>,
    /// How the last process ended.
    pub ended: Option<Ending>,
    /// How many processes were started.
    pub started: u32,
    /// When its sources began to serve without interruption, if it keeps count.
    pub healthy_since: Option<Timestamp>,
    /// The ledger and the status that were read last, each with the bytes of its file.
    ledger: Option<(Vec<u8>, Ledger)>,
    status: Option<(Vec<u8>, Status)>,
}

impl Install {
    /// One with nothing on its machine.
    pub fn new(name: &'static str) -> Self {
        Self {
            name,
            machine: Machine::default(),
            process: None,
            ended: None,
            started: 0,
            healthy_since: None,
            ledger: None,
            status: None,
        }
    }
}

/// The profile's state on the machine that is entered.
pub fn state() -> ProfileState {
    ProfileState::on(Arc::new(BreakingDisk), Path::new("/state"), "app")
}

pub fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// Durations that let time pass only where a rotation waits for people and programs.
pub fn instant_policy() -> Policy {
    Policy {
        successes: 2,
        spacing: Duration::ZERO,
        settle: Duration::ZERO,
        deadline: seconds(120),
        vantages: vec![Vantage::Sts("eu-west-1".to_owned()), Vantage::Iam],
        lease: seconds(3600),
        client_backoff: seconds(900),
        signature_window: seconds(900),
        presigned_ttl: Duration::ZERO,
        observe: seconds(4 * 3600),
        soak: seconds(7 * 86_400),
        orphan_wait: seconds(3600),
        on_straggler: OnStraggler::Hold,
        create_timeout: seconds(6),
        lost_reply_wait: seconds(6),
    }
}

/// An IAM that is late with everything, on another clock, and durations that wait for it.
pub fn lagging() -> (Policy, Behaviour) {
    let policy = Policy { spacing: seconds(2), settle: seconds(5), ..instant_policy() };
    let behaviour = Behaviour {
        visible_after: 3000,
        flaps_until: 6000,
        lingers: 4000,
        server_offset: 37_000,
        ..Behaviour::default()
    };
    (policy, behaviour)
}

impl World {
    /// A user with one key, which each of the installations was handed.
    pub fn new(
        policy: Policy,
        behaviour: Behaviour,
        origin: Origin,
        names: &[&'static str],
    ) -> Self {
        let wall = Timestamp::from_second(1_800_000_000).expect("in range");
        let now = Now { wall, monotonic: Monotonic { boot: "1".into(), since_boot: seconds(9) } };
        let (mut world, arn) = Self::empty(policy, behaviour, now);
        let key = world.order(json!({"op": "create-key", "user": USER}));
        world.pass(seconds(86_400));
        let id: AccessKeyId = key["access_key_id"].as_str().expect("an id").parse().expect("an id");
        let secret = key["secret_access_key"].as_str().expect("a secret").to_owned();
        let identity = CallerIdentity { account_id: "123456789012".to_owned(), arn };
        for name in names {
            let mut install = Install::new(name);
            let secret = SecretAccessKey::new(secret.clone());
            install.machine.secrets.insert(id.clone(), secret);
            enter(&mut install.machine, &world.now, || {
                enroll(&id, &identity, world.now.wall, origin)
            });
            world.installs.push(install);
        }
        world.watch = Watch::new(&world, id);
        world
    }

    /// A user without keys, and nobody to rotate them; and the user's ARN.
    pub fn empty(policy: Policy, behaviour: Behaviour, now: Now) -> (Self, String) {
        let mut world = Self {
            now,
            skew: SignedDuration::ZERO,
            policy: Arc::new(policy),
            iam: Simulator::new(behaviour),
            installs: Vec::new(),
            watch: Watch::default(),
        };
        let made = world.order(json!({"op": "create-user", "user": USER}));
        (world, made["arn"].as_str().expect("an ARN").to_owned())
    }

    /// An order to the account's admin.
    pub fn order(&mut self, order: Value) -> Value {
        let order: Order = serde_json::from_value(order).expect("an order");
        self.iam.control(self.true_time(), order).expect("obeyed")
    }

    pub fn true_time(&self) -> Timestamp {
        self.now.wall.saturating_sub(self.skew).expect("in range")
    }

    /// Lets time pass on all clocks.
    pub fn pass(&mut self, duration: Duration) {
        self.now.wall = later(self.now.wall, duration);
        self.now.monotonic.since_boot += duration;
    }

    /// What the journal of an installation amounts to, as it stands on its disk.
    pub fn status(&mut self, which: usize) -> Status {
        let install = &mut self.installs[which];
        if let Some(process) = &install.process {
            return process.journal.status().clone();
        }
        let bytes = &install.machine.files[Path::new("/state/app/journal")].now;
        match &install.status {
            Some((known, status)) if Some(known) == bytes.as_ref() => status.clone(),
            _ => {
                let bytes = bytes.clone().unwrap_or_default();
                let read = || state().read().expect("readable").1;
                let status = untroubled(install, &self.now, read);
                install.status = Some((bytes, status.clone()));
                status
            }
        }
    }

    /// The journal of an installation, as it reads now.
    pub fn entries(&mut self, which: usize) -> Vec<Entry> {
        untroubled(&mut self.installs[which], &self.now, || state().read().expect("readable").0)
    }

    /// The ledger of an installation.
    pub fn ledger(&mut self, which: usize) -> Ledger {
        let install = &mut self.installs[which];
        let bytes = &install.machine.files[Path::new("/state/app/ledger.json")].now;
        match &install.ledger {
            Some((known, ledger)) if Some(known) == bytes.as_ref() => ledger.clone(),
            _ => {
                let bytes = bytes.clone().unwrap_or_default();
                let read = || state().ledger().expect("readable").expect("written");
                let ledger = untroubled(install, &self.now, read);
                install.ledger = Some((bytes, ledger.clone()));
                ledger
            }
        }
    }

    /// The keys that IAM has, and their true status.
    pub fn keys(&self) -> Vec<(AccessKeyId, KeyStatus)> {
        self.iam.keys().map(|row| (row.id.parse().expect("an id"), row.status)).collect()
    }

    /// The ids whose secrets an installation holds.
    pub fn held(&self, which: usize) -> BTreeSet<AccessKeyId> {
        self.installs[which].machine.secrets.keys().cloned().collect()
    }
}

/// Looks at an installation's files as a person would, whatever its process is in the middle of.
fn untroubled<T>(install: &mut Install, now: &Now, look: impl FnOnce() -> T) -> T {
    let machine = &mut install.machine;
    let kept = (machine.trouble.take(), std::mem::take(&mut machine.is_dead));
    let operations = std::mem::take(&mut machine.operations);
    let result = enter(machine, now, look);
    (machine.trouble, machine.is_dead) = kept;
    machine.operations = operations;
    result
}

fn enroll(id: &AccessKeyId, identity: &CallerIdentity, time: Timestamp, origin: Origin) {
    let record = Record::Enrolled {
        access_key_id: id.clone(),
        account_id: identity.account_id.clone(),
        arn: identity.arn.clone(),
        user: USER.to_owned(),
        created: Some(time),
        origin,
    };
    let (_lock, mut journal) = state().lock().expect("a new folder");
    journal.append(&Entry { time, rotation: None, record }).expect("room");
    state()
        .update_ledger(|slot| *slot = Some(Ledger::new(id.clone(), Generation(1), time)))
        .expect("room");
}
