//! What comes of a saved state, in the hands of the engine.

use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use rotakey_agent::store::keystore::PROBE_PREFIX;
use rotakey_core::credential::{AccessKeyId, KeyStatus};
use rotakey_core::error::Failure;
use rotakey_core::rotation::{Command, Ending, Goal};
use rotakey_core::time::later;

use crate::case::{Case, JOURNAL, LEDGER};
use crate::scene::{Ends, Scene};
use crate::system::machine::PowerCut;
use crate::system::{ROTATE, World, seconds};

/// No saved state needs more processes, nor more commands, to come to an end.
const PROCESSES_MAX: u32 = 8;
const COMMANDS_MAX: u32 = 5000;

/// How it ended.
pub struct Played {
    pub world: World,
    /// How the last process ended. `None`: none of them came to an end.
    pub ended: Option<Ending>,
    /// When an old key was deactivated first.
    deactivated: Option<Timestamp>,
}

/// Does what the person asks, then resumes until it is over or a person has to decide.
pub fn play(case: &Case) -> Played {
    let Scene { asked, sleeps_seconds, .. } = &case.scene;
    let mut played = Played { world: case.world(), ended: None, deactivated: None };
    let sleep = seconds(u64::try_from(*sleeps_seconds).expect("forward"));
    played.go_on(asked.goal(), (sleep > Duration::ZERO).then_some(sleep));
    played
}

impl Played {
    fn go_on(&mut self, mut goal: Goal, mut sleep: Option<Duration>) {
        self.ended = None;
        let mut commands = 0;
        for _ in 0..PROCESSES_MAX {
            self.world.start(0, goal, None);
            while self.world.installs[0].process.is_some() && commands < COMMANDS_MAX {
                commands += 1;
                self.step();
                if let Some(slept) = sleep.take_if(|_| self.is_published()) {
                    // The monotonic clock stands still.
                    self.world.now.wall = later(self.world.now.wall, slept);
                }
            }
            self.ended = self.world.installs[0].ended.clone();
            let is_over = !matches!(self.ended, Some(Ending::Failed(_)) | None);
            if is_over || self.world.watch.is_blind || !self.is_open() {
                break;
            }
            goal = Goal::Resume;
        }
    }

    fn is_open(&mut self) -> bool {
        self.world.status(0).rotation.is_some()
    }

    fn is_published(&mut self) -> bool {
        self.world.status(0).rotation.is_some_and(|open| open.published.is_some())
    }

    /// Programs take their credential whenever time passes.
    fn step(&mut self) {
        let process = self.world.installs[0].process.as_ref().expect("one runs");
        let deactivates =
            matches!(process.command, Command::Update { status: KeyStatus::Inactive, .. });
        if deactivates {
            self.deactivated.get_or_insert(self.world.now.wall);
        }
        if matches!(process.command, Command::Wait { .. })
            && let Err(error) = self.world.fetch(0)
            && !self.world.watch.is_blind
        {
            self.world.watch.violation("never-refused", error.to_string());
        }
        self.world.step(0, None);
    }

    /// What is not as expected.
    pub fn complaints(mut self, case: &Case) -> Vec<String> {
        let expected = &case.scene.expected;
        let (ends, why) = self.ends();
        if ends != Some(expected.ends) || !why.contains(&expected.why) {
            let complaint = format!("expected {expected:?}, not {:?}", self.ended);
            return self.more(complaint);
        }
        if ends == Some(Ends::Damaged) {
            return self.complaints_of_damage(case);
        }
        // If that is mended one day, what is expected has to say so.
        for id in &expected.left_behind {
            if self.world.installs[0].machine.secrets.remove(id).is_none() {
                return self.more(format!("the secret of {id} is not left behind any more"));
            }
        }
        if !matches!(ends, Some(Ends::Stuck | Ends::Blocked)) {
            self.world.settled(0);
        }
        let served = self.world.ledger(0).access_key_id;
        let is_saved = case.scene.keys.iter().any(|key| key.id == served);
        let is_right = match expected.served.as_deref() {
            Some("new") => !is_saved,
            id => id == Some(served.as_str()),
        };
        if !is_right {
            return self.more(format!("{served} is served, not {:?}", expected.served));
        }
        if let Some(until) = expected.active_until
            && self.deactivated.is_none_or(|at| at < until)
        {
            let at = self.deactivated;
            return self.more(format!("the old key was deactivated at {at:?}, before {until}"));
        }
        // What is over is over: the next rotation is like any other.
        if matches!(ends, Some(Ends::Finished | Ends::Abandoned)) {
            self.go_on(ROTATE, None);
            self.world.settled(0);
            if self.ended != Some(Ending::Finished) {
                let complaint = format!("the next rotation ended with {:?}", self.ended);
                return self.more(complaint);
            }
            let is_probe = |id: &AccessKeyId| id.as_str().starts_with(PROBE_PREFIX);
            if self.world.held(0).iter().any(is_probe) {
                return self.more("a probe's item is left behind".to_owned());
            }
        }
        self.world.watch.violations
    }

    fn more(self, complaint: String) -> Vec<String> {
        let mut all = self.world.watch.violations;
        all.push(complaint);
        all
    }

    fn ends(&self) -> (Option<Ends>, String) {
        match &self.ended {
            Some(Ending::Finished) => (Some(Ends::Finished), String::new()),
            Some(Ending::Abandoned(why)) => (Some(Ends::Abandoned), why.clone()),
            Some(Ending::Stuck(why)) => (Some(Ends::Stuck), why.clone()),
            Some(Ending::Blocked(findings)) => (Some(Ends::Blocked), format!("{findings:?}")),
            Some(Ending::Failed(Failure::Environment(why))) => (Some(Ends::Damaged), why.clone()),
            _ => (None, String::new()),
        }
    }

    /// Where a process had nothing to do and yet all is not well, the next rotation has to notice.
    pub fn try_again(&mut self) {
        let mut look = self.world.clone();
        look.watch.violations.clear();
        look.settled(0);
        if self.said().is_none() && !look.watch.violations.is_empty() {
            self.go_on(ROTATE, None);
        }
    }

    /// Why it did not come to its end, if it did not.
    pub fn said(&self) -> Option<String> {
        match &self.ended {
            Some(Ending::Finished | Ending::Abandoned(_)) => None,
            Some(Ending::Stuck(why)) => Some(why.clone()),
            Some(Ending::Failed(failure)) => Some(failure.to_string()),
            Some(Ending::Blocked(findings) | Ending::Checked(findings)) => {
                Some(findings.iter().map(|finding| format!("{finding:?} ")).collect())
            }
            None => Some(String::new()),
        }
    }

    /// What is outside, and the damaged file, are as they were; at most the journal has more lines.
    fn complaints_of_damage(self, case: &Case) -> Vec<String> {
        let fresh = case.world();
        let is_same = fresh.keys() == self.world.keys() && fresh.held(0) == self.world.held(0);
        let file = |path| self.world.installs[0].machine.files[Path::new(path)].now.clone();
        let (journal, ledger) = (file(JOURNAL), file(LEDGER));
        let is_kept = journal.is_some_and(|now| now.starts_with(&case.journal));
        if !is_same || !is_kept || ledger.as_ref() != Some(&case.ledger) {
            return self.more("something was changed in spite of the damage".to_owned());
        }
        self.world.watch.violations
    }
}

/// A process that only opens the journal makes durable what it read, also if it was not so before.
pub fn opened_and_cut_off(case: &Case) -> Vec<u8> {
    let mut world = case.world();
    world.start(0, case.scene.asked.goal(), None);
    world.power_cut(0, PowerCut::Lost);
    world.installs[0].machine.files[Path::new(JOURNAL)].now.clone().expect("there")
}
