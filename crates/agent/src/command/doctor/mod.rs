//! `doctor`: does every program of this machine get its key from rotakey, and could the next rotation be done?
//!
//! It looks, asks and fetches; it changes nothing. Each check is a value ([`Check`]), made by a file of its group.

mod account;
mod agent;
mod check;
mod clients;
mod environment;
mod keystore;
mod leftovers;
mod line;
mod machine;
mod programs;
mod report;
mod scene;
mod shared;

use std::process::ExitCode;

use clap::Args;

pub use check::{CHECKS, Check, Verdict};

use self::scene::Scene;
use crate::app::App;
use crate::failure::{Exit, Failed};

/// The arguments of `doctor`.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// The profile; all of them if none is named
    pub name: Option<String>,
    /// As one JSON object
    #[arg(long)]
    pub json: bool,
    /// Run the AWS CLI and boto3 of PATH as well, and compare what they find
    #[arg(long)]
    pub run_clients: bool,
}

/// Runs it.
pub async fn run(app: &App, args: &DoctorArgs, named: Option<String>) -> Result<ExitCode, Failed> {
    let names = profiles(app, named)?;
    let progress = |what: &str| app.printer.progress(&format!("looking at {what}"));
    progress("this machine");
    let scene = Scene::of(app).await;
    let mut checks = environment::checks(&scene, &names);
    checks.extend(shared::of_both(&scene));
    let keystore = keystore::check(app);
    let is_open = keystore.verdict == Verdict::Ok;
    checks.push(keystore);
    checks.extend(agent::checks(&scene).await);
    checks.extend(machine::checks(app));
    for name in &names {
        progress(name);
        let mut of_profile = shared::of_profile(&scene, name);
        of_profile.extend(programs::checks(&scene, name));
        if args.run_clients {
            of_profile.extend(clients::checks(&scene, name).await);
        }
        of_profile.extend(account::checks(&scene, name, is_open).await);
        of_profile.iter_mut().for_each(|check| check.profile = Some(name.clone()));
        checks.extend(of_profile);
    }
    app.printer.progress_done();
    if args.json {
        app.printer.data(&report::as_json(&checks));
    } else {
        report::print(&app.printer, &checks, app.env.get("HOME"));
    }
    Ok(code(&checks))
}

/// Those that are meant. AWS_PROFILE may name one that is none of rotakey's, which is a finding and no reason to stop.
fn profiles(app: &App, named: Option<String>) -> Result<Vec<String>, Failed> {
    if let Some(name) = named {
        app.for_profile(&name).key_profile()?;
        return Ok(vec![name]);
    }
    let selected = app.env.get("AWS_PROFILE").filter(|name| app.config.contains(name));
    Ok(match selected {
        Some(name) => vec![name.to_owned()],
        None => app.config.profile_names().map(str::to_owned).collect(),
    })
}

fn code(checks: &[Check]) -> ExitCode {
    let mut bad = checks.iter().filter(|check| check.verdict == Verdict::Bad).peekable();
    if bad.peek().is_none() {
        return ExitCode::SUCCESS;
    }
    let exit = if bad.any(|check| check.is_unreachable) { Exit::Unreachable } else { Exit::Failed };
    ExitCode::from(exit as u8)
}
