//! `history`: the journal, readable; receipts; and whether all of it is whole.

pub mod verify;

use clap::Args;
use rotakey_core::journal::{Entry, Record, Status};

use crate::app::App;
use crate::clock::Clock;
use crate::failure::{Exit, Failed};
use crate::printer::layout;
use crate::receipts::Receipts;
use crate::wording::records::{as_json, detail, kind, step};
use crate::wording::rfc3339;

/// The arguments of `history`.
#[derive(Debug, Args)]
pub struct HistoryArgs {
    /// The profile
    pub name: Option<String>,
    /// As JSON, one object a line
    #[arg(long)]
    pub json: bool,
    /// Check that no journal, receipt or audit trail was tampered with; all profiles, if none is named
    #[arg(long)]
    pub verify: bool,
    /// The receipts of the rotations that have ended, for an auditor
    #[arg(long, conflicts_with = "verify")]
    pub receipts: bool,
}

/// Runs it.
pub fn run(app: &App, args: &HistoryArgs) -> Result<(), Failed> {
    if args.receipts {
        return receipts(app, args.json);
    }
    let (entries, _) = app.state()?.read()?;
    let mut status = Status::default();
    let mut rotation = None;
    for entry in &entries {
        let before = step(&status);
        // Reading has replayed it already: every entry is legal.
        let _ = status.apply(entry);
        let step = if before.is_empty() { step(&status) } else { before };
        if args.json {
            app.printer.data(&as_json(&app.profile, step, entry).to_string());
            continue;
        }
        if entry.rotation != rotation {
            rotation.clone_from(&entry.rotation);
            if let Some(id) = &rotation {
                app.printer.data(&format!("rotation {id}"));
            }
        }
        for line in as_text(step, entry) {
            app.printer.data(&line);
        }
    }
    Ok(())
}

/// `--receipts`. One that a crash kept from being written is written now, if nobody is at work.
fn receipts(app: &App, json: bool) -> Result<(), Failed> {
    let state = app.state()?;
    let receipts = Receipts::of(&state);
    let cannot = |error: std::io::Error| {
        Failed::new(
            Exit::Failed,
            format!("the receipts of {} cannot be read: {error}", app.profile),
        )
        .hint("`rotakey history --verify` says more")
    };
    if let Ok((_engine, _)) = state.lock() {
        let now = app.clock.now().wall;
        receipts.write_missing(&app.audit(), &app.install_tag()?, now).map_err(cannot)?;
    }
    let found = receipts.read().map_err(cannot)?;
    if found.is_empty() {
        app.printer.say(&format!("{}: no receipts: no rotation has ended yet", app.profile));
    }
    for found in found {
        let written = found.written.map_err(|why| {
            let path = found.path.display();
            Failed::new(Exit::Failed, format!("{path} cannot be read: {why}"))
                .hint("`rotakey history --verify` says more")
        })?;
        if json {
            let mut value = serde_json::to_value(&written).unwrap_or_default();
            value["cis"] = crate::receipts::cis(&written.receipt);
            app.printer.data(&value.to_string());
        } else {
            for line in crate::receipts::text::lines(&written) {
                app.printer.data(&line);
            }
            app.printer.data(&format!("  sha256    {}\n", found.digest));
        }
    }
    Ok(())
}

/// One line of 80 columns, and what is said about it below.
fn as_text(step: &str, entry: &Entry) -> Vec<String> {
    let kind = kind(&entry.record);
    let id = entry.record.access_key_id().map_or("", |id| id.as_str());
    let (what, said) = match &entry.record {
        Record::Intended { act } | Record::Done { act } => {
            (format!("{kind} {}", act.name()), String::new())
        }
        record => (kind.to_owned(), detail(record)),
    };
    let step = if step.is_empty() { "-" } else { step };
    let line = format!("  {}  {step:<10}  {what:<19}  {id}", rfc3339(entry.time));
    let said = layout::wrap(&said, 76 - 22);
    let below = said.into_iter().map(|line| format!("{:24}{line}", ""));
    std::iter::once(line.trim_end().to_owned()).chain(below).collect()
}
