//! IAM, a keystore, a journal, a ledger and a clock, in memory, and what must never happen to them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;

use crate::credential::{AccessKeyId, Credentials, Generation, KeyStatus, SecretAccessKey};
use crate::error::Failure;
use crate::iam::{
    CallerIdentity, Doubt, KeyList, LastUsed, ListedKey, NewKey, Refusal, RefusalClass, Vantage,
};
use crate::journal::{Act, Entry, Origin, Reason, Record, RotationId, Status};
use crate::lease::Ledger;
use crate::policy::{OnStraggler, Policy};
use crate::rotation::{Command, Ending, Event, Fetched, Goal, Rotation, Task, WaitingFor};
use crate::time::{Monotonic, Now, earlier, later};

/// No run is longer.
const COMMANDS_MAX: usize = 600;

/// The data plane lags behind the control plane by this.
const LAG: Duration = Duration::from_secs(3);

/// Ahead of the local clock.
const SERVER_AHEAD: Duration = Duration::from_secs(37);

/// What happens at one command.
#[derive(Clone, Copy, Debug)]
pub(super) enum Blow {
    CrashBefore,
    CrashAfter,
    /// A crash after the command, and the machine starts anew.
    Reboot,
    Refused(RefusalClass),
    /// The reply of AWS is lost.
    Lost {
        sent: bool,
        done: bool,
    },
    /// The machine fails.
    Fault {
        done: bool,
    },
}

/// What AWS said to a signed request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Accepted,
    Refused,
    /// Lost, or "later".
    None,
}

#[derive(Clone, Debug)]
pub(super) struct IamKey {
    pub(super) status: KeyStatus,
    pub(super) created: Timestamp,
    /// The last change of the status, by the local clock.
    pub(super) changed: Timestamp,
    pub(super) last_used: Option<Timestamp>,
    pub(super) foreign: bool,
}

#[derive(Clone, Debug)]
pub(super) struct World {
    pub(super) label: String,
    pub(super) now: Now,
    pub(super) policy: Policy,
    pub(super) iam: BTreeMap<AccessKeyId, IamKey>,
    pub(super) store: BTreeSet<AccessKeyId>,
    pub(super) journal: Vec<Entry>,
    pub(super) ledger: Ledger,
    pub(super) served: BTreeSet<AccessKeyId>,
    pub(super) tags: Vec<(String, String)>,
    /// The sources go on serving what they served, until then.
    pub(super) sources_frozen: Option<(AccessKeyId, Timestamp)>,
    /// A vantage that knows no key made later than the beginning, until then.
    pub(super) deaf: Option<(Vantage, Timestamp)>,
    /// The keystore takes nothing, until then.
    pub(super) store_full: Option<Timestamp>,
    /// The simulator of policies answers.
    pub(super) simulates: bool,
    /// Somebody else changes our keys: what they do is not held against the machine.
    pub(super) meddled: bool,
    /// A person's key may be set Inactive: nobody could tell it from an orphan.
    pub(super) may_fence: bool,
    done: Vec<(Command, Answer)>,
    made: u32,
    creates_for: BTreeSet<usize>,
}

pub(super) fn id(text: &str) -> AccessKeyId {
    text.parse().expect("an id")
}

pub(super) fn old() -> AccessKeyId {
    id("AKIAOLD")
}

pub(super) fn foreign() -> AccessKeyId {
    id("AKIAFOREIGN")
}

pub(super) fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

pub(super) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + second).expect("in range")
}

pub(super) fn policy() -> Policy {
    Policy {
        successes: 2,
        spacing: seconds(2),
        settle: seconds(5),
        deadline: seconds(120),
        vantages: vec![Vantage::Sts("eu-west-1".to_owned()), Vantage::Iam],
        lease: seconds(900),
        client_backoff: seconds(600),
        signature_window: seconds(900),
        presigned_ttl: seconds(60),
        observe: seconds(3600),
        soak: seconds(86_400),
        orphan_wait: seconds(3600),
        on_straggler: OnStraggler::Hold,
        create_timeout: seconds(6),
        lost_reply_wait: seconds(6),
    }
}

fn identity() -> CallerIdentity {
    CallerIdentity { account_id: "1".to_owned(), arn: "arn:aws:iam::1:user/app".to_owned() }
}

fn refusal(class: RefusalClass) -> Refusal {
    Refusal { class, code: format!("{class:?}"), message: "no".to_owned() }
}

/// The key that a command is signed with.
fn signer(command: &Command) -> Option<&AccessKeyId> {
    match command {
        Command::Identify { signer, .. }
        | Command::List { signer }
        | Command::Create { signer, .. }
        | Command::Update { signer, .. }
        | Command::Delete { signer, .. }
        | Command::LastUsed { signer, .. }
        | Command::Simulate { signer }
        | Command::ListTags { signer }
        | Command::Tag { signer, .. }
        | Command::Untag { signer, .. } => Some(signer),
        _ => None,
    }
}

/// Everything that can go wrong with a command, short of a crash.
pub(super) fn faults(command: &Command) -> Vec<Blow> {
    use RefusalClass as Class;
    if !command.action().is_empty() {
        let classes = [
            Class::KeyUnknown,
            Class::WrongSecret,
            Class::Clock,
            Class::Expired,
            Class::Permission,
            Class::Quarantine,
            Class::Throttled,
            Class::Quota,
            Class::NoSuchEntity,
            Class::Conflict,
            Class::Invalid,
        ];
        let lost = [(true, true), (true, false), (false, false)];
        return classes
            .into_iter()
            .map(Blow::Refused)
            .chain(lost.into_iter().map(|(sent, done)| Blow::Lost { sent, done }))
            .collect();
    }
    match command {
        Command::Wait { .. } | Command::End(_) => Vec::new(),
        _ => vec![Blow::Fault { done: false }, Blow::Fault { done: true }],
    }
}

pub(super) const CRASHES: [Blow; 3] = [Blow::CrashBefore, Blow::CrashAfter, Blow::Reboot];

impl World {
    pub(super) fn new(origin: Origin) -> Self {
        let now = Now {
            wall: at(0),
            monotonic: Monotonic { boot: "first".to_owned(), since_boot: seconds(1000) },
        };
        let made = IamKey {
            status: KeyStatus::Active,
            created: at(-1_000_000),
            changed: at(-1_000_000),
            last_used: None,
            foreign: false,
        };
        let mut ledger = Ledger::new(old(), Generation(1), at(-1000));
        ledger.extend(Generation(1), &now, seconds(900), seconds(60)).expect("the generation");
        let enrolled = Record::Enrolled {
            access_key_id: old(),
            account_id: "1".to_owned(),
            arn: identity().arn,
            user: "app".to_owned(),
            created: Some(made.created),
            origin,
        };
        Self {
            label: String::new(),
            policy: policy(),
            iam: BTreeMap::from([(old(), made)]),
            store: BTreeSet::from([old()]),
            journal: vec![Entry { time: now.wall, rotation: None, record: enrolled }],
            now,
            ledger,
            served: BTreeSet::from([old()]),
            tags: Vec::new(),
            sources_frozen: None,
            deaf: None,
            store_full: None,
            simulates: false,
            meddled: false,
            may_fence: false,
            done: Vec::new(),
            made: 0,
            creates_for: BTreeSet::new(),
        }
    }

    pub(super) fn status(&self) -> Status {
        Status::replay(&self.journal).expect("a journal of legal records")
    }

    pub(super) fn commands(&self) -> impl Iterator<Item = &Command> {
        self.done.iter().map(|(command, _)| command)
    }

    pub(super) fn sent(&self, test: impl Fn(&Command) -> bool) -> usize {
        self.commands().filter(|command| test(command)).count()
    }

    pub(super) fn recorded(&self, test: impl Fn(&Record) -> bool) -> usize {
        self.journal.iter().filter(|entry| test(&entry.record)).count()
    }

    pub(super) fn begun(&self) -> bool {
        self.recorded(|record| matches!(record, Record::Begun { .. })) > 0
    }

    pub(super) fn add_foreign(&mut self) {
        if self.iam.len() < 2 {
            let created = whole(later(self.now.wall, SERVER_AHEAD));
            let changed = self.now.wall;
            let status = KeyStatus::Active;
            let key = IamKey { status, created, changed, last_used: None, foreign: true };
            self.iam.insert(foreign(), key);
        }
    }

    #[track_caller]
    fn fail(&self, why: &str, command: &Command) -> ! {
        let last: Vec<_> =
            self.done.iter().rev().take(8).rev().map(|(c, a)| format!("{a:?} {c:?}")).collect();
        panic!("{}: {why}\nat {command:?}\nafter {}", self.label, last.join("\n      "));
    }

    /// Runs one process: until it ends, or crashes (`None`). Counts its commands.
    pub(super) fn drive(
        &mut self,
        goal: Goal,
        blow: Option<(usize, Blow)>,
    ) -> (usize, Option<Ending>) {
        self.drive_with(goal, blow.as_slice(), |_, _, _| ())
    }

    /// The same, with several blows.
    pub(super) fn drive_blows(
        &mut self,
        goal: Goal,
        blows: &[(usize, Blow)],
    ) -> (usize, Option<Ending>) {
        self.drive_with(goal, blows, |_, _, _| ())
    }

    /// The same; `before` is called before each command.
    pub(super) fn drive_with(
        &mut self,
        goal: Goal,
        blows: &[(usize, Blow)],
        mut before: impl FnMut(&mut Self, usize, &Command),
    ) -> (usize, Option<Ending>) {
        let task = Task {
            policy: self.policy.clone(),
            rotation: RotationId(format!("{:016x}", self.journal.len())),
            tag: "rotakey:here".to_owned(),
            goal,
        };
        let mut rotation = Rotation::new(task, self.status());
        let mut command = rotation.start(&self.now);
        for n in 0..COMMANDS_MAX {
            if let Command::End(ending) = &command {
                if let Ending::Failed(Failure::Bug(why)) = ending {
                    self.fail(&format!("a bug: {why}"), &command);
                }
                // Of a record whose writing failed, only a replay knows.
                if !blows.iter().any(|(_, blow)| matches!(blow, Blow::Fault { .. })) {
                    assert_eq!(*rotation.status(), self.status(), "{}: live", self.label);
                }
                return (n, Some(ending.clone()));
            }
            before(self, n, &command);
            self.guard(&command);
            let hit = blows.iter().find(|(when, _)| *when == n).map(|(_, blow)| *blow);
            let (answer, event) = match hit {
                Some(Blow::CrashBefore) => return (n, None),
                Some(Blow::CrashAfter | Blow::Reboot) => {
                    self.execute(&command);
                    self.check(&command);
                    if matches!(hit, Some(Blow::Reboot)) {
                        self.now.wall = later(self.now.wall, seconds(300));
                        self.now.monotonic =
                            Monotonic { boot: format!("{n}"), since_boot: seconds(60) };
                    }
                    self.done.push((command, Answer::None));
                    return (n, None);
                }
                Some(Blow::Refused(class)) => {
                    let answer = match class {
                        class if class.is_transient() => Answer::None,
                        class if class.is_authenticated() => Answer::Accepted,
                        _ => Answer::Refused,
                    };
                    (answer, Event::Refused(refusal(class)))
                }
                Some(Blow::Lost { sent, done }) => {
                    if done {
                        self.execute(&command);
                    }
                    (Answer::None, Event::Unknown(Doubt { sent, reason: "lost".to_owned() }))
                }
                Some(Blow::Fault { done }) => {
                    if done {
                        self.execute(&command);
                    }
                    let failure = Failure::Environment("broken".to_owned());
                    (Answer::None, Event::Fault(failure))
                }
                None => match self.execute(&command) {
                    event @ Event::Refused(_) => (Answer::Refused, event),
                    event => (Answer::Accepted, event),
                },
            };
            self.check(&command);
            self.done.push((command, answer));
            command = rotation.handle(&self.now, event);
        }
        self.fail("it never ends", &command)
    }

    /// Resumes until the rotation has ended, nothing going wrong any more, and sees that all is well.
    pub(super) fn heal(&mut self) {
        for _ in 0..4 {
            let goal = match (self.status().rotation.is_some(), self.begun()) {
                (true, _) => Goal::Resume,
                (false, false) => Goal::Rotate(Reason::Forced),
                (false, true) => break,
            };
            self.drive(goal, None);
        }
        self.settled();
    }

    /// Exactly one key of ours: active, held, served.
    pub(super) fn settled(&self) {
        let status = self.status();
        let nothing = Command::Fetch;
        if let Some(open) = &status.rotation {
            self.fail(&format!("it is still open: {open:?}"), &nothing);
        }
        let current = status.current.expect("a key").id;
        let ours: Vec<_> = self.iam.iter().filter(|(_, key)| !key.foreign).collect();
        if self.ledger.access_key_id != current {
            self.fail("another key is served than the journal says", &nothing);
        }
        let alone =
            matches!(ours[..], [(id, key)] if *id == current && key.status == KeyStatus::Active);
        if !alone {
            self.fail(&format!("not one active key of ours: {ours:?}"), &nothing);
        }
        if self.store != BTreeSet::from([current]) {
            self.fail(&format!("the keystore holds {:?}", self.store), &nothing);
        }
    }

    /// What must hold after each command.
    fn check(&self, command: &Command) {
        let served = &self.ledger.access_key_id;
        if !self.store.contains(served) {
            self.fail("the served key is not held", command);
        }
        let active = self.iam.get(served).is_some_and(|key| key.status == KeyStatus::Active);
        if !active && !self.meddled {
            self.fail("the served key is not active", command);
        }
    }

    /// What must hold before each command.
    fn guard(&self, command: &Command) {
        match command {
            Command::Update { id, status: KeyStatus::Inactive, .. } => {
                self.guard_loss(id, command);
                if self.served.contains(id) {
                    self.guard_safe(id, command);
                }
            }
            Command::Delete { id, .. } if self.iam.contains_key(id) => {
                self.guard_loss(id, command);
                let key = &self.iam[id];
                let wait = match (self.served.contains(id), self.store.contains(id)) {
                    (true, _) => self.policy.soak,
                    (false, true) => return,
                    (false, false) => self.policy.orphan_wait,
                };
                if key.status != KeyStatus::Inactive || self.now.wall < later(key.changed, wait) {
                    self.fail("deleted before it was Inactive for long enough", command);
                }
            }
            Command::Create { .. } => {
                let intent = self.journal.last().map(|entry| &entry.record);
                let fresh = !self.creates_for.contains(&self.journal.len());
                let same = matches!(intent, Some(Record::Intended { act: Act::Create { .. } }));
                if !same || !fresh {
                    self.fail("created without an intent of its own", command);
                }
            }
            Command::Forget(id) => {
                let gone = !self.iam.contains_key(id);
                if *id == self.ledger.access_key_id || !gone {
                    self.fail("forgotten while it lives", command);
                }
            }
            Command::Append(Entry { record: Record::Verified { access_key_id }, .. }) => {
                self.guard_believed(access_key_id, 3, command);
            }
            Command::Append(Entry {
                record: Record::Intended { act: Act::Publish { access_key_id, .. } },
                ..
            }) => self.guard_believed(access_key_id, 2, command),
            Command::Publish { id, .. } => {
                let active = self.iam.get(id).is_some_and(|key| key.status == KeyStatus::Active);
                if !self.store.contains(id) || (!active && !self.meddled) {
                    self.fail("a key is published that does not work", command);
                }
            }
            _ => {}
        }
    }

    /// A key is about to be deactivated or deleted.
    fn guard_loss(&self, id: &AccessKeyId, command: &Command) {
        let served = &self.ledger.access_key_id;
        if id == served {
            self.fail("the served key is touched", command);
        }
        let fence = self.may_fence && matches!(command, Command::Update { .. });
        if self.iam.get(id).is_some_and(|key| key.foreign) && !fence {
            self.fail("a key is touched that is not ours", command);
        }
        // Since the last change and the last wait, the key that stays was accepted, and a list was fresh.
        let (mut accepted, mut listed) = (false, false);
        for (command, answer) in self.done.iter().rev() {
            let ok = *answer == Answer::Accepted;
            match command {
                Command::Identify { signer, .. } if signer == served => accepted |= ok,
                Command::List { signer } if signer == served => listed |= ok,
                Command::Wait { waiting_for: WaitingFor::Aws(_), .. } => {}
                Command::Append(_) | Command::LastUsed { .. } | Command::ReadHorizon(_) => {}
                _ => break,
            }
        }
        if !accepted || !listed {
            self.fail("not checked directly before", command);
        }
    }

    /// SAFE, said once more in other words.
    fn guard_safe(&self, id: &AccessKeyId, command: &Command) {
        let horizon = self.ledger.horizons.get(id);
        let window = self.policy.signature_window;
        let mut last = later(self.ledger.published, self.policy.client_backoff);
        if let Some(horizon) = horizon {
            last = last.max(horizon.served_until.unwrap_or(last));
            last = last.max(horizon.unrecorded_until.unwrap_or(last));
        }
        let wall = later(last, window + seconds(1) + self.policy.presigned_ttl);
        let clock = horizon
            .and_then(|horizon| horizon.monotonic.as_ref())
            .filter(|held| held.boot == self.now.monotonic.boot)
            .is_none_or(|held| self.now.monotonic.since_boot >= held.since_boot + window);
        if self.now.wall < wall || !clock {
            self.fail("deactivated before SAFE", command);
        }
    }

    /// A key was accepted so many rounds in a row, with nothing refused between.
    fn guard_believed(&self, id: &AccessKeyId, rounds: usize, command: &Command) {
        let wanted = rounds * self.policy.vantages.len();
        let probes: Vec<_> = self
            .done
            .iter()
            .rev()
            .filter(|(command, answer)| signer(command) == Some(id) && *answer != Answer::None)
            .take(wanted)
            .collect();
        let all = probes.iter().all(|(_, answer)| *answer == Answer::Accepted);
        if probes.len() < wanted || !all {
            self.fail("believed too early", command);
        }
    }

    /// Lets time pass; the sources go on serving.
    fn pass(&mut self, duration: Duration) {
        self.serve();
        self.now.wall = later(self.now.wall, duration);
        self.now.monotonic.since_boot += duration;
        self.serve();
    }

    fn serve(&mut self) {
        let (generation, lease) = (self.ledger.generation, self.policy.lease);
        self.ledger.extend(generation, &self.now, lease, seconds(60)).expect("the generation");
        for (id, horizon) in &self.ledger.horizons {
            let until = horizon.served_until.map(|until| until.min(self.now.wall));
            if let Some(key) = self.iam.get_mut(id)
                && key.status == KeyStatus::Active
            {
                key.last_used = key.last_used.max(until);
            }
        }
    }

    /// Whether the data plane knows the key.
    fn accepts(&mut self, command: &Command) -> Option<Event> {
        let signer = signer(command)?;
        if !self.store.contains(signer) {
            return Some(Event::Fault(Failure::Keystore(format!("{signer} is not held"))));
        }
        let vantage = match command {
            Command::Identify { region, .. } => Some(Vantage::Sts(region.clone())),
            Command::List { .. } => Some(Vantage::Iam),
            _ => None,
        };
        let deaf = self.deaf.as_ref().is_some_and(|(place, until)| {
            Some(place) == vantage.as_ref() && self.now.wall < *until && *signer != old()
        });
        let wall = self.now.wall;
        let known = self.iam.get_mut(signer).filter(|key| {
            // A young status is not known yet.
            let lagging = key.changed > earlier(wall, LAG);
            (key.status == KeyStatus::Active) != lagging && !deaf
        });
        match known {
            Some(key) => {
                key.last_used = Some(wall);
                None
            }
            None => Some(Event::Refused(refusal(RefusalClass::KeyUnknown))),
        }
    }

    fn execute(&mut self, command: &Command) -> Event {
        self.pass(Duration::from_millis(10));
        if let Some(no) = self.accepts(command) {
            return no;
        }
        let server = later(self.now.wall, SERVER_AHEAD);
        let absent = || Event::Refused(refusal(RefusalClass::NoSuchEntity));
        match command {
            Command::Append(entry) => {
                let mut status = self.status();
                status.apply(entry).expect("a legal record");
                self.journal.push(entry.clone());
                Event::Appended
            }
            Command::ProbeKeystore | Command::Untag { .. } => Event::Ready,
            Command::Identify { .. } => Event::Identified(identity()),
            Command::List { .. } => {
                let line = |(id, key): (&AccessKeyId, &IamKey)| ListedKey {
                    access_key_id: id.clone(),
                    status: key.status,
                    created: key.created,
                };
                let keys = self.iam.iter().map(line).collect();
                Event::Listed(KeyList { keys, server_time: whole(server) })
            }
            Command::Create { .. } => {
                self.creates_for.insert(self.journal.len());
                if self.iam.len() >= 2 {
                    return Event::Refused(refusal(RefusalClass::Quota));
                }
                self.made += 1;
                let access_key_id = id(&format!("AKIANEW{}", self.made));
                let (status, changed) = (KeyStatus::Active, self.now.wall);
                let created = whole(server);
                let key = IamKey { status, created, changed, last_used: None, foreign: false };
                self.iam.insert(access_key_id.clone(), key);
                let secret_access_key = SecretAccessKey::new("secret".to_owned());
                let credentials = Credentials { access_key_id, secret_access_key };
                Event::Created(NewKey { credentials, created })
            }
            Command::Store(_) if self.store_full.is_some_and(|until| self.now.wall < until) => {
                Event::Fault(Failure::Keystore("full".to_owned()))
            }
            Command::Store(credentials) => {
                self.store.insert(credentials.access_key_id.clone());
                Event::Ready
            }
            Command::Holds(id) => Event::Holds(self.store.contains(id)),
            Command::Forget(id) => {
                self.store.remove(id);
                self.ledger.forget(id);
                Event::Ready
            }
            Command::Update { id, status, .. } => match self.iam.get_mut(id) {
                None => absent(),
                Some(key) => {
                    if key.status != *status {
                        key.changed = self.now.wall;
                    }
                    key.status = *status;
                    Event::Ready
                }
            },
            Command::Delete { id, .. } => self.iam.remove(id).map_or_else(absent, |_| Event::Ready),
            Command::LastUsed { id, .. } => self.iam.get(id).map_or_else(absent, |key| {
                let (service, region) = ("s3".to_owned(), "eu-west-1".to_owned());
                Event::LastUsed(key.last_used.map(|at| LastUsed { at, service, region }))
            }),
            Command::Simulate { .. } if self.simulates => Event::Denied(Vec::new()),
            Command::Simulate { .. } => Event::Refused(refusal(RefusalClass::Permission)),
            Command::ListTags { .. } => Event::Tags(self.tags.clone()),
            Command::Tag { describes, .. } => {
                let name = describes.as_ref().map_or("rotakey:here", AccessKeyId::as_str);
                self.tags.push((name.to_owned(), String::new()));
                Event::Ready
            }
            Command::Publish { id, generation } => {
                self.ledger.publish(id.clone(), *generation, &self.now, self.policy.lease);
                self.served.insert(id.clone());
                Event::Ready
            }
            Command::Fetch => {
                let frozen =
                    self.sources_frozen.as_ref().filter(|(_, until)| self.now.wall < *until);
                let key =
                    frozen.map_or_else(|| self.ledger.access_key_id.clone(), |(id, _)| id.clone());
                let served = Ok((key, identity()));
                Event::Fetched(vec![Fetched { source: "imds".to_owned(), served }])
            }
            Command::ReadHorizon(id) => Event::Horizon(self.ledger.horizons.get(id).cloned()),
            Command::Wait { until, .. } => {
                let ms = until.as_millisecond() - self.now.wall.as_millisecond();
                self.pass(Duration::from_millis(
                    u64::try_from(ms.max(0)).expect("not negative") + 1,
                ));
                Event::Woke
            }
            Command::End(_) => Event::Woke,
        }
    }
}

fn whole(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).expect("in range")
}
