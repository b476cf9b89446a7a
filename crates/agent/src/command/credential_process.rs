//! `credential-process`: what is served, for an SDK.
//!
//! With an agent it is one question over the agent's socket; without one, the keystore and the ledger are read directly.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use rotakey_core::time::later;
use rotakey_endpoint::protocol::process;
use rotakey_endpoint::table::Source;
use zeroize::Zeroizing;

use crate::app::{App, credentials};
use crate::clock::Clock;
use crate::config::{SOCKET, Serve, run_dir};
use crate::failure::{Exit, Failed};
use crate::local_http::escape;
use crate::serve::{self, Handed, NotHanded};
use crate::serving::holders;
use crate::session::{Minter, Plan};
use crate::store::keystore::Keystore;
use crate::store::keystore::file::Asker;
use crate::{control, proc};

/// An agent that takes longer is stuck; programs are then served without it. SDKs wait for 5 seconds and more.
const PATIENCE: Duration = Duration::from_millis(1500);

/// A session is made within this time.
const LIMIT: Duration = Duration::from_millis(3000);

/// No answer takes longer, whatever hangs: a keystore, a passphrase command, a lock. SDKs wait for some seconds only.
const DEADLINE: Duration = Duration::from_millis(4500);

/// The profile, if the command line is plainly that of a `credential_process` line.
pub fn asked(mut arguments: impl Iterator<Item = OsString>) -> Option<String> {
    let mut profile = None;
    let mut is_ours = false;
    while let Some(argument) = arguments.next() {
        let argument = argument.into_string().ok()?;
        match argument.as_str() {
            "credential-process" if !is_ours => is_ours = true,
            "--profile" => profile = Some(arguments.next()?.into_string().ok()?),
            other => profile = Some(other.strip_prefix("--profile=")?.to_owned()),
        }
    }
    if !is_ours {
        return None;
    }
    profile.or_else(|| variable("AWS_PROFILE")?.into_string().ok()).or(Some("default".to_owned()))
}

/// Asks the agent. `None` if there is none, or it does not have the answer.
pub fn quick(profile: &str) -> Option<Result<(), Failed>> {
    let socket = run_dir(|name| variable(name).map(PathBuf::from))?.join(SOCKET);
    let target = format!("/credential-process/{}", escape(profile));
    let answer = control::ask(&socket, "GET", &target, b"", PATIENCE).ok()??;
    match answer.status {
        200 => Some(write(&answer.body)),
        403 => Some(Err(refused(&control::message(&answer)))),
        _ => None,
    }
}

#[allow(clippy::disallowed_methods, reason = "two variables, before anything else is read")]
fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

fn write(answer: &[u8]) -> Result<(), Failed> {
    use std::io::Write;
    let mut out = std::io::stdout().lock();
    out.write_all(answer)
        .and_then(|()| out.flush())
        .map_err(|error| Failed::new(Exit::Failed, format!("cannot write the credential: {error}")))
}

fn refused(why: &str) -> Failed {
    Failed::new(Exit::Decide, why).hint("add the program's path to executables in config.toml")
}

/// Runs it. What is late is left behind: it ends with the process, and its answer is never written.
pub fn run(app: &App) -> Result<(), Failed> {
    let (done, wait) = mpsc::channel();
    let (profile, app) = (app.profile.clone(), app.clone());
    thread::spawn(move || {
        // Nobody listens any more after the deadline.
        let _ = done.send(answer(&app));
    });
    let late = |_| {
        let message = format!("no credential for {profile} within {} ms", DEADLINE.as_millis());
        Failed::new(Exit::Unreachable, message).hint(
            "see what the keystore, or passphrase_command, waits for; an agent asks for it before programs do",
        )
    };
    write(wait.recv_timeout(DEADLINE).map_err(late)??.as_bytes())
}

fn answer(app: &App) -> Result<Zeroizing<String>, Failed> {
    let settings = app.config.settings(&app.profile, &app.env)?;
    check_runner(&settings.executables)?;
    let state = app.state()?;
    let Handed { snapshot, expiration } = handed(app, Asker::Program)?;
    let until = later(expiration, Duration::from_secs(1));
    let us = std::process::id();
    let uid = rustix::process::getuid().as_raw();
    let runner = proc::runner(us);
    if !runner.as_ref().is_some_and(proc::is_own) {
        let key = snapshot.key.clone();
        let holder = holders::holder(key, Source::Process, uid, runner, until);
        holders::append(&state, &holder, app.clock.now().wall);
    }
    Ok(process::answer(&snapshot, expiration, None))
}

/// What is served, without an agent, its lease written.
pub(super) fn handed(app: &App, asker: Asker) -> Result<Handed, Failed> {
    let state = app.state()?;
    let lease = app.settings()?.policy.lease;
    let settings = app.config.settings(&app.profile, &app.env)?;
    let keystore = app.keystore_for(asker)?;
    let handed = match settings.serve {
        Serve::Key => serve::hand_out(&state, keystore.as_ref(), &app.clock, lease),
        Serve::Session | Serve::Role => minted(app, keystore.as_ref())?,
    };
    match handed {
        Ok(handed) => Ok(handed),
        Err(NotHanded::NotHeld(id)) => {
            // It says why, or has the secret by now.
            credentials(keystore.as_ref(), id)?;
            let message = "the served key kept changing while it was read";
            Err(Failed::new(Exit::Failed, message).hint("try again"))
        }
        Err(error) => Err(not_handed(app, error)),
    }
}

/// Without an agent, too, only the programs on the profile's list are served.
fn check_runner(allowed: &[String]) -> Result<(), Failed> {
    if allowed.is_empty() {
        return Ok(());
    }
    let exe = proc::runner(std::process::id()).and_then(|program| program.exe);
    match exe {
        Some(exe) if allowed.iter().any(|path| Path::new(path) == Path::new(&exe)) => Ok(()),
        _ => Err(refused("this program is not among the profile's executables")),
    }
}

/// A session of its own for this one call: nothing but the keystore may keep a secret, so there is no cache.
fn minted(app: &App, keystore: &dyn Keystore) -> Result<Result<Handed, NotHanded>, Failed> {
    let state = app.state()?;
    let settings = app.settings()?;
    let plan = Plan::of(&app.config, &app.env, &app.profile)?;
    let service = app.service(&settings);
    let (clock, patience) = (&app.clock, Duration::ZERO);
    let minter = Minter { service: &service, keystore, clock, mfa: &app.mfa, patience };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failed::new(Exit::Failed, format!("cannot start: {error}")))?;
    let handed = serve::hand_out_minted(&state, &minter, &plan, settings.policy.lease);
    let handed = runtime.block_on(async { tokio::time::timeout(LIMIT, handed).await });
    handed.map_err(|_| {
        let message = format!("no session for {} within {} ms", app.profile, LIMIT.as_millis());
        Failed::new(Exit::Failed, message)
            .hint("check the network and mfa_process; an agent has its sessions ready before they are asked for")
    })
}

fn not_handed(app: &App, error: NotHanded) -> Failed {
    match error {
        NotHanded::State(error) => error.into(),
        NotHanded::Keystore(error) => error.into(),
        NotHanded::NotMinted(error) => error.into(),
        NotHanded::NoKey => Failed::new(Exit::Usage, format!("profile {} has no key", app.profile))
            .hint(format!("`rotakey add {}` takes one over", app.profile)),
        error @ NotHanded::Withdrawn(_) => Failed::new(Exit::Decide, error.to_string())
            .hint(crate::command::incident::replace_by_hand(&app.profile)),
        error => Failed::new(Exit::Failed, error.to_string()).hint("try again"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_plain_command_line_goes_the_short_way() {
        let asked = |line: &str| asked(line.split_whitespace().map(OsString::from));
        for line in [
            "credential-process --profile p",
            "credential-process --profile=p",
            "--profile p credential-process",
        ] {
            assert_eq!(asked(line).as_deref(), Some("p"), "{line}");
        }
        for line in [
            "",
            "status --profile p",
            "credential-process --profile",
            "credential-process -v --profile p",
            "credential-process --help",
            "credential-process credential-process",
        ] {
            assert_eq!(asked(line), None, "{line}");
        }
    }
}
