//! IAM, a keystore, a journal, a ledger and a clock, in memory, and what must never happen to them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;

use crate::credential::{AccessKeyId, Generation, KeyStatus};
use crate::error::Failure;
use crate::iam::{CallerIdentity, Doubt, Refusal, RefusalClass, Vantage};
use crate::journal::{Entry, Origin, Record, RotationId, Status};
use crate::lease::Ledger;
use crate::policy::{OnStraggler, Policy};
use crate::rotation::{Command, Ending, Event, Goal, Rotation, Task};
use crate::time::{Monotonic, Now, later};

/// No run is longer.
const COMMANDS_MAX: usize = 600;

/// The data plane lags behind the control plane by this.
pub(super) const LAG: Duration = Duration::from_secs(3);

/// Ahead of the local clock.
pub(super) const SERVER_AHEAD: Duration = Duration::from_secs(37);

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
pub(super) enum Answer {
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
    /// What the sources say of their serving.
    pub(super) healthy_since: Option<Timestamp>,
    pub(super) fell_over: Option<Timestamp>,
    /// The sources go on serving what they served, until then.
    pub(super) sources_frozen: Option<(AccessKeyId, Timestamp)>,
    /// A vantage that knows no key made later than the beginning, until then.
    pub(super) deaf: Option<(Vantage, Timestamp)>,
    /// The keystore takes nothing, until then.
    pub(super) store_full: Option<Timestamp>,
    /// The simulator of policies answers.
    pub(super) simulates: bool,
    /// What AWS turns away, and how.
    pub(super) denied: BTreeMap<&'static str, RefusalClass>,
    /// Who a signer is, to STS.
    pub(super) caller: CallerIdentity,
    /// Somebody else changes our keys: what they do is not held against the machine.
    pub(super) meddled: bool,
    /// A person's key may be set Inactive: nobody could tell it from an orphan.
    pub(super) may_fence: bool,
    /// A key whose soak a person cuts short.
    pub(super) hurried: Option<AccessKeyId>,
    pub(super) done: Vec<(Command, Answer)>,
    /// What the last list said.
    pub(super) listed: BTreeMap<AccessKeyId, KeyStatus>,
    pub(super) made: u32,
    pub(super) creates_for: BTreeSet<usize>,
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

pub(super) fn identity() -> CallerIdentity {
    CallerIdentity { account_id: "1".to_owned(), arn: "arn:aws:iam::1:user/app".to_owned() }
}

pub(super) fn refusal(class: RefusalClass) -> Refusal {
    Refusal { class, code: format!("{class:?}"), message: "no".to_owned() }
}

/// The key that a command is signed with.
pub(super) fn signer(command: &Command) -> Option<&AccessKeyId> {
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

/// What a "no" says of the key.
fn said(class: RefusalClass) -> Answer {
    match class {
        class if class.is_transient() => Answer::None,
        class if class.is_authenticated() => Answer::Accepted,
        _ => Answer::Refused,
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
            healthy_since: None,
            fell_over: None,
            sources_frozen: None,
            deaf: None,
            store_full: None,
            simulates: false,
            denied: BTreeMap::new(),
            caller: identity(),
            meddled: false,
            may_fence: false,
            hurried: None,
            done: Vec::new(),
            listed: BTreeMap::new(),
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
    pub(super) fn fail(&self, why: &str, command: &Command) -> ! {
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
        if goal == Goal::COMPROMISED
            && let Some(open) = self.status().rotation
            && open.deactivated.is_some()
        {
            self.hurried = Some(open.outgoing.id);
        }
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
                Some(Blow::Refused(class)) => (said(class), Event::Refused(refusal(class))),
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
                    Event::Refused(refusal) => (said(refusal.class), Event::Refused(refusal)),
                    event => (Answer::Accepted, event),
                },
            };
            self.check(&command);
            self.done.push((command, answer));
            command = rotation.handle(&self.now, event);
        }
        self.fail("it never ends", &command)
    }
}

pub(super) fn whole(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).expect("in range")
}
