//! Asks the user's service manager.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use super::home;
use super::unit::{SERVICE, SOCKET};
use crate::config::Env;
use crate::failure::{Exit, Failed};

fn run(args: &[&str]) -> Result<Output, String> {
    let mut command = Command::new("systemctl");
    command.arg("--user").arg("--no-pager").args(args).stdin(Stdio::null());
    command.output().map_err(|error| format!("cannot run systemctl: {error}"))
}

/// Why there is no manager to talk to, if there is none.
pub(super) fn absent() -> Option<String> {
    match run(&["show", "--property=Version"]) {
        Ok(output) if output.status.success() => None,
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr);
            Some(said.lines().next().unwrap_or("systemctl failed").to_owned())
        }
        Err(why) => Some(why),
    }
}

/// Where the user's units are: where the manager looks for them, whose `XDG_CONFIG_HOME` may be another than a shell's. One that
/// cannot be asked will have none, as a rule.
pub(in crate::command) fn units(env: &Env) -> Result<PathBuf, Failed> {
    if let Some(folder) = asked_for_units() {
        return Ok(folder);
    }
    Ok(home(env)?.join(".config/systemd/user"))
}

fn asked_for_units() -> Option<PathBuf> {
    let output = run(&["show", "--value", "--property=UnitPath"]).ok()?;
    output.status.success().then_some(())?;
    users_own(&String::from_utf8_lossy(&output.stdout))
}

/// The user's own folder among those of a manager's `UnitPath` (systemd.unit(5)): the one that has a `user.control` beside it
/// and is no runtime folder.
fn users_own(paths: &str) -> Option<PathBuf> {
    let folders: Vec<&Path> =
        paths.split_whitespace().map(Path::new).filter(|path| path.is_absolute()).collect();
    let is_own = |path: &Path| {
        path.ends_with("systemd/user")
            && !path.starts_with("/run")
            && folders.contains(&path.with_file_name("user.control").as_path())
    };
    folders.iter().find(|path| is_own(path)).map(|path| path.to_path_buf())
}

/// Has it done, or says what it said.
pub(super) fn order(args: &[&str]) -> Result<(), Failed> {
    let output = run(args).map_err(|why| Failed::new(Exit::Unreachable, why))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let message = format!("systemctl --user {}: {}", args.join(" "), said.trim());
    Err(Failed::new(Exit::Failed, message).hint(format!(
        "systemctl --user status {SOCKET} {SERVICE}; journalctl --user -u {SERVICE}"
    )))
}

/// A property of a unit, such as `ActiveState`.
pub(super) fn property(unit: &str, name: &str) -> Option<String> {
    let output = run(&["show", "--value", &format!("--property={name}"), unit]).ok()?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    (output.status.success() && !text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_users_own_folder_is_told_from_the_systems() {
        let rest = "/run/user/7/systemd/user.control /run/user/7/systemd/transient /etc/xdg/systemd/user \
                    /etc/systemd/user /run/user/7/systemd/user /usr/lib/systemd/user";
        let own = "/home/x/conf/systemd/user.control /home/x/conf/systemd/user";
        let found = users_own(&format!("{own} {rest}\n"));
        assert_eq!(found, Some("/home/x/conf/systemd/user".into()));
        // With a blank in it, it cannot be told.
        assert_eq!(users_own(&format!("{} {rest}", own.replace("/x/", "/x y/"))), None);
    }
}
