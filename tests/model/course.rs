//! What can happen in a state.

use jiff::Timestamp;
use rotakey_core::journal::Act;
use rotakey_core::rotation::{Command, Ending, WaitingFor};
use rotakey_core::time::later;

use super::setting::{NAMES, Pace, Setting};
use super::state::{Action, STARTS_MAX, State};
use crate::system::blows::Loss;
use crate::system::seconds;

/// A rotation that a straggler holds is left alone after this: what follows repeats itself.
const PATIENCE_HOURS: u64 = 6;

impl State {
    /// What can happen, other than what goes wrong.
    pub fn course(&self, setting: &Setting) -> Vec<Action> {
        let mut actions = Vec::new();
        for which in 0..NAMES.len() {
            if self.may_start(which) {
                actions.push(Action::Start(which));
            } else if self.is_at_work(which) {
                actions.push(Action::Step(which));
            }
        }
        let has_work = |action: &Action| match action {
            Action::Start(which) => self.world.installs[*which].started > 0,
            _ => true,
        };
        if setting.pace == Pace::Any || !actions.iter().any(has_work) {
            actions.extend(self.earliest_wake(setting).map(Action::Time));
        }
        actions
    }

    /// Everything that can happen.
    ///
    /// Where an engine's next command concerns nobody else, it is carried out before anybody else does
    /// anything: whatever they do, it comes to the same. It may still die before it.
    pub fn actions(&self, setting: &Setting) -> Vec<Action> {
        if !self.world.watch.violations.is_empty() {
            return Vec::new();
        }
        let own = (0..NAMES.len()).find(|which| self.is_own_affair(*which));
        if let Some(which) = own {
            return [Action::Step(which)].into_iter().chain(self.crash(setting, which)).collect();
        }
        let mut actions = self.course(setting);
        for which in 0..NAMES.len() {
            let Some(process) = &self.world.installs[which].process else { continue };
            actions.extend(self.crash(setting, which));
            if self.left.losses > 0 && changes_keys(&process.command) {
                actions.extend([Loss::Done, Loss::NotDone].map(|loss| Action::Lose(which, loss)));
            }
        }
        if self.left.changes > 0 {
            actions.extend(self.world.changes().into_iter().map(Action::Change));
        }
        actions
    }

    /// A process dies before its next command.
    ///
    /// Where tags are denied, a creation whose outcome is not known is a limit of its own: see the end of model.rs.
    fn crash(&self, setting: &Setting, which: usize) -> Option<Action> {
        let process = self.world.installs[which].process.as_ref()?;
        let may = self.left.crashes > 0
            && leaves_a_trace(&process.command)
            && !(setting.tags_denied && self.is_creating(which));
        may.then_some(Action::Crash(which))
    }

    fn may_start(&self, which: usize) -> bool {
        let install = &self.world.installs[which];
        if install.process.is_some() {
            return false;
        }
        match &install.ended {
            // It was not started yet, or it died.
            None => true,
            Some(Ending::Failed(_)) => install.started < STARTS_MAX && self.has_open(which),
            Some(_) => false,
        }
    }

    /// Whether a creation is intended and its outcome not recorded.
    fn is_creating(&self, which: usize) -> bool {
        let open = self.status(which).rotation.as_ref();
        open.is_some_and(|open| matches!(open.intent, Some((Act::Create { .. }, _))))
    }

    /// Whether a process has more to do than to wait.
    fn is_at_work(&self, which: usize) -> bool {
        let process = self.world.installs[which].process.as_ref();
        process.is_some_and(|process| match &process.command {
            Command::Wait { until, .. } => *until <= self.world.now.wall,
            _ => true,
        })
    }

    /// Whether the next command touches nothing that anybody else sees.
    fn is_own_affair(&self, which: usize) -> bool {
        let process = self.world.installs[which].process.as_ref();
        process.is_some_and(|process| match &process.command {
            Command::Append(_)
            | Command::ProbeKeystore
            | Command::Store(_)
            | Command::Holds(_)
            | Command::ReadHorizon(_) => true,
            Command::Wait { .. } => self.is_at_work(which),
            _ => false,
        })
    }

    /// When time goes on, if somebody waits.
    fn earliest_wake(&self, setting: &Setting) -> Option<Timestamp> {
        let (now, installs) = (self.world.now.wall, &self.world.installs);
        let is_tired = now >= later(start(), seconds(PATIENCE_HOURS * 3600));
        let are_begun = installs.iter().all(|install| install.started > 0);
        let waits =
            installs.iter().filter_map(|install| match &install.process.as_ref()?.command {
                Command::Wait { waiting_for: WaitingFor::Straggler(..), .. } if is_tired => None,
                Command::Wait { waiting_for: WaitingFor::Observation, .. }
                    if setting.pace == Pace::Prompt && !are_begun =>
                {
                    None
                }
                Command::Wait { until, .. } => Some(*until),
                _ => None,
            });
        waits.filter(|until| *until > now).min()
    }
}

/// Whether it makes a difference if a process dies before it, and not before the command that comes next.
fn leaves_a_trace(command: &Command) -> bool {
    !matches!(
        command,
        Command::Identify { .. }
            | Command::List { .. }
            | Command::ListTags { .. }
            | Command::LastUsed { .. }
            | Command::Simulate { .. }
            | Command::Holds(_)
            | Command::ReadHorizon(_)
            | Command::ProbeKeystore
    )
}

/// Whether it makes a difference if its answer is lost.
fn changes_keys(command: &Command) -> bool {
    matches!(command, Command::Create { .. } | Command::Update { .. } | Command::Delete { .. })
}

/// When the first process may be started.
fn start() -> Timestamp {
    Timestamp::from_second(1_800_086_400).expect("in range")
}
