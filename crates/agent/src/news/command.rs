//! `on_event`: a command of the user's, with the event on its standard input.

use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};

/// How long it may take.
const LIMIT: Duration = Duration::from_secs(30);

/// Between two looks whether it has ended.
const LOOK: Duration = Duration::from_millis(20);

/// So much of what it says is logged.
const SAID_MAX: u64 = 4096;

/// Runs it by `sh -c`, and gives what it printed. The error never names the command, which may hold a secret.
pub(super) fn run(command: &str, event: &str) -> Result<String, String> {
    run_within(command, event, LIMIT)
}

fn run_within(command: &str, event: &str, limit: Duration) -> Result<String, String> {
    let io = |error: std::io::Error| format!("it cannot be run: {error}");
    let (reader, writer) = std::io::pipe().map_err(io)?;
    let mut command = {
        let mut shell = Command::new("sh");
        shell.args(["-c", command]).process_group(0).stdin(Stdio::piped());
        shell.stdout(writer.try_clone().map_err(io)?).stderr(writer);
        shell
    };
    let mut child = command.spawn().map_err(io)?;
    // Our ends of the pipe: only the child's are to be left.
    drop(command);
    let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    // Whoever does not read a line of a few hundred bytes does not block: the pipe holds it.
    let mut input = child.stdin.take();
    let said = std::thread::spawn(move || listen(reader));
    if let Some(input) = &mut input {
        let _ = input.write_all(format!("{event}\n").as_bytes());
    }
    drop(input);
    let looks = limit.as_millis() / LOOK.as_millis();
    for _ in 0..=looks {
        if let Some(status) = child.try_wait().map_err(io)? {
            // What it left in the background may hold the pipe: it is not waited for.
            let said = if said.is_finished() || is_over_soon(&said) {
                said.join().unwrap_or_default()
            } else {
                String::new()
            };
            return match status.success() {
                true => Ok(said),
                false => Err(format!("it failed ({status}): {said}")),
            };
        }
        std::thread::sleep(LOOK);
    }
    if let Some(group) = group {
        let _ = kill_process_group(group, Signal::KILL);
    }
    let _ = child.wait();
    Err(format!("it did not end within {} s, and was ended", limit.as_secs_f32()))
}

fn is_over_soon(said: &std::thread::JoinHandle<String>) -> bool {
    for _ in 0..10 {
        if said.is_finished() {
            return true;
        }
        std::thread::sleep(LOOK);
    }
    false
}

/// Reads all, and keeps the beginning.
fn listen(mut reader: std::io::PipeReader) -> String {
    let mut bytes = Vec::new();
    let _ = (&mut reader).take(SAID_MAX).read_to_end(&mut bytes);
    let _ = std::io::copy(&mut reader, &mut std::io::sink());
    let text = String::from_utf8_lossy(&bytes);
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    text.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_given_the_event_and_what_it_says_is_kept() {
        assert_eq!(run("cat", "{\"kind\":\"stuck\"}"), Ok("{\"kind\":\"stuck\"}".to_owned()));
        assert_eq!(run("true", &"x".repeat(60_000)), Ok(String::new()));
        let failed = run("echo no such bell >&2; exit 3", "{}").expect_err("it failed");
        assert!(failed.contains("no such bell") && failed.contains('3'), "{failed}");
        let much = run("yes secret | head -c 1000000", "{}").expect("it ends");
        assert!(much.len() <= 4096, "{}", much.len());
    }

    #[test]
    fn one_that_hangs_is_ended_with_all_that_it_started() {
        let dir = tempfile::tempdir().expect("a folder");
        let pid = dir.path().join("pid");
        let command = format!("sleep 600 & echo $! > {pid:?}; wait");
        let error = run_within(&command, "{}", Duration::from_millis(500)).expect_err("too slow");
        assert!(error.contains("did not end") && !error.contains("sleep"), "{error}");
        let text = crate::store::disk::read(&pid).expect("readable").expect("written");
        let pid: u32 = String::from_utf8(text).expect("text").trim().parse().expect("a pid");
        // Killed, and perhaps not reaped yet by whoever inherited it.
        let state = || crate::proc::program(pid).and_then(|program| program.exe);
        for _ in 0..100 {
            if state().is_none() {
                return;
            }
            std::thread::sleep(LOOK);
        }
        panic!("it still runs");
    }

    #[test]
    fn what_it_leaves_in_the_background_is_not_waited_for() {
        assert_eq!(run_within("sleep 5 & exit 0", "{}", Duration::from_secs(4)), Ok(String::new()));
    }
}
