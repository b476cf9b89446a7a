//! `history`: the journal, readable.

use rotakey_core::journal::{Entry, Record, Status};
use serde_json::{Map, Value};

use super::App;
use super::status::seconds;
use crate::cli::failure::Failed;

/// Runs it.
pub fn run(app: &App, json: bool) -> Result<(), Failed> {
    let (entries, _) = app.state()?.read()?;
    let mut status = Status::default();
    for entry in &entries {
        let before = step(&status);
        // Reading has replayed it already: every entry is legal.
        let _ = status.apply(entry);
        let step = if before.is_empty() { step(&status) } else { before };
        if json {
            app.printer.data(&as_json(&app.profile, step, entry).to_string());
        } else {
            app.printer.data(&as_text(step, entry));
        }
    }
    Ok(())
}

/// The step that a journal is at; empty if no rotation is open.
pub(crate) fn step(status: &Status) -> &'static str {
    status.rotation.as_ref().map_or("", |open| open.step.name())
}

/// A line, as `--json` prints it.
pub(crate) fn as_json(profile: &str, step: &str, entry: &Entry) -> Value {
    let mut line = Map::new();
    line.insert("time".into(), seconds(entry.time).into());
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

fn as_text(step: &str, entry: &Entry) -> String {
    let rotation = entry.rotation.as_ref().map_or("-", |id| &id.0[..id.0.len().min(8)]);
    let id = entry.record.access_key_id().map_or("-", |id| id.as_str());
    let line = format!(
        "{}  {rotation:8}  {:10}  {:14}  {id:20}  {}",
        seconds(entry.time),
        if step.is_empty() { "-" } else { step },
        kind(&entry.record),
        detail(&entry.record)
    );
    line.trim_end().to_owned()
}

/// The record's kind, as it stands in the journal.
fn kind(record: &Record) -> &'static str {
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

fn detail(record: &Record) -> String {
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
