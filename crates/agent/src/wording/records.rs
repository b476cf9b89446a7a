//! The journal's records, as `history` and the evidence of an incident have them.

use rotakey_core::journal::{Entry, Record, Status};
use serde_json::{Map, Value};

use super::rfc3339;

/// The step that a journal is at; empty if no rotation is open.
pub fn step(status: &Status) -> &'static str {
    status.rotation.as_ref().map_or("", |open| open.step.name())
}

/// A line, as `--json` prints it.
pub fn as_json(profile: &str, step: &str, entry: &Entry) -> Value {
    let mut line = Map::new();
    line.insert("time".into(), rfc3339(entry.time).into());
    line.insert("profile".into(), profile.into());
    let rotation = entry.rotation.as_ref().map(|id| id.0.clone());
    line.insert("rotation".into(), rotation.into());
    line.insert("step".into(), step.into());
    line.insert("kind".into(), kind(&entry.record).into());
    if let Some(id) = entry.record.access_key_id() {
        line.insert("access_key_id".into(), id.as_str().into());
    }
    line.insert("detail".into(), detail(&entry.record).into());
    Value::Object(line)
}

/// The record's kind, as it stands in the journal.
pub fn kind(record: &Record) -> &'static str {
    match record {
        Record::Enrolled { .. } => "enrolled",
        Record::Exported { .. } => "exported",
        Record::Begun { .. } => "begun",
        Record::Intended { .. } => "intended",
        Record::Done { .. } => "done",
        Record::Created { .. } => "created",
        Record::NotCreated { .. } => "not-created",
        Record::CreateUnknown { .. } => "create-unknown",
        Record::OrphanFound { .. } => "orphan-found",
        Record::Verified { .. } => "verified",
        Record::Drained { .. } => "drained",
        Record::UndoBegun { .. } => "undo-begun",
        Record::AbortBegun { .. } => "abort-begun",
        Record::Vanished { .. } => "vanished",
        Record::Stuck { .. } => "stuck",
        Record::Resumed => "resumed",
        Record::Abandoned { .. } => "abandoned",
        Record::Finished => "finished",
        Record::Compromised { .. } => "compromised",
        Record::Withdrawn { .. } => "withdrawn",
        Record::Disabled { .. } => "disabled",
    }
}

/// What it says beside the key.
pub fn detail(record: &Record) -> String {
    match record {
        Record::Enrolled { arn, .. } => arn.clone(),
        Record::Begun { reason } => format!("{reason:?}").to_lowercase(),
        Record::Intended { act } | Record::Done { act } => act.name().to_owned(),
        Record::Created { adopted: true, .. } => "found again by its secret".to_owned(),
        Record::NotCreated { why }
        | Record::CreateUnknown { why }
        | Record::AbortBegun { why }
        | Record::Stuck { why }
        | Record::Abandoned { why } => why.clone(),
        Record::UndoBegun { why, forced: true } => format!("{why}, by force"),
        Record::UndoBegun { why, forced: false } => why.clone(),
        _ => String::new(),
    }
}
