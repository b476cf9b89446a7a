//! The agent: whether it runs, answers, and is what this command is; and who has its port.

use std::path::PathBuf;

use jiff::tz::TimeZone;

use super::check::Check;
use super::scene::Scene;
use crate::command::service::systemctl;
use crate::proc;
use crate::serving::authority::{self, Authorities};
use crate::store::disk;

/// All of them.
pub(super) async fn checks(scene: &Scene<'_>) -> Vec<Check> {
    let mut checks = Vec::new();
    match &scene.agent {
        Err(failed) => {
            let check = Check::bad("agent", failed.message.clone());
            checks.push(check.hint(failed.hint.clone().unwrap_or_default()).unreachable());
        }
        Ok(None) => {
            let found = "no agent runs: nothing is rotated unattended, and container and imds are not served";
            checks.push(Check::warning("agent", found).hint(start(scene)));
        }
        Ok(Some(_)) => checks.push(running(scene)),
    }
    checks.extend(port(scene));
    checks.extend(authority(scene));
    checks
}

fn start(scene: &Scene<'_>) -> String {
    match unit(scene) {
        Some(_) => "start it: systemctl --user start rotakey".to_owned(),
        None => "start it: `rotakey agent`, or for good: `rotakey service install`".to_owned(),
    }
}

/// The unit file, if the service is installed.
fn unit(scene: &Scene<'_>) -> Option<PathBuf> {
    let unit = systemctl::units(&scene.app.env).ok()?.join("rotakey.service");
    disk::access(&unit).ok().flatten().map(|_| unit)
}

fn running(scene: &Scene<'_>) -> Check {
    let says = scene.says().cloned().unwrap_or_default();
    let pid = says["pid"].as_u64().and_then(|pid| u32::try_from(pid).ok()).unwrap_or(0);
    let again = match unit(scene) {
        Some(_) => "systemctl --user restart rotakey".to_owned(),
        None => format!("kill {pid}; rotakey agent"),
    };
    let version = says["version"].as_str().unwrap_or("older than 0.1.0");
    if version != env!("CARGO_PKG_VERSION") {
        let found =
            format!("pid {pid} is version {version}, and this is {}", env!("CARGO_PKG_VERSION"));
        return Check::warning("agent", found).hint(format!("start it again: {again}"));
    }
    let exe = proc::program(pid).and_then(|program| program.exe);
    if exe.is_some_and(|exe| exe.ends_with(" (deleted)")) {
        let found = format!("pid {pid} runs a program that was replaced since");
        return Check::warning("agent", found).hint(format!("start it again: {again}"));
    }
    let path = scene.app.paths.config.display();
    if says["config"].as_str() != Some(&scene.app.config.digest) {
        let found = format!("pid {pid} goes by an older {path}");
        return Check::bad("agent", found)
            .hint(
                "it reads it again; its log says if it cannot. [agent] and [store] take a restart",
            )
            .run(format!("kill -HUP {pid}"));
    }
    Check::ok("agent", format!("the agent is pid {pid}, version {version}, with {path} as it is"))
}

/// Whether programs of `proxy_connect` trust the certificates that the agent makes.
fn authority(scene: &Scene<'_>) -> Option<Check> {
    let says = scene.says()?;
    let used = says["proxy_authority"].as_str()?;
    let pid = says["pid"].as_u64()?;
    let state = &scene.app.paths.state;
    let path = authority::pem_path(state);
    let today = scene.app.clock.wall().to_zoned(TimeZone::UTC).date();
    let kept = Authorities::load(state).ok().flatten();
    let kept = kept.as_ref().and_then(|kept| kept.signer(today));
    Some(match kept.filter(|kept| kept.name == used) {
        Some(kept) => {
            let found =
                format!("its certificates are those of {}, until {}", path.display(), kept.until);
            Check::ok("agent", found)
        }
        None => {
            let found = format!(
                "its certificates are not those of {}, which programs trust",
                path.display()
            );
            Check::bad("agent", found)
                .hint("it takes up what is there when it reads its configuration")
                .run(format!("kill -HUP {pid}"))
        }
    })
}

/// Who listens where the agent does, or would.
fn port(scene: &Scene<'_>) -> Option<Check> {
    let at = scene.listen?;
    let agent = scene.says().and_then(|says| says["pid"].as_u64());
    let Some(found) = proc::listener_at(at) else {
        return Some(match agent {
            Some(pid) => Check::bad(
                "port",
                format!("pid {pid} says that it listens at {at}, and nobody does"),
            )
            .hint("it runs in another network namespace: start it where your programs run"),
            None => Check::ok("port", format!("{at} is free")),
        });
    };
    let owner = proc::owner_of(found.inode);
    let who = match &owner {
        Some(program) => {
            format!("pid {} ({})", program.pid, program.exe.as_deref().unwrap_or("?"))
        }
        None => format!("a process of user id {}", found.uid),
    };
    // systemd holds it for the service, and hands it over.
    let is_held = owner.as_ref().and_then(|program| program.exe.as_deref());
    let is_held = is_held.is_some_and(|exe| exe.ends_with("/systemd"));
    let is_agent = owner.as_ref().map(|program| u64::from(program.pid)) == agent && agent.is_some();
    Some(if is_agent || is_held {
        Check::ok("port", format!("{at} is {who}'s"))
    } else {
        let found = format!("{at} is taken by {who}: programs would ask that for credentials");
        let check = Check::bad("port", found);
        check.hint("choose another port in config.toml: [agent] listen = \"127.0.0.1:PORT\"")
    })
}
