//! What must never happen, by name, looked at after every event; and how everything must end.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rotakey_agent::simulator::Simulator;
use rotakey_agent::store::keystore::PROBE_PREFIX;
use rotakey_agent::store::profile::Journal;
use rotakey_core::credential::{AccessKeyId, KeyStatus};
use rotakey_core::journal::{Entry, Record, Step};
use rotakey_core::rotation::Command;
use rotakey_core::time::{Monotonic, Now, later};

use super::World;

/// The invariants.
pub const INVARIANTS: [(&str, &str); 12] = [
    ("never-refused", "no program is refused with a key that it was served, because of a rotation"),
    ("published-works", "the published credential is accepted by IAM, and its secret is held"),
    ("only-ours", "no key is deactivated or deleted that is not ours"),
    ("others-key-served", "no key is deactivated or deleted that another installation serves"),
    (
        "no-lease-broken",
        "no key is deactivated that somebody may still use by right, unless a person said that it leaked",
    ),
    (
        "leaked-stays-dead",
        "once its replacement is published, a leaked key is never served or active again, unless a person forces it",
    ),
    ("soak-before-delete", "no key is deleted before its soak, or an orphan before its wait"),
    ("one-create-per-intent", "CreateAccessKey is sent at most once for each intent"),
    ("secret-outlives-key", "no secret leaves the keystore while IAM has its key"),
    ("record-before-act", "the journal on disk announces each change before it is made"),
    (
        "journal-is-enough",
        "what the engine knows of a rotation is what its journal says, read anew",
    ),
    ("converges", "healed, the rotation ends: one active key, no orphan, its secret alone is held"),
];

/// What was seen so far, as far as it decides what may follow.
#[derive(Clone, Debug, Default)]
pub struct Watch {
    /// The keys that an installation was handed or made, told from IAM's own record.
    pub ours: BTreeSet<AccessKeyId>,
    /// Which installation made a key; what it was handed is not in here.
    pub made: BTreeMap<AccessKeyId, usize>,
    /// Until when somebody may sign with a key by right.
    pub leases: BTreeMap<AccessKeyId, (Timestamp, Monotonic)>,
    /// Since when a key is Inactive.
    pub inactive: BTreeMap<AccessKeyId, Timestamp>,
    /// The keys that were deactivated or deleted.
    retired: BTreeSet<AccessKeyId>,
    /// How often CreateAccessKey was sent.
    pub creates: BTreeMap<usize, usize>,
    /// Keys that somebody outside has changed: what becomes of them is not held against us.
    pub meddled: BTreeSet<AccessKeyId>,
    /// When somebody outside last changed a key: who acts at the same instant cannot know of it.
    pub changed: BTreeMap<AccessKeyId, Timestamp>,
    /// Keys that leaked, and whose replacement is published.
    pub leaked: BTreeSet<AccessKeyId>,
    /// Keys whose soak a person cuts short, to make room for the replacement of one that leaked.
    pub hurried: BTreeSet<AccessKeyId>,
    /// Keys of other people that a lost creation may be mistaken for.
    pub may_fence: BTreeSet<AccessKeyId>,
    /// The ledger is damaged from the outset: which key is served cannot be told.
    pub is_blind: bool,
    pub violations: Vec<String>,
    /// Whether the journal is read anew after every event: it takes time.
    pub reads_journal: bool,
}

/// The keys at IAM.
pub type Keys = BTreeMap<AccessKeyId, KeyStatus>;

impl Watch {
    pub fn new(_: &World, first: AccessKeyId) -> Self {
        Self { ours: BTreeSet::from([first]), ..Self::default() }
    }

    pub fn keys(&self, iam: &Simulator) -> Keys {
        iam.keys().map(|row| (row.id.parse().expect("an id"), row.status)).collect()
    }

    /// Somebody was given a key.
    pub fn lease(&mut self, id: AccessKeyId, expiration: Timestamp, now: &Now, lease: Duration) {
        let until = Monotonic {
            boot: now.monotonic.boot.clone(),
            since_boot: now.monotonic.since_boot + lease,
        };
        let (wall, monotonic) = self.leases.entry(id).or_insert((expiration, until.clone()));
        *wall = (*wall).max(expiration);
        if monotonic.boot != until.boot || monotonic.since_boot < until.since_boot {
            *monotonic = until;
        }
    }

    /// Whether an installation made a key or was handed it.
    fn is_of(&self, which: usize, id: &AccessKeyId) -> bool {
        self.ours.contains(id) && self.made.get(id).is_none_or(|maker| *maker == which)
    }

    fn is_leased(&self, id: &AccessKeyId, now: &Now, window: Duration) -> bool {
        self.leases.get(id).is_some_and(|(wall, monotonic)| {
            now.wall < later(*wall, window)
                || (monotonic.boot == now.monotonic.boot
                    && now.monotonic.since_boot < monotonic.since_boot + window)
        })
    }

    /// A key was changed.
    pub fn somebody_set(&mut self, id: &AccessKeyId, status: KeyStatus, now: Timestamp) {
        match status {
            KeyStatus::Active => {
                self.inactive.remove(id);
                self.retired.remove(id);
            }
            KeyStatus::Inactive => {
                self.inactive.insert(id.clone(), now);
            }
        }
    }

    /// Somebody outside changed a key: it may be refused until everybody knows of it.
    pub fn touch(&mut self, id: &AccessKeyId, now: Timestamp) {
        self.changed.insert(id.clone(), now);
    }

    /// Whether a key may be refused because of somebody outside.
    pub fn is_unsettled(&self, id: &AccessKeyId, now: Timestamp) -> bool {
        let settles = |at: &Timestamp| later(*at, Duration::from_secs(60));
        self.meddled.contains(id)
            || self.leaked.contains(id)
            || self.changed.get(id).is_some_and(|at| now < settles(at))
    }

    /// Until when the last holder of a key may use it.
    pub fn promised(&self, id: &AccessKeyId) -> Option<Timestamp> {
        self.leases.get(id).map(|(until, _)| *until)
    }

    /// What the clocks must be ahead of the true time, not to be behind what was promised for retired keys.
    pub fn promised_for_the_gone(&self, now: Timestamp) -> SignedDuration {
        let promised = self.retired.iter().filter_map(|id| self.leases.get(id));
        let last = promised.map(|(until, _)| *until).max().unwrap_or(Timestamp::MIN);
        last.duration_since(now)
    }

    pub fn violation(&mut self, name: &str, what: impl Into<String>) {
        debug_assert!(INVARIANTS.iter().any(|(known, _)| *known == name));
        self.violations.push(format!("{name}: {}", what.into()));
    }
}

impl World {
    /// Before a command: is it announced, and is it the first of its intent?
    pub fn watch_before(&mut self, which: usize, command: &Command, journal: &Journal) {
        let announced = |name: &str, id: Option<&AccessKeyId>| {
            let open = journal.status().rotation.as_ref();
            open.and_then(|open| open.intent.as_ref())
                .is_some_and(|(act, _)| act.name() == name && act.access_key_id() == id)
        };
        let is_announced = match command {
            Command::Create { .. } => announced("create", None),
            Command::Publish { id, .. } => announced("publish", Some(id)),
            Command::Forget(id) => announced("forget", Some(id)),
            Command::Update { id, status: KeyStatus::Inactive, .. } => {
                announced("deactivate", Some(id))
            }
            // Preflight asks whether it may, with an id that no key has.
            Command::Delete { id, .. } if self.keys().iter().any(|(key, _)| key == id) => {
                announced("delete", Some(id))
            }
            _ => true,
        };
        // What is announced must be on disk, not only in the machine's memory.
        let is_act = matches!(
            command,
            Command::Create { .. }
                | Command::Publish { .. }
                | Command::Forget(_)
                | Command::Update { status: KeyStatus::Inactive, .. }
                | Command::Delete { .. }
        );
        let machine = &self.installs[which].machine;
        if !is_announced || (is_act && machine.is_unsynced("/state/app/journal")) {
            self.watch.violation("record-before-act", format!("{command:?}"));
        }
        if let Command::Create { .. } = command {
            let intents = self.create_intents(which);
            let creates = self.watch.creates.entry(which).or_default();
            *creates += 1;
            if *creates > intents {
                let what = format!("{creates} requests for {intents} intents");
                self.watch.violation("one-create-per-intent", what);
            }
        }
        if let Command::Forget(id) = command
            && self.keys().iter().any(|(key, _)| key == id)
        {
            self.watch.violation("secret-outlives-key", format!("{id}"));
        }
    }

    fn create_intents(&mut self, which: usize) -> usize {
        let is_create = |entry: &Entry| matches!(&entry.record, Record::Intended { act } if act.name() == "create");
        self.entries(which).iter().filter(|entry| is_create(entry)).count()
    }

    /// After a command: whose keys changed, and might they?
    pub fn watch_after(&mut self, which: usize, command: &Command, before: &Keys) {
        let after = self.watch.keys(&self.iam);
        if *before == after {
            return;
        }
        for id in after.keys().filter(|id| !before.contains_key(*id)) {
            if matches!(command, Command::Create { .. }) {
                self.watch.ours.insert(id.clone());
                self.watch.made.insert(id.clone(), which);
            }
        }
        for (id, status) in before {
            let is_now = after.get(id);
            if is_now == Some(status) {
                continue;
            }
            match is_now {
                Some(KeyStatus::Active) => {
                    if self.watch.leaked.contains(id) {
                        self.watch.violation("leaked-stays-dead", format!("{id} is active again"));
                    }
                    let now = self.now.wall;
                    self.watch.somebody_set(id, KeyStatus::Active, now);
                }
                Some(KeyStatus::Inactive) => self.watch_deactivation(which, id),
                None => self.watch_deletion(which, id),
            }
        }
    }

    fn watch_deactivation(&mut self, which: usize, id: &AccessKeyId) {
        self.watch.inactive.insert(id.clone(), self.now.wall);
        self.watch.retired.insert(id.clone());
        let is_ours = self.watch.is_of(which, id) || self.watch.may_fence.contains(id);
        if !is_ours || self.ledger(which).access_key_id == *id {
            self.watch.violation("only-ours", format!("{id} was deactivated"));
        }
        self.watch_others(which, id);
        if !self.watch.leaked.contains(id)
            && self.watch.is_leased(id, &self.now, self.policy.signature_window)
        {
            self.watch.violation("no-lease-broken", format!("{id} was deactivated"));
        }
    }

    fn watch_deletion(&mut self, which: usize, id: &AccessKeyId) {
        let fenced = self.watch.may_fence.contains(id) && self.watch.inactive.contains_key(id);
        if !(self.watch.is_of(which, id) || fenced) || self.ledger(which).access_key_id == *id {
            self.watch.violation("only-ours", format!("{id} was deleted"));
        }
        self.watch_others(which, id);
        let wait = match (self.watch.leases.contains_key(id), self.held(which).contains(id)) {
            (true, _) => self.policy.soak,
            // Nobody was ever given it.
            (false, true) => return,
            (false, false) => self.policy.orphan_wait,
        };
        let since = self.watch.inactive.get(id);
        let is_early = since.is_none_or(|since| self.now.wall < later(*since, wait));
        let is_early = is_early && !self.watch.hurried.contains(id);
        let is_raced = self.watch.changed.get(id) == Some(&self.true_time());
        if is_early && !is_raced && !self.watch.meddled.contains(id) {
            self.watch.violation("soak-before-delete", format!("{id} was deleted"));
        }
    }

    /// A key was retired: does another installation serve it?
    fn watch_others(&mut self, which: usize, id: &AccessKeyId) {
        for other in (0..self.installs.len()).filter(|other| *other != which) {
            if self.ledger(other).access_key_id == *id && !self.watch.meddled.contains(id) {
                let what = format!("{id}, served by {}, was retired", self.installs[other].name);
                self.watch.violation("others-key-served", what);
            }
        }
    }

    /// At every instant: what programs are given works.
    pub fn check(&mut self, which: usize) {
        if self.watch.is_blind {
            return;
        }
        let served = self.ledger(which).access_key_id;
        self.note_leaked(which);
        if self.watch.leaked.contains(&served) {
            self.watch.violation("leaked-stays-dead", format!("{served} is served again"));
        }
        if !self.installs[which].machine.secrets.contains_key(&served) {
            self.watch.violation("published-works", format!("the secret of {served} is not held"));
        }
        let works = self.keys().iter().any(|(id, s)| *id == served && *s == KeyStatus::Active);
        if !works && !self.watch.meddled.contains(&served) {
            self.watch.violation("published-works", format!("{served} is not active"));
        }
    }

    /// Which keys leaked, as the journal has it.
    pub fn note_leaked(&mut self, which: usize) {
        let Some(open) = self.status(which).rotation else { return };
        if open.is_cut_off() && open.published.is_some() {
            self.watch.leaked.insert(open.outgoing.id);
        } else if let Some(id) = open.compromised.filter(|_| open.undone.is_some()) {
            let is_forced = |entry: &Entry| matches!(&entry.record, Record::UndoBegun { forced, .. } if *forced);
            if self.entries(which).iter().any(is_forced) {
                self.watch.leaked.remove(&id);
            }
        }
    }

    /// A leaked key is to be replaced: the soak of the one before is cut short.
    pub fn note_hurry(&mut self, which: usize) {
        if let Some(open) = self.status(which).rotation
            && open.step >= Step::Soak
        {
            self.watch.hurried.insert(open.outgoing.id);
        }
    }

    /// A process that died now would leave all that it knows.
    pub fn check_journal(&mut self, which: usize) {
        let install = &mut self.installs[which];
        let Some(process) = &install.process else { return };
        let known = process.rotation.status().clone();
        let read = super::untroubled(install, &self.now, || super::state().read());
        if read.expect("readable").1 != known {
            self.watch.violation("journal-is-enough", format!("the engine knows {known:?}"));
        }
    }

    /// In the end: exactly one active key of ours, held and served, and no secret without a key.
    pub fn settled(&mut self, which: usize) {
        let status = self.status(which);
        if let Some(open) = &status.rotation {
            self.watch.violation("converges", format!("it is still open: {open:?}"));
            return;
        }
        let Some(current) = status.current.map(|key| key.id) else { return };
        let served = self.ledger(which).access_key_id;
        let ours: Vec<_> =
            self.keys().into_iter().filter(|(id, _)| self.watch.ours.contains(id)).collect();
        let mut held = self.held(which);
        // What a crash left of a probe is no key's secret, and the next probe removes it.
        held.retain(|id| !id.as_str().starts_with(PROBE_PREFIX));
        // Nor can a secret be missed whose key somebody deleted before the journal had its name.
        let entries = self.entries(which);
        held.retain(|id| {
            let is_named = entries.iter().any(|e| e.record.access_key_id() == Some(id));
            is_named || !self.watch.meddled.contains(id)
        });
        if ours != [(current.clone(), KeyStatus::Active)]
            || served != current
            || held != BTreeSet::from([current.clone()])
        {
            let what = format!("current {current}, served {served}, keys {ours:?}, held {held:?}");
            self.watch.violation("converges", what);
        }
    }
}
