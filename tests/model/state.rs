//! Where two installations and their user can be, and what an action makes of it. Every step is the real engine's.

use std::fmt::{Debug, Write};
use std::hash::{Hash, Hasher};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use rotakey_core::journal::{Origin, Status};
use rotakey_core::rotation::{Command, Goal};
use serde_json::json;
use sha2::{Digest, Sha256};

use super::setting::{Left, NAMES, Setting, policy};
use crate::system::blows::{Blow, Loss};
use crate::system::people::Change;
use crate::system::{ROTATE, USER, World};

/// A process that fails for a reason that stays is not started for ever.
pub const STARTS_MAX: u32 = 3;

/// In a wait up to this long, programs use their key all the time; at its end in any case.
const BUSY: Duration = Duration::from_secs(12 * 3600);

/// Between two uses.
const PERIOD: Duration = Duration::from_secs(1800);

/// What can happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// A process is started: to rotate, or after a crash to go on.
    Start(usize),
    /// An engine carries out its next command.
    Step(usize),
    /// A process dies, between two commands.
    Crash(usize),
    /// An answer of AWS is lost.
    Lose(usize, Loss),
    /// The admin changes something.
    Change(Change),
    /// Time moves to the earliest wake.
    Time(Timestamp),
}

impl Action {
    /// Whose files it can touch.
    fn who(&self) -> Option<usize> {
        match self {
            Self::Start(which) | Self::Step(which) | Self::Crash(which) | Self::Lose(which, _) => {
                Some(*which)
            }
            Self::Change(_) | Self::Time(_) => None,
        }
    }
}

/// A state, told from others by everything that decides what may follow.
#[derive(Clone)]
pub struct State {
    pub world: World,
    pub left: Left,
    /// What the journals on the disks amount to. To read them is the dearest part of a step.
    journals: [Arc<Status>; 2],
    digest: [u8; 32],
}

impl PartialEq for State {
    fn eq(&self, other: &Self) -> bool {
        self.digest == other.digest
    }
}

impl Hash for State {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.digest.hash(hasher);
    }
}

impl State {
    pub fn first(setting: &Setting) -> Self {
        let mut world = World::new(policy(), setting.behaviour(), Origin::HandedOver, &NAMES);
        for which in 0..NAMES.len() {
            if setting.tagged[which] {
                world.tag(which);
            }
            world.use_served(which);
        }
        if setting.tags_denied {
            let actions = ["TagUser", "UntagUser", "ListUserTags"];
            world.order(json!({"op": "deny", "user": USER, "actions": actions}));
        }
        let journals = [0, 1].map(|which| Arc::new(world.status(which)));
        Self::of(world, setting.left, journals)
    }

    fn of(mut world: World, left: Left, journals: [Arc<Status>; 2]) -> Self {
        world.iam.forget_log();
        let mut state = Self { world, left, journals, digest: [0; 32] };
        state.digest = state.compute_digest();
        state
    }

    /// What an action makes of it.
    pub fn after(&self, action: Action) -> Self {
        let (mut world, mut left) = (self.world.clone(), self.left);
        let who = action.who();
        match action {
            Action::Start(which) => {
                let goal = if self.has_open(which) { Goal::Resume } else { ROTATE };
                world.start(which, goal, None);
            }
            Action::Step(which) => world.step(which, None),
            Action::Crash(which) => {
                world.step(which, Some(Blow::CrashBefore));
                left.crashes -= 1;
            }
            Action::Lose(which, loss) => {
                world.step(which, Some(Blow::Lost(loss)));
                left.losses -= 1;
            }
            Action::Change(change) => {
                world.change(change);
                left.changes -= 1;
            }
            Action::Time(at) => {
                // Programs that took a key at the last moment hold it longest.
                everybody(&mut world, |world, which| drop(world.fetch(which)));
                let passed = at.duration_since(world.now.wall).unsigned_abs();
                let times = if passed > BUSY { 0 } else { passed.as_secs() / PERIOD.as_secs() };
                for _ in 0..times {
                    world.pass(PERIOD);
                    everybody(&mut world, World::use_served);
                }
                let rest = at.duration_since(world.now.wall).unsigned_abs();
                world.pass(rest);
                everybody(&mut world, World::use_served);
            }
        }
        let mut journals = self.journals.clone();
        if let Some(which) = who {
            journals[which] = Arc::new(world.status(which));
        }
        Self::of(world, left, journals)
    }

    /// An action at this state, in words; without one, the end.
    pub fn describe(&self, action: Option<&Action>) -> String {
        let command = |which: &usize| {
            let command = self.world.installs[*which].process.as_ref().map(|p| &p.command);
            let text = match command {
                Some(Command::Append(entry)) => format!("{:?}", entry.record),
                command => format!("{command:?}"),
            };
            format!("{}: {}", NAMES[*which], text.chars().take(140).collect::<String>())
        };
        match action {
            Some(Action::Step(which)) => command(which),
            Some(Action::Crash(which)) => format!("crash before {}", command(which)),
            Some(Action::Lose(which, loss)) => format!("lost, {loss:?}: {}", command(which)),
            Some(Action::Start(which)) => format!("{}: starts", NAMES[*which]),
            Some(other) => format!("{other:?}"),
            None => format!("end: {:?}", self.world.watch.violations),
        }
    }

    /// Whether a rotation stands open in an installation's journal.
    pub fn has_open(&self, which: usize) -> bool {
        self.journals[which].rotation.is_some()
    }

    /// What an installation's journal amounts to.
    pub fn status(&self, which: usize) -> &Status {
        &self.journals[which]
    }

    fn compute_digest(&self) -> [u8; 32] {
        let mut text = String::with_capacity(1 << 15);
        let World { now, iam, watch, installs, .. } = &self.world;
        let mut add = |part: &dyn Debug| write!(text, "{part:?};").expect("memory");
        add(&(self.left, now, iam, watch));
        let mut hash = Sha256::new();
        for (install, journal) in installs.iter().zip(&self.journals) {
            add(&install.machine.secrets.keys());
            add(&(install.started.min(STARTS_MAX), &install.ended));
            match &install.process {
                Some(process) => add(&process.rotation),
                None => add(journal),
            }
            let ledger = install.machine.files.get(Path::new("/state/app/ledger.json"));
            hash.update(ledger.and_then(|file| file.now.as_deref()).unwrap_or_default());
        }
        hash.update(&text);
        hash.finalize().into()
    }
}

fn everybody(world: &mut World, act: impl Fn(&mut World, usize)) {
    for which in 0..NAMES.len() {
        act(world, which);
    }
}
