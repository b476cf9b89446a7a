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
mod drain;
mod event;
mod look;
mod orphan;
mod precheck;
pub mod preflight;
mod publish;
mod soak;
#[cfg(test)]
mod tests;
mod verify;

use std::time::Duration;

pub use command::{Command, WaitingFor};
pub use event::{Event, Fetched, Served};
pub use preflight::{Finding, Preflight};

use crate::credential::AccessKeyId;
use crate::error::Failure;
use crate::iam::{CallerIdentity, Doubt};
use crate::journal::{Act, Entry, Open, Reason, Record, RotationId, Status, Step};
use crate::policy::Policy;
use crate::recovery;
use crate::time::{Now, later};

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

    /// Whether the previous key is wanted back.
    pub fn is_undo(&self) -> bool {
        matches!(self, Self::Undo | Self::ForceUndo)
    }
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

/// What a step sees besides the event.
pub(crate) struct Context<'a> {
    pub(crate) now: &'a Now,
    pub(crate) task: &'a Task,
    pub(crate) status: &'a Status,
    /// What has to end first, whatever it waits for.
    pub(crate) first: Option<&'a RotationId>,
}

/// A step and the command it waits for.
pub(crate) struct Turn {
    state: State,
    command: Command,
}

/// AWS does not answer, since when and how often.
#[derive(Clone, Debug)]
struct Failing {
    since: Now,
    times: u32,
    retry: Option<Command>,
}

#[derive(Clone, Debug)]
pub(crate) enum State {
    /// Go in by the door once the command is answered.
    Door,
    Look(look::Look),
    Preflight(Preflight),
    Create(create::Create),
    Reconcile(orphan::Reconcile),
    Orphan(orphan::Fenced),
    Verify(verify::Verify),
    Publish(publish::Publish),
    Drain(drain::Drain),
    Deactivate(deactivate::Deactivate),
    Soak(soak::Soak),
    Delete(delete::Delete),
    /// Nothing more comes.
    End,
}

impl Turn {
    pub(crate) fn new(state: State, command: Command) -> Self {
        Self { state, command }
    }

    pub(crate) fn end(ending: Ending) -> Self {
        Self::new(State::End, Command::End(ending))
    }

    /// The event does not answer the command.
    pub(crate) fn bug(what: &str, event: &Event) -> Self {
        Self::end(Ending::Failed(Failure::Bug(format!("{what} got {event:?}"))))
    }

    /// AWS refused what the step needs.
    pub(crate) fn refused(act: &str, event: Event, what: &str) -> Self {
        match event {
            Event::Refused(refusal) => {
                Self::end(Ending::Failed(Failure::Account { act: act.to_owned(), refusal }))
            }
            other => Self::bug(what, &other),
        }
    }
}

impl Context<'_> {
    pub(crate) fn policy(&self) -> &Policy {
        &self.task.policy
    }

    /// The open rotation. Steps are only entered while one is open.
    pub(crate) fn open(&self) -> &Open {
        self.status.rotation.as_ref().expect("a step is entered only while a rotation is open")
    }

    pub(crate) fn append(&self, record: Record) -> Command {
        let rotation = self.status.rotation.as_ref().map_or(&self.task.rotation, |open| &open.id);
        Command::Append(Entry { time: self.now.wall, rotation: Some(rotation.clone()), record })
    }

    pub(crate) fn intend(&self, act: Act) -> Command {
        self.append(Record::Intended { act })
    }

    pub(crate) fn done(&self, act: Act) -> Command {
        self.append(Record::Done { act })
    }

    pub(crate) fn wait(&self, duration: Duration, waiting_for: WaitingFor) -> Command {
        Command::Wait { until: later(self.now.wall, duration), waiting_for }
    }

    /// Records that a person has to decide, and ends.
    pub(crate) fn stuck(&self, why: impl Into<String>) -> Turn {
        Turn::new(State::Door, self.append(Record::Stuck { why: why.into() }))
    }

    /// Records something, and goes in by the door again.
    pub(crate) fn then_door(&self, record: Record) -> Turn {
        Turn::new(State::Door, self.append(record))
    }

    pub(crate) fn identify(&self, signer: &AccessKeyId) -> Command {
        let region = self.policy().home_region().to_owned();
        Command::Identify { signer: signer.clone(), region }
    }

    /// Whether a person wants the previous key back, and that is still to be begun.
    pub(crate) fn turns_round(&self) -> bool {
        let open = self.open();
        match &self.task.goal {
            Goal::Undo | Goal::ForceUndo => open.undone.is_none() && open.can_undo(),
            Goal::Reactivate(_) => open.may_reactivate(),
            _ => false,
        }
    }

    /// Whether a person says of the open rotation's outgoing key that it leaked, and that is still to be recorded.
    pub(crate) fn cuts_off(&self) -> bool {
        self.task.goal == Goal::COMPROMISED && self.open().can_be_cut_off()
    }

    /// Whether the deactivated key is deleted without a soak: it makes room for the replacement of one that leaked.
    pub(crate) fn hurries(&self) -> bool {
        self.first == Some(&self.open().id)
    }

    /// Whether a source served who it is meant to serve.
    pub(crate) fn is_expected(&self, served: &Served) -> bool {
        match &served.role_arn {
            Some(role) => served.identity.is_session_of(role),
            None => self.is_our_user(&served.identity),
        }
    }

    /// Whether this is the user the profile was enrolled for.
    pub(crate) fn is_our_user(&self, identity: &CallerIdentity) -> bool {
        self.status
            .enrolment
            .as_ref()
            .is_some_and(|e| e.account_id == identity.account_id && e.arn == identity.arn)
    }
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

    /// The record that a person's wish asks for, before anything else.
    fn first(&self) -> Result<Option<Record>, &'static str> {
        let open = self.status.rotation.as_ref();
        match (&self.task.goal, open) {
            (Goal::Undo | Goal::ForceUndo, Some(open)) if open.undone.is_some() => Ok(None),
            (Goal::Undo, Some(open)) if open.can_undo() && open.is_cut_off() => {
                Err("the previous key leaked: only force brings it back")
            }
            // Whether the previous key is there still, only a list can tell.
            (Goal::Undo | Goal::ForceUndo, Some(open)) if open.can_undo() => Ok(None),
            (Goal::Undo | Goal::ForceUndo, _) => Err("there is nothing to undo"),
            (Goal::Reactivate(_), Some(open)) if open.may_reactivate() => Ok(None),
            (Goal::Reactivate(_), _) => Err("no key of ours is soaking"),
            (Goal::Abort, Some(open)) if open.aborting.is_some() => Ok(None),
            (Goal::Abort, Some(open))
                if open.step <= Step::Publish && open.undone.is_none() && !open.can_undo() =>
            {
                Ok(Some(Record::AbortBegun { why: "a person gave it up".to_owned() }))
            }
            (Goal::Abort, _) => Err("there is no rotation to abort"),
            (Goal::Check, Some(_)) => Err("a rotation is under way already"),
            (Goal::Resume | Goal::Rotate(Reason::Compromised), Some(open))
                if open.stuck.is_some() =>
            {
                Ok(Some(Record::Resumed))
            }
            _ => Ok(None),
        }
    }

    fn context<'a>(&'a self, now: &'a Now) -> Context<'a> {
        Context { now, task: &self.task, status: &self.status, first: self.first.as_ref() }
    }

    /// The one way in.
    fn door(&self, now: &Now) -> Turn {
        let cx = self.context(now);
        let Some(open) = &self.status.rotation else {
            let is_closed = match &self.last {
                // Unless it was what had to end first.
                Command::Append(Entry { rotation, .. }) => {
                    self.first.is_none() || *rotation != self.first
                }
                _ => false,
            };
            return match (&self.task.goal, is_closed) {
                (Goal::Rotate(_) | Goal::Check, false) => Preflight::enter(&cx),
                // The last record closed the rotation.
                _ => Turn::end(match &self.last {
                    Command::Append(Entry { record: Record::Abandoned { why }, .. }) => {
                        Ending::Abandoned(why.clone())
                    }
                    _ => Ending::Finished,
                }),
            };
        };
        if let Some(why) = open.stuck.as_ref().filter(|_| !cx.turns_round()) {
            return Turn::end(Ending::Stuck(why.clone()));
        }
        if cx.cuts_off() {
            let access_key_id = open.outgoing.id.clone();
            return cx.then_door(Record::Compromised { access_key_id });
        }
        look::Look::enter(&cx)
    }

    /// Commands whose answer was "later" or lost are asked again for a while; a change whose answer was
    /// lost is looked at first, by going in by the door.
    fn retry(&mut self, now: &Now, event: &Event) -> Option<Command> {
        if let (Event::Woke, Some(failing)) = (event, &mut self.failing)
            && matches!(self.last, Command::Wait { waiting_for: WaitingFor::Aws(_), .. })
        {
            if let Some(command) = failing.retry.take() {
                return Some(command);
            }
            self.state = State::Door;
            return None;
        }
        let why = match event {
            Event::Refused(refusal) if refusal.class.is_transient() => refusal.to_string(),
            Event::Unknown(doubt) => doubt.to_string(),
            _ => {
                if !self.last.action().is_empty() {
                    self.failing = None;
                }
                return None;
            }
        };
        let act = self.last.action().to_owned();
        let retry = match &self.last {
            // It has its own way of looking.
            Command::Create { .. } => return None,
            Command::Update { .. } | Command::Delete { .. } if self.status.rotation.is_some() => {
                None
            }
            other => Some(other.clone()),
        };
        let failing = self.failing.get_or_insert_with(|| Failing {
            since: now.clone(),
            times: 0,
            retry: None,
        });
        failing.times += 1;
        failing.retry = retry;
        if now.wall > later(failing.since.wall, self.task.policy.deadline) {
            let doubt = Doubt { sent: true, reason: why };
            let turn = Turn::end(Ending::Failed(Failure::Unreachable { act, doubt }));
            return Some(self.issue(turn));
        }
        let backoff =
            Duration::from_secs(1 << failing.times.min(5)).min(self.task.policy.spacing * 8);
        Some(Command::Wait { until: later(now.wall, backoff), waiting_for: WaitingFor::Aws(why) })
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

/// Enters the step that the journal and a fresh list ask for.
pub(crate) fn resume(cx: &Context<'_>, observed: &crate::iam::KeyList) -> Turn {
    match recovery::plan(cx.status, observed) {
        recovery::Plan::Preflight => Preflight::enter(cx),
        recovery::Plan::Reconcile => orphan::Reconcile::enter(cx),
        recovery::Plan::Orphan => orphan::Fenced::enter(cx),
        recovery::Plan::Abandon(why) => cx.then_door(Record::Abandoned { why }),
        recovery::Plan::Discard => delete::Delete::never_published(cx),
        recovery::Plan::Verify => verify::Verify::enter(cx),
        recovery::Plan::Activate => verify::Verify::activate(cx),
        recovery::Plan::Drain => publish::Publish::again(cx),
        recovery::Plan::Soak => soak::Soak::enter(cx),
        recovery::Plan::Forget => delete::Delete::forget(cx),
        recovery::Plan::Note(record) => cx.then_door(record),
        recovery::Plan::Stuck(why) => cx.stuck(why),
    }
}
