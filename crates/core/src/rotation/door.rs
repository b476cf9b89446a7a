//! The one way in: which step is entered, on good days and bad.

use super::{
    Command, Context, Ending, Goal, Preflight, Rotation, Turn, delete, look, orphan, publish, soak,
    verify,
};
use crate::iam::KeyList;
use crate::journal::{Entry, Reason, Record, Step};
use crate::recovery::{self, Plan};
use crate::time::Now;

impl Rotation {
    /// The record that a person's wish asks for, before anything else.
    pub(super) fn first(&self) -> Result<Option<Record>, &'static str> {
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

    /// The one way in.
    pub(super) fn door(&self, now: &Now) -> Turn {
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
}

/// Enters the step that the journal and a fresh list ask for.
pub(crate) fn resume(cx: &Context<'_>, observed: &KeyList) -> Turn {
    match recovery::plan(cx.status, observed) {
        Plan::Preflight => Preflight::enter(cx),
        Plan::Reconcile => orphan::Reconcile::enter(cx),
        Plan::Orphan => orphan::Fenced::enter(cx),
        Plan::Abandon(why) => cx.then_door(Record::Abandoned { why }),
        Plan::Discard => delete::Delete::never_published(cx),
        Plan::Verify => verify::Verify::enter(cx),
        Plan::Activate => verify::Verify::activate(cx),
        Plan::Drain => publish::Publish::again(cx),
        Plan::Soak => soak::Soak::enter(cx),
        Plan::Forget => delete::Delete::forget(cx),
        Plan::Note(record) => cx.then_door(record),
        Plan::Stuck(why) => cx.stuck(why),
    }
}
