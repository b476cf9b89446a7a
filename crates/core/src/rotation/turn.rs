//! What a step sees, and what it gives back.

use std::time::Duration;

use super::{
    Command, Ending, Event, Goal, Preflight, Served, Task, WaitingFor, create, deactivate, delete,
    drain, look, orphan, publish, soak, verify,
};
use crate::credential::AccessKeyId;
use crate::error::Failure;
use crate::iam::CallerIdentity;
use crate::journal::{Act, Entry, Open, Record, RotationId, Status};
use crate::policy::Policy;
use crate::time::{Now, later};

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
    pub(super) state: State,
    pub(super) command: Command,
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
