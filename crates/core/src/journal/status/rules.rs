//! Which record may follow in a rotation under way, and what it changes.

use super::{Key, Origin, Orphan, Status, Step};
use crate::journal::{Act, Entry, Record};

impl Status {
    #[expect(clippy::too_many_lines, reason = "the whole table of what is legal, in one place")]
    pub(super) fn go_on(&mut self, entry: &Entry) -> Result<(), &'static str> {
        let at = entry.time;
        let generation = self.generation;
        let open = self.rotation.as_mut().ok_or("no rotation is open")?;
        match &entry.record {
            Record::Intended { act } => {
                open.may(act, generation)?;
                if let Act::Publish { generation, .. } = act {
                    self.generation = *generation;
                }
                if matches!(act, Act::Delete { access_key_id } if open.outgoing.id == *access_key_id)
                {
                    open.enter(Step::Delete, at);
                }
                // From here on it may be Inactive.
                if matches!(act, Act::Deactivate { access_key_id } if open.outgoing.id == *access_key_id)
                    && open.step == Step::Drain
                {
                    open.enter(Step::Deactivate, at);
                }
                open.reply_lost = None;
                open.intent = Some((act.clone(), at));
            }
            Record::Done { act } => {
                if open.intent.as_ref().map(|(intended, _)| intended) != Some(act) {
                    return Err("it was not intended");
                }
                open.done(act, at);
                if matches!(act, Act::Publish { .. }) {
                    self.current.clone_from(&open.incoming);
                }
            }
            Record::Created { access_key_id, created, .. } => {
                let Some((Act::Create { known, .. }, _)) = &open.intent else {
                    return Err("no creation was intended");
                };
                if known.contains(access_key_id) {
                    return Err("the key was there before");
                }
                open.incoming = Some(Key {
                    id: access_key_id.clone(),
                    created: Some(*created),
                    origin: Origin::Created,
                    exported: false,
                });
                open.enter(Step::Verify, at);
            }
            Record::NotCreated { .. } => {
                if !open.intends("create") {
                    return Err("no creation was intended");
                }
                open.enter(Step::Create, at);
            }
            Record::CreateUnknown { .. } => {
                if !open.intends("create") {
                    return Err("no creation was intended");
                }
                open.reply_lost = Some(at);
            }
            Record::OrphanFound { access_key_id, created } => {
                let Some((Act::Create { known, .. }, _)) = &open.intent else {
                    return Err("no creation was intended");
                };
                if known.contains(access_key_id) {
                    return Err("the key was there before");
                }
                open.orphan = Some(Orphan {
                    id: access_key_id.clone(),
                    created: *created,
                    deactivated: None,
                });
                open.enter(Step::Create, at);
            }
            Record::Verified { access_key_id } => {
                if open.step != Step::Verify || !open.is_incoming(access_key_id) || open.reactivate
                {
                    return Err("it is not being verified");
                }
                open.verified = true;
                open.enter(Step::Publish, at);
            }
            Record::Drained { access_key_id } => {
                if open.step != Step::Drain || open.outgoing.id != *access_key_id {
                    return Err("it is not being drained");
                }
                open.enter(Step::Deactivate, at);
            }
            Record::Compromised { access_key_id } => {
                if open.outgoing.id != *access_key_id || !open.may_have_leaked() {
                    return Err("it is not on its way out, or is cut off already");
                }
                open.compromised = Some(access_key_id.clone());
            }
            Record::UndoBegun { why, forced } => {
                if !open.can_undo() || open.undone.is_some() {
                    return Err("there is nothing to undo, or no way back");
                }
                if open.is_cut_off() && !forced {
                    return Err("the previous key leaked");
                }
                open.stuck = None;
                open.turn_round(why.clone(), at)?;
            }
            Record::AbortBegun { why } => {
                if open.published.is_some() || open.undone.is_some() || open.intends("publish") {
                    return Err("the new key is published: undo instead");
                }
                open.aborting = Some(why.clone());
                open.stuck = None;
            }
            Record::Vanished { access_key_id } => {
                if open.is_orphan(access_key_id) {
                    open.orphan = None;
                    open.intent = None;
                } else if open.undone.is_some()
                    && !open.deleted
                    && !open.is_cut_off()
                    && open.is_incoming(access_key_id)
                {
                    // There is nothing to go back to: round once more, to the newer key.
                    open.turn_round(format!("the previous key {access_key_id} is gone"), at)?;
                } else if open.survivor().id == *access_key_id
                    || !open.ours().any(|id| id == access_key_id)
                {
                    return Err("the rotation was not about to delete it");
                } else {
                    open.deleted = true;
                    open.intent = None;
                    if open.published.is_some() {
                        open.enter(Step::Delete, at);
                    } else if open.undone.is_none() && open.aborting.is_none() {
                        open.aborting = Some("the new key was deleted by somebody else".to_owned());
                    }
                }
            }
            Record::Stuck { why } => open.stuck = Some(why.clone()),
            Record::Resumed => {
                if open.stuck.take().is_none() {
                    return Err("it was not stuck");
                }
            }
            Record::Abandoned { why } => {
                let clean = open.orphan.is_none()
                    && open.intent.is_none()
                    && open.published.is_none()
                    && open.undone.is_none()
                    && (open.incoming.is_none() || open.forgotten);
                if !clean {
                    return Err("it would leave a key behind");
                }
                self.last_failure = Some(why.clone());
                self.rotation = None;
            }
            Record::Finished => {
                if !(open.deleted && open.forgotten && open.published.is_some()) {
                    return Err("the old key is not gone");
                }
                self.last_failure.clone_from(&open.undone);
                self.rotation = None;
            }
            Record::Enrolled { .. }
            | Record::Exported { .. }
            | Record::Begun { .. }
            | Record::Withdrawn { .. }
            | Record::Disabled { .. } => return Err("a rotation is open"),
        }
        Ok(())
    }
}
