//! Asks the user's service manager.

use std::process::{Command, Output, Stdio};

use super::unit::{SERVICE, SOCKET};
use crate::cli::failure::{Exit, Failed};

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
