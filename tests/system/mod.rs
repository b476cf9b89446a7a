//! The whole system in one process, on virtual time: the real engine, driver, journal, ledger and IAM simulator,
//! on machines that break to order. A world is plain data: a suite can copy it, and go on in every direction.
#![allow(dead_code, missing_docs, unreachable_pub, reason = "each suite uses its own part")]

pub mod blows;
pub mod machine;
pub mod people;
pub mod watch;

use std::collections::BTreeSet;
use std::path::Path;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rotakey_agent::driver::{Driver, Endpoint};
use rotakey_agent::serve::{Handed, NotHanded, hand_out};
use rotakey_agent::simulator::{Behaviour, Command as Order, InProcess, Simulator};
use rotakey_agent::store::profile::{Journal, ProfileState};
use rotakey_core::credential::{AccessKeyId, Credentials, Generation, KeyStatus, SecretAccessKey};
use rotakey_core::error::Failure;
use rotakey_core::iam::{CallerIdentity, Vantage};
use rotakey_core::journal::{Entry, Origin, Reason, Record, RotationId, Status};
use rotakey_core::lease::Ledger;
use rotakey_core::policy::{OnStraggler, Policy};
use rotakey_core::rotation::{Command, Ending, Event, Goal, Rotation, Task};
use rotakey_core::time::{Monotonic, Now, later};
use serde_json::{Value, json};

use blows::{Blow, Loss};
use machine::{BreakingDisk, BreakingKeystore, EnteredClock, Machine, PowerCut, Trouble, enter};
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

/// An engine at work.
#[derive(Clone)]
pub struct Process {
    pub goal: Goal,
    pub rotation: Rotation,
    pub journal: Journal,
    /// What it orders next.
    pub command: Command,
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

/// Asks the sources as programs do: each answer by a process of its own.
struct OwnSources<'a> {
    lease: Duration,
    healthy_since: Option<Timestamp>,
    given: &'a Mutex<Vec<(AccessKeyId, Timestamp)>>,
}

impl Endpoint for OwnSources<'_> {
    async fn fetch(&self) -> Vec<(String, Result<Credentials, String>)> {
        let handed = hand_out(&state(), &BreakingKeystore, &EnteredClock, self.lease);
        let credentials = handed.map_err(|error| error.to_string()).map(|handed| {
            let credentials = handed.snapshot.credentials;
            let id = credentials.access_key_id.clone();
            self.given.lock().expect("one thread").push((id, handed.expiration));
            credentials
        });
        vec![("process".to_owned(), credentials)]
    }

    fn healthy_since(&self) -> Option<Timestamp> {
        self.healthy_since
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

    /// Starts an engine's process, which goes as far as its first command. `trouble` is met while the journal
    /// is opened.
    pub fn start(&mut self, which: usize, goal: Goal, trouble: Option<(usize, Trouble)>) {
        let (policy, now) = (Arc::clone(&self.policy), self.now.clone());
        let install = &mut self.installs[which];
        install.started += 1;
        install.machine.trouble = trouble;
        install.machine.operations.clear();
        let opened = enter(&mut install.machine, &now, || state().lock());
        install.machine.trouble = None;
        match opened {
            _ if install.machine.is_dead => {}
            Err(error) => {
                let failure = Failure::Environment(error.to_string());
                install.ended = Some(Ending::Failed(failure));
            }
            Ok((_lock, journal)) => {
                let status = journal.status().clone();
                let task = Task {
                    policy: (*policy).clone(),
                    rotation: RotationId(format!("{which:08x}{:08x}", status.generation.0)),
                    tag: format!("rotakey:{}", install.name),
                    goal: goal.clone(),
                };
                let mut rotation = Rotation::new(task, status);
                let command = rotation.start(&now);
                install.ended = None;
                install.process = Some(Process { goal, rotation, journal, command });
                self.end_if_over(which);
            }
        }
    }

    /// Carries out what an engine ordered, or lets it go wrong, and feeds back what came of it.
    pub fn step(&mut self, which: usize, blow: Option<Blow>) {
        let Some(mut process) = self.installs[which].process.take() else { return };
        let command = process.command.clone();
        self.watch_before(which, &command, &process.journal);
        let before = self.watch.keys(&self.iam);
        let event = match blow {
            Some(Blow::CrashBefore) => None,
            Some(Blow::Refused(class)) => Some(Event::Refused(blows::refusal(class))),
            Some(Blow::Lost(loss)) => {
                if loss == Loss::Done {
                    self.perform(which, &mut process, None);
                }
                Some(Event::Unknown(loss.doubt()))
            }
            Some(Blow::CrashAfter) => {
                self.perform(which, &mut process, None);
                None
            }
            Some(Blow::Trouble(number, trouble)) => {
                self.perform(which, &mut process, Some((number, trouble)))
            }
            None => self.perform(which, &mut process, None),
        };
        self.watch_after(which, &command, &before);
        if let Some(event) = event.filter(|_| !self.installs[which].machine.is_dead) {
            process.command = process.rotation.handle(&self.now, event);
            self.installs[which].process = Some(process);
            self.end_if_over(which);
        } else {
            self.installs[which].ended = None;
        }
        self.check(which);
        if self.watch.reads_journal {
            self.check_journal(which);
        }
    }

    fn perform(
        &mut self,
        which: usize,
        process: &mut Process,
        trouble: Option<(usize, Trouble)>,
    ) -> Option<Event> {
        if let Command::Wait { until, .. } = process.command {
            if let Ok(left) = Duration::try_from(until.duration_since(self.now.wall)) {
                self.pass(left);
            }
            return Some(Event::Woke);
        }
        let given = Mutex::new(Vec::new());
        let (wall, server) = (self.now.wall, self.true_time());
        let install = &mut self.installs[which];
        let simulator = Arc::new(Mutex::new(std::mem::take(&mut self.iam)));
        let service =
            InProcess::new(Arc::clone(&simulator), move || server).signing_by(move || wall);
        let (lease, healthy_since) = (self.policy.lease, install.healthy_since);
        let endpoint = OwnSources { lease, healthy_since, given: &given };
        let state = state();
        let tag = format!("rotakey:{}", install.name);
        let mut driver = Driver {
            service: &service,
            keystore: &BreakingKeystore,
            state: &state,
            journal: process.journal.clone(),
            endpoint: &endpoint,
            clock: &EnteredClock,
            policy: &self.policy,
            tag: &tag,
        };
        install.machine.trouble = trouble;
        install.machine.operations.clear();
        let (command, status) = (process.command.clone(), process.rotation.status().clone());
        let event = enter(&mut install.machine, &self.now, || {
            let future = pin!(driver.perform(command, &status));
            match future.poll_once() {
                Poll::Ready(event) => event,
                Poll::Pending => unreachable!("nothing here waits"),
            }
        });
        install.machine.trouble = None;
        process.journal = driver.journal;
        drop(service);
        self.iam = std::mem::take(&mut *simulator.lock().expect("one thread"));
        for (id, expiration) in given.into_inner().expect("one thread") {
            self.watch.lease(id, expiration, &self.now, self.policy.lease);
        }
        Some(event)
    }

    fn end_if_over(&mut self, which: usize) {
        let install = &mut self.installs[which];
        if let Some(Process { command: Command::End(ending), .. }) = &install.process {
            install.ended = Some(ending.clone());
            install.process = None;
        }
    }

    /// The power of a machine goes, and with it its process.
    pub fn power_cut(&mut self, which: usize, what: PowerCut) {
        self.installs[which].process = None;
        self.installs[which].machine.power_cut(what);
        self.check(which);
    }

    /// A program asks for its credential.
    pub fn fetch(&mut self, which: usize) -> Result<Handed, NotHanded> {
        let lease = self.policy.lease;
        let install = &mut self.installs[which];
        install.machine.operations.clear();
        let handed = enter(&mut install.machine, &self.now, || {
            hand_out(&state(), &BreakingKeystore, &EnteredClock, lease)
        });
        if let Ok(handed) = &handed {
            let id = handed.snapshot.credentials.access_key_id.clone();
            self.watch.lease(id, handed.expiration, &self.now, lease);
        }
        handed
    }

    /// A program uses a key that it was served; whether AWS lets it in.
    pub fn uses(&mut self, id: &AccessKeyId) -> bool {
        let region = self.policy.home_region().to_owned();
        let order = json!({"op": "use-key", "access_key_id": id.as_str(), "service": "sts",
            "region": region});
        self.order(order)["accepted"] == true || self.watch.is_unsettled(id, self.true_time())
    }

    /// A program starts, takes its credential and uses it.
    pub fn a_new_program_signs(&mut self, which: usize) {
        let Ok(handed) = self.fetch(which) else { return };
        let id = handed.snapshot.credentials.access_key_id;
        if !self.uses(&id) {
            self.watch.violation("never-refused", format!("a new program signed with {id}"));
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

/// Everything here is ready at once.
trait PollOnce {
    type Output;
    fn poll_once(self) -> Poll<Self::Output>;
}

impl<F: Future> PollOnce for std::pin::Pin<&mut F> {
    type Output = F::Output;

    fn poll_once(self) -> Poll<F::Output> {
        self.poll(&mut Context::from_waker(Waker::noop()))
    }
}
