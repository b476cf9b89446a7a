//! The rotation machine: create → verify → publish → drain → deactivate → soak → delete.
//!
//! One file per step. A step is a struct that an event consumes; what comes back is the next step and one
//! command. There is one way in, [`Rotation::new`], for good days and bad: it looks at the journal's
//! [`Status`] and at what IAM lists, and enters the step that these ask for. After a crash, after a lost
//! reply to a change, and after a person's decision, the machine goes through that same door.

mod command;
mod create;
mod deactivate;
mod delete;
mod door;
mod drain;
mod event;
mod look;
mod orphan;
mod precheck;
pub mod preflight;
mod publish;
mod retry;
mod soak;
#[cfg(test)]
mod tests;
mod turn;
mod verify;

pub use command::{Command, WaitingFor};
use door::resume;
pub use event::{Event, Fetched, Served};
pub use preflight::{Finding, Preflight};
use retry::Failing;
pub(crate) use turn::{Context, State, Turn};

use crate::error::Failure;
use crate::journal::{Open, Reason, RotationId, Status, Step};
use crate::policy::Policy;
use crate::time::Now;

/// What an installation's tag on an IAM user says to people.
pub const INSTALL_TAG_VALUE: &str = "rotates this user's access keys";

/// Why a rotation was turned round, in the journal: a person wanted it.
pub const BY_A_PERSON: &str = "a person asked for it";

/// The same, when the previous key was made Active again without a person; the sign follows.
pub const REACTIVATED: &str = "what is served does not work: ";

/// How a rotation ended, or why it does not go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// One key, the published one; the other is deleted.
    Finished,
    /// A dry run: what stands in the way, if anything.
    Checked(Vec<Finding>),
    /// Something stands in the way; nothing was changed.
    Blocked(Vec<Finding>),
    /// Given up before anything was published; no key of ours is left behind.
    Abandoned(String),
    /// A person has to decide.
    Stuck(String),
    /// It cannot go on now. What was begun stands in the journal, and `resume` goes on with it.
    Failed(Failure),
}

/// What is to be done, and for whom.
#[derive(Clone, Debug)]
pub struct Task {
    /// The durations and counts.
    pub policy: Policy,
    /// The name of the rotation, should one begin.
    pub rotation: RotationId,
    /// The user's tag that this installation sets: `rotakey:<install>`.
    pub tag: String,
    /// What is wanted.
    pub goal: Goal,
}

/// What is wanted of the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Goal {
    /// Rotate: begin, or go on with what was begun.
    Rotate(Reason),
    /// Only look whether a rotation could begin.
    Check,
    /// Go on with what was begun, also if it was stuck.
    Resume,
    /// Serve the previous key again, unless it leaked.
    Undo,
    /// Serve the previous key again, even if it leaked.
    ForceUndo,
    /// Serve the previous key again, asked for by nobody: a sign on this machine says that what is served does not work, this one. It
    /// applies during the soak alone.
    Reactivate(String),
    /// Give up what is not published yet.
    Abort,
}

impl Goal {
    /// Replace a key that leaked.
    pub const COMPROMISED: Self = Self::Rotate(Reason::Compromised);
}

/// A rotation in the hands of a driver: each command is carried out and answered before the next.
#[derive(Clone, Debug)]
pub struct Rotation {
    task: Task,
    status: Status,
    state: State,
    last: Command,
    failing: Option<Failing>,
    /// The rotation that fills the quota, and has to end before a leaked key is replaced.
    first: Option<RotationId>,
}

impl Rotation {
    /// Takes up what the journal says. The first command comes from [`start`](Self::start).
    pub fn new(task: Task, status: Status) -> Self {
        let last = Command::End(Ending::Finished);
        let open = status.rotation.as_ref().filter(|_| task.goal == Goal::COMPROMISED);
        let is_ending = |open: &&Open| open.step >= Step::Soak || open.aborting.is_some();
        let first = open.filter(is_ending).map(|open| open.id.clone());
        Self { task, status, state: State::Door, last, failing: None, first }
    }

    /// What the journal amounts to by now.
    pub fn status(&self) -> &Status {
        &self.status
    }

    /// The first command.
    pub fn start(&mut self, now: &Now) -> Command {
        let turn = match self.first() {
            Ok(Some(record)) => self.context(now).then_door(record),
            Ok(None) => self.door(now),
            Err(why) => Turn::end(Ending::Failed(Failure::Operator(why.to_owned()))),
        };
        self.issue(turn)
    }

    /// The next command, given the answer to the last one.
    pub fn handle(&mut self, now: &Now, event: Event) -> Command {
        if let Some(command) = self.retry(now, &event) {
            self.last = command.clone();
            return command;
        }
        let event = match (event, &self.last) {
            (Event::Fault(failure), last)
                if !matches!(last, Command::Store(_) | Command::Holds(_) | Command::Fetch) =>
            {
                return self.issue(Turn::end(Ending::Failed(failure)));
            }
            (Event::Appended, Command::Append(entry)) => {
                if let Err(illegal) = self.status.apply(entry) {
                    let bug = Failure::Bug(illegal.to_string());
                    return self.issue(Turn::end(Ending::Failed(bug)));
                }
                Event::Appended
            }
            (event, _) => event,
        };
        let first = self.first.as_ref();
        let cx = Context { now, task: &self.task, status: &self.status, first };
        let turn = match std::mem::replace(&mut self.state, State::End) {
            State::Door => self.door(now),
            State::Look(look) => look.on_event(&cx, event),
            State::Preflight(preflight) => preflight.on_event(&cx, event),
            State::Create(create) => create.on_event(&cx, event),
            State::Reconcile(reconcile) => reconcile.on_event(&cx, event),
            State::Orphan(fenced) => fenced.on_event(&cx, event),
            State::Verify(verify) => verify.on_event(&cx, event),
            State::Publish(publish) => publish.on_event(&cx, event),
            State::Drain(drain) => drain.on_event(&cx, event),
            State::Deactivate(deactivate) => deactivate.on_event(&cx, event),
            State::Soak(soak) => soak.on_event(&cx, event),
            State::Delete(delete) => delete.on_event(&cx, event),
            State::End => Turn::bug("an ended rotation", &event),
        };
        self.issue(turn)
    }

    fn context<'a>(&'a self, now: &'a Now) -> Context<'a> {
        Context { now, task: &self.task, status: &self.status, first: self.first.as_ref() }
    }

    fn issue(&mut self, turn: Turn) -> Command {
        let Turn { state, mut command } = turn;
        self.state = state;
        if let Command::Append(entry) = &command
            && let Err(illegal) = self.status.clone().apply(entry)
        {
            self.state = State::End;
            command = Command::End(Ending::Failed(Failure::Bug(illegal.to_string())));
        }
        self.last = command.clone();
        command
    }
}
