//! Environments and arguments of other processes.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::{Run, SECRET, scan, world};

/// Waits until it is so.
fn until(mut is: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is() {
        assert!(
            began.elapsed() < Duration::from_secs(30),
            "it does not become what it was started as"
        );
        std::thread::yield_now();
    }
}

/// A process that was started with a key, and is ended with the test.
struct Holder(Child);

impl Holder {
    fn start(command: &mut Command) -> Self {
        let child = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().expect("it starts");
        let holder = Self(child);
        // Between fork and exec it is still this test's own environment that shows.
        let own = std::env::current_exe().unwrap();
        until(|| std::fs::read_link(holder.proc("exe")).unwrap() != own);
        holder
    }

    fn proc(&self, name: &str) -> String {
        format!("/proc/{}/{name}", self.0.id())
    }

    fn copies<'a>(&self, copies: &'a [Value]) -> Vec<&'a Value> {
        copies.iter().filter(|copy| copy["pid"] == self.0.id()).collect()
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

#[test]
fn a_copy_in_another_processs_environment_is_found_by_its_variable() {
    let world = world();
    let home = tempfile::tempdir().unwrap();
    let mut command = Command::new("cat");
    command.env_clear().env("MY_KEY", &world.id).env("MY_OTHER", SECRET).env("HOME", "/");
    let holder = Holder::start(&mut command);
    let alone = Holder::start(Command::new("cat").env_clear().env("ID_ONLY", &world.id));

    let (copies, summary, _) = scan(&world, home.path(), &[]);
    let found = holder.copies(&copies);
    assert_eq!(found.len(), 1, "{copies:?}");
    assert_eq!(
        (&found[0]["place"], &found[0]["variable"]),
        (&"environment".into(), &"MY_KEY".into())
    );
    assert_eq!(found[0]["secret_variable"], "MY_OTHER");
    assert!(found[0]["program"].as_str().unwrap().ends_with("cat"), "{found:?}");
    let found = alone.copies(&copies);
    assert_eq!(
        (&found[0]["variable"], &found[0]["secret_beside"]),
        (&"ID_ONLY".into(), &false.into())
    );
    assert!(summary["processes"].as_u64().unwrap() >= 2);

    let mut command = world.command();
    let run = Run::from(command.env("HOME", home.path()).arg("scan").output().unwrap());
    assert!(run.stdout.contains("variable MY_KEY") && run.stdout.contains("MY_OTHER"), "{run:?}");
    assert!(!run.stdout.contains(SECRET), "{run:?}");
}

#[test]
fn a_copy_in_the_arguments_is_found_and_other_users_are_left_alone() {
    let world = world();
    let home = tempfile::tempdir().unwrap();
    let script = ["-c", "cat; :", "name", &format!("--key={}", world.id)];
    let holder = Holder::start(Command::new("sh").env_clear().args(script));
    // Another user's, whom root could look into.
    let mut command = Command::new("setpriv");
    command.args(["--reuid", "65534", "--clear-groups", "cat"]).env("MY_KEY", &world.id);
    let stranger = Holder::start(&mut command);
    until(|| !std::fs::read_link(stranger.proc("exe")).unwrap().ends_with("setpriv"));
    let (copies, ..) = scan(&world, home.path(), &[]);
    let found = holder.copies(&copies);
    assert_eq!(found.len(), 1, "{copies:?}");
    assert_eq!((&found[0]["place"], &found[0]["argument"]), (&"arguments".into(), &4.into()));
    assert!(stranger.copies(&copies).is_empty(), "{copies:?}");
}

#[test]
fn whoever_asks_for_an_id_is_no_copy_of_it_but_their_environment_may_hold_one() {
    let world = world();
    let home = tempfile::tempdir().unwrap();
    let plain = world.command();
    let asks = |id: &str, with_env: bool| {
        let mut command = Command::new("sh");
        // A shell that has something left to do does not make way for its last command.
        command.args(["-c", "\"$0\" \"$@\"; exit $?"]).arg(plain.get_program());
        command.args(["scan", "--json", "--access-key-id", id]).env_clear();
        let set = plain.get_envs().filter_map(|(name, value)| Some((name, value?)));
        command.envs(set).env("HOME", home.path()).env("PATH", "/usr/bin:/bin");
        if with_env {
            command.env("MY_KEY", id);
        }
        Run::from(command.output().unwrap())
    };
    for id in [world.id.as_str(), &format!("AKIAASKEDFOR{:08}", std::process::id())] {
        let run = asks(id, false);
        assert_eq!(run.code, 0, "{run:?}");
        let run = asks(id, true);
        assert_eq!(run.code, 1, "{run:?}");
        assert!(run.stdout.contains("MY_KEY") && !run.stdout.contains("\"arguments\""), "{run:?}");
    }
    // It is one in anybody else's arguments.
    let script = ["-c", "cat; :", "name", &world.id];
    let holder = Holder::start(Command::new("sh").env_clear().args(script));
    let (copies, ..) = scan(&world, home.path(), &["--access-key-id", &world.id]);
    assert_eq!(holder.copies(&copies).len(), 1, "{copies:?}");
}
