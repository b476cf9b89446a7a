//! Asking again: answers that were "later", and replies that were lost.

use std::time::Duration;

use super::{Command, Ending, Event, Rotation, State, Turn, WaitingFor};
use crate::error::Failure;
use crate::iam::Doubt;
use crate::time::{Now, later};

/// AWS does not answer, since when and how often.
#[derive(Clone, Debug)]
pub(super) struct Failing {
    since: Now,
    times: u32,
    retry: Option<Command>,
}

impl Rotation {
    /// Commands whose answer was "later" or lost are asked again for a while; a change whose answer was
    /// lost is looked at first, by going in by the door.
    pub(super) fn retry(&mut self, now: &Now, event: &Event) -> Option<Command> {
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
}
