//! A rotation's part of the journal, for people.

use rotakey_core::journal::{Entry, Record, RotationId, Status};
use serde_json::Value;

use crate::wording::records;

/// A rotation of a key that a person said leaked.
#[derive(Debug)]
pub(super) struct Story {
    /// Which.
    pub(super) rotation: Option<RotationId>,
    /// The record that says so.
    pub(super) said: Entry,
    /// What the journal amounted to then.
    pub(super) then: Status,
    /// What the journal amounts to after the last record of it.
    pub(super) after: Status,
    /// When the leaked key was seen refused.
    pub(super) refused: Option<jiff::Timestamp>,
    /// Its records, as `history --json` has them.
    pub(super) lines: Vec<Value>,
}

impl Story {
    /// The last one in a journal.
    pub(super) fn last(profile: &str, entries: &[Entry]) -> Option<Self> {
        let says_so = |entry: &Entry| {
            matches!(
                &entry.record,
                Record::Compromised { .. }
                    | Record::Withdrawn { .. }
                    | Record::Begun { reason: rotakey_core::journal::Reason::Compromised }
            )
        };
        let at = entries.iter().rposition(says_so)?;
        let mut story: Option<Self> = None;
        let mut status = Status::default();
        for (n, entry) in entries.iter().enumerate() {
            let before = records::step(&status);
            // Whoever read it has replayed it: every entry is legal.
            let _ = status.apply(entry);
            if n == at {
                story = Some(Self {
                    rotation: entry.rotation.clone(),
                    said: entry.clone(),
                    then: status.clone(),
                    after: status.clone(),
                    refused: was_refused(&status, &entry.record),
                    lines: Vec::new(),
                });
            }
            let is_of = |story: &&mut Self| n == at || entry.rotation == story.rotation;
            let Some(story) = story.as_mut().filter(is_of) else { continue };
            let step = if before.is_empty() { records::step(&status) } else { before };
            story.lines.push(records::as_json(profile, step, entry));
            story.after = status.clone();
            let leaked = story.leaked();
            let is_refused = match &entry.record {
                Record::Done { act } => act.name() == "deactivate",
                Record::Disabled { .. } => true,
                _ => false,
            };
            if is_refused && entry.record.access_key_id() == leaked.as_ref() {
                story.refused = Some(entry.time);
            }
        }
        story
    }

    /// The key that leaked.
    pub(super) fn leaked(&self) -> Option<rotakey_core::credential::AccessKeyId> {
        let named = self.said.record.access_key_id().cloned();
        named.or_else(|| Some(self.then.rotation.as_ref()?.outgoing.id.clone()))
    }
}

/// It was Inactive already when a person said so.
fn was_refused(status: &Status, said: &Record) -> Option<jiff::Timestamp> {
    let open = status.rotation.as_ref()?;
    open.deactivated.filter(|_| said.access_key_id() == Some(&open.outgoing.id))
}
