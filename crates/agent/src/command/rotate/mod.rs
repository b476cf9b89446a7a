//! `rotate`, `resume`, `undo`, `abort`: one engine run, seen by a person.

mod attempt;
mod outcome;
mod plan;

use std::io::IsTerminal;

use rotakey_core::journal::{Open, Reason, Status, Step};
use rotakey_core::rotation::Goal;
use tokio::runtime::Runtime;

pub(super) use self::attempt::{Terms, attempt};
pub(super) use self::outcome::stopped;
use super::status::when;
use crate::app::App;
use crate::cli::args::RotateArgs;
use crate::clock::Clock;
use crate::engine::Milestone;
use crate::failure::{Exit, Failed};
use crate::incident::quarantine;
use crate::shared_files::plaintext_copies;
use crate::telling::Told;

/// `rotate`.
pub async fn rotate(app: &App, args: &RotateArgs) -> Result<(), Failed> {
    if args.incident.compromised {
        return super::incident::run(app, &args.incident, args.wait).await;
    }
    let status = app.status()?;
    if status.withdrawn.is_some() {
        return Err(super::incident::is_withdrawn(app, &status));
    }
    if args.dry_run {
        return plan::show(app).await;
    }
    if let Some(open) = &status.rotation
        && open.step == Step::Soak
        && args.wait < Milestone::Deleted
    {
        return Err(soaking(app, open)?);
    }
    warn_of_copies(app, &status);
    if let Some(open) = &status.rotation {
        let (name, step) = (&app.profile, open.step);
        app.printer.say(&format!(
            "{name}: a rotation is under way already (step {step}): that one goes on"
        ));
    }
    run(app, Goal::Rotate(Reason::Forced), args.wait, false).await
}

/// The agent would not begin: programs that read the key there keep it until it is refused.
fn warn_of_copies(app: &App, status: &Status) {
    let Some(key) = &status.current else { return };
    for copy in plaintext_copies(&app.env, &[&key.id]) {
        app.printer
            .say(&format!("warning: {} is in {copy} as well, where it will be dead", key.id));
        app.printer.say(&format!("hint: `rotakey import --profile {}` takes it out", copy.profile));
    }
}

/// `rotate --all`: one after the other; the first failure is the answer, after all were tried.
pub fn all(
    names: Vec<String>,
    args: &RotateArgs,
    app: impl Fn(String) -> Result<App, Failed>,
    runtime: &Runtime,
) -> Result<(), Failed> {
    let mut failed: Option<Failed> = None;
    for name in names {
        let result = app(name.clone()).and_then(|app| runtime.block_on(rotate(&app, args)));
        if let Err(mut error) = result {
            if !error.message.contains(&name) {
                error.message = format!("{name}: {}", error.message);
            }
            if let Some(earlier) = failed.take() {
                error.message = format!("{}; {}", earlier.message, error.message);
                error.exit = earlier.exit;
            }
            failed = Some(error);
        }
    }
    failed.map_or(Ok(()), Err)
}

/// `resume`. Uses of the old key from outside pass if a person is there who was told of them, or if the command says so:
/// a timer that runs it decides nothing.
pub async fn resume(app: &App, wait: Milestone, despite_use: bool) -> Result<(), Failed> {
    let status = app.status()?;
    if status.withdrawn.as_ref().is_some_and(|withdrawn| withdrawn.disabled.is_none()) {
        return Err(super::incident::is_withdrawn(app, &status));
    }
    if status.rotation.is_none() {
        app.printer.say(&format!("{}: nothing to resume", app.profile));
        return Ok(());
    }
    // It is past what held it only when the old key is deactivated.
    let passes = despite_use || std::io::stdin().is_terminal();
    let wait = match Told::straggler(app, &app.status()?) {
        Some(_) if passes => wait.max(Milestone::Deactivated),
        _ => wait,
    };
    run(app, Goal::Resume, wait, passes).await
}

/// `undo`.
pub async fn undo(app: &App, force: bool) -> Result<(), Failed> {
    match app.status()?.rotation {
        Some(open) if open.is_cut_off() && open.can_undo() && !force => {
            let message = format!("the previous key {} leaked", open.outgoing.id);
            return Err(Failed::new(Exit::Decide, message).hint(format!(
                "`rotakey undo {} --force` makes it active again all the same, for whoever has it",
                app.profile
            )));
        }
        Some(open) if open.can_undo() && !force && quarantine::is_marked(&app.state()?) => {
            let message = format!("AWS says that a key of {} leaked", app.profile);
            return Err(Failed::new(Exit::Decide, message).hint(format!(
                "if it was not {}: `rotakey undo {} --force`",
                open.outgoing.id, app.profile
            )));
        }
        Some(open) if open.can_undo() || open.undone.is_some() => {}
        Some(open) if open.step < Step::Drain => {
            return Err(Failed::new(Exit::Usage, "the new key is not published yet")
                .hint(format!("`rotakey abort {}` gives the rotation up", app.profile)));
        }
        Some(_) => {
            return Err(Failed::new(Exit::Usage, "the old key is deleted: there is no way back")
                .hint("rotate again for another key"));
        }
        None => {
            let message = format!("there is no rotation of {} to undo", app.profile);
            return Err(Failed::new(Exit::Usage, message)
                .hint("undo applies from publish to the end of the soak"));
        }
    }
    let goal = if force { Goal::ForceUndo } else { Goal::Undo };
    run(app, goal, Milestone::Published, false).await
}

/// `abort`.
pub async fn abort(app: &App) -> Result<(), Failed> {
    match app.status()?.rotation {
        None => {
            let message = format!("there is no rotation of {} to abort", app.profile);
            return Err(
                Failed::new(Exit::Usage, message).hint("`rotakey status` says what is under way")
            );
        }
        Some(open) if open.can_undo() || open.published.is_some() || open.undone.is_some() => {
            return Err(Failed::new(Exit::Usage, "the new key is published already")
                .hint(format!("`rotakey undo {}` brings the old one back", app.profile)));
        }
        Some(_) => {}
    }
    run(app, Goal::Abort, Milestone::Deleted, false).await
}

fn soaking(app: &App, open: &Open) -> Result<Failed, Failed> {
    let soak = app.settings()?.policy.soak;
    let now = app.clock.now().wall;
    let until = open.deactivated.map(|at| when(rotakey_core::time::later(at, soak), now));
    let message = format!(
        "{} is soaking: {} is Inactive and will be deleted after {}",
        app.profile,
        open.outgoing.id,
        until.unwrap_or_default()
    );
    // One that leaked is not to come back for the asking.
    let undo = match open.is_cut_off() {
        true => String::new(),
        false => format!(", `rotakey undo {}` goes back", app.profile),
    };
    Ok(Failed::new(Exit::Decide, message)
        .hint(format!("`rotakey resume {} --wait deleted` waits for that{undo}", app.profile)))
}

async fn run(app: &App, goal: Goal, wait: Milestone, passes_use: bool) -> Result<(), Failed> {
    let terms = Terms { passes_use, ..Terms::default() };
    match attempt(app, goal, wait, terms).await? {
        Some(run) => stopped(app, run, wait),
        None => Ok(()),
    }
}
