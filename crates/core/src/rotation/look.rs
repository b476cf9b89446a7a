//! Before anything is done: what does IAM say, and does it fit the journal?

use super::{BY_A_PERSON, Command, Context, Ending, Event, Goal, REACTIVATED, State, Turn, resume};
use crate::credential::AccessKeyId;
use crate::error::Failure;
use crate::journal::Record;

/// Waiting for the list.
#[derive(Clone, Debug)]
pub(crate) struct Look {
    /// Ours, to be asked should the present signer be refused.
    others: Vec<AccessKeyId>,
}

impl Look {
    pub(crate) fn enter(cx: &Context<'_>) -> Turn {
        let open = cx.open();
        let survivor = open.survivor().id.clone();
        // When the published key no longer works, the other one of ours can still tell what is the matter.
        let others = open
            .incoming
            .iter()
            .chain([&open.outgoing])
            .map(|key| key.id.clone())
            .filter(|id| *id != survivor)
            .collect();
        Turn::new(State::Look(Self { others }), Command::List { signer: survivor })
    }

    pub(crate) fn on_event(mut self, cx: &Context<'_>, event: Event) -> Turn {
        match event {
            Event::Listed(list) if cx.turns_round() => {
                if list.find(&cx.open().outgoing.id).is_none() {
                    let gone = format!("the previous key {} is gone", cx.open().outgoing.id);
                    return Turn::end(Ending::Failed(Failure::Operator(gone)));
                }
                let why = match &cx.task.goal {
                    Goal::Reactivate(sign) => format!("{REACTIVATED}{sign}"),
                    _ => BY_A_PERSON.to_owned(),
                };
                let forced = cx.task.goal == Goal::ForceUndo;
                cx.then_door(Record::UndoBegun { why, forced })
            }
            Event::Listed(list) => resume(cx, &list),
            Event::Refused(refusal)
                if !refusal.class.is_authenticated() && !self.others.is_empty() =>
            {
                let signer = self.others.remove(0);
                Turn::new(State::Look(self), Command::List { signer })
            }
            event => Turn::refused("iam:ListAccessKeys", event, "look"),
        }
    }
}
