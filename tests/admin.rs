//! An administrator rotates somebody else's key, by the real binary against the simulator.
#![allow(missing_docs, clippy::unwrap_used, clippy::disallowed_methods, reason = "a test")]

mod support;

use std::fs::File;
use std::process::Stdio;

use serde_json::{Value, json};
use support::awscli::{LIST, by_hand};
use support::{Run, World};

const ROTATE: [&str; 5] = ["rotate", "--user", "alice", "--as", "app"];

/// An administrator `app`, and a user `alice` with a key.
struct Office {
    world: World,
    old: String,
    secret: String,
}

impl Office {
    fn new() -> Self {
        let world = World::new();
        world.lighten_keys();
        world.add();
        world.control(json!({"op": "create-user", "user": "alice"}));
        let (old, secret) = key_for(&world, "alice");
        world.configure(&world.quick_profile("observe = \"2s\"\norphan_wait = \"1s\"\n"));
        Self { world, old, secret }
    }

    fn keys(&self) -> Vec<(String, String)> {
        let keys = self.world.control(json!({"op": "keys", "user": "alice"}));
        let text = |key: &Value, name: &str| key[name].as_str().unwrap().to_owned();
        let keys = keys["keys"].as_array().unwrap();
        keys.iter().map(|key| (text(key, "access_key_id"), text(key, "status"))).collect()
    }

    fn more(&self, more: &[&str]) -> Run {
        self.world.rotakey(&[&ROTATE[..], more].concat())
    }

    fn expect(&self, code: i32, more: &[&str]) -> Run {
        let run = self.more(more);
        assert_eq!(run.code, code, "{more:?}: {run:?}");
        run
    }

    fn remembered(&self) -> String {
        let path = self.world.home.path().join("state/admin/123456789012-alice/rotation.json");
        std::fs::read_to_string(path).unwrap_or_default()
    }
}

fn key_for(world: &World, user: &str) -> (String, String) {
    let key = world.control(json!({"op": "create-key", "user": user}));
    let text = |name: &str| key[name].as_str().unwrap().to_owned();
    (text("access_key_id"), text("secret_access_key"))
}

fn pause(milliseconds: u64) {
    std::thread::sleep(std::time::Duration::from_millis(milliseconds));
}

#[test]
fn a_key_goes_from_hand_to_hand_and_the_old_one_by_what_is_seen() {
    let office = Office::new();
    let world = &office.world;
    let run = office.expect(3, &["--output", "json"]);
    let new: Value = serde_json::from_str(&run.stdout).unwrap();
    let (id, secret) = (
        new["AWS_ACCESS_KEY_ID"].as_str().unwrap().to_owned(),
        new["AWS_SECRET_ACCESS_KEY"].as_str().unwrap().to_owned(),
    );
    assert!(run.stderr.contains(&office.old) && run.stderr.contains("--as app"), "{run:?}");
    assert!(!office.remembered().contains(&secret) && office.remembered().contains(&id));
    assert!(!run.stderr.contains(&secret));
    // Our own probes are no use of it.
    let held = office.expect(3, &[]);
    assert!(held.stderr.contains("no use of the new key"), "{held:?}");
    assert_eq!(held.stdout, "", "it is printed once");
    pause(2100);
    assert_eq!(by_hand(world, &id, &secret, None, &LIST).code, 0);
    // The old one is used as well.
    assert_eq!(by_hand(world, &office.old, &office.secret, None, &LIST).code, 0);
    let held = office.expect(3, &[]);
    assert!(held.stderr.contains("it was used at"), "{held:?}");
    pause(3100);
    office.expect(0, &[]);
    assert!(office.keys().contains(&(office.old.clone(), "Inactive".to_owned())));
    pause(1200);
    office.expect(0, &[]);
    assert_eq!(office.keys(), [(id, "Active".to_owned())]);
    // A new one begins from there.
    assert!(office.expect(3, &[]).stdout.contains("AccessKeyId"));
}

#[test]
fn yes_does_not_wait_for_uses_but_for_the_soak() {
    let office = Office::new();
    office
        .world
        .configure(&office.world.quick_profile("").replace("soak = \"1s\"", "soak = \"1h\""));
    let run = office.expect(0, &["--yes", "--output", "env"]);
    assert!(run.stdout.starts_with("AWS_ACCESS_KEY_ID="), "{run:?}");
    assert!(office.keys().contains(&(office.old.clone(), "Inactive".to_owned())));
    let soaking = office.expect(3, &["--yes"]);
    assert!(soaking.stderr.contains("soaking"), "{soaking:?}");
    assert_eq!(office.keys().len(), 2);
}

/// A broken standard output costs no secret and leaves no key.
#[test]
fn what_cannot_be_printed_is_deleted_again() {
    let office = Office::new();
    let full = || Stdio::from(File::options().write(true).open("/dev/full").unwrap());
    let closed = || {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        Stdio::from(writer)
    };
    for (what, stdout) in [("a full disk", full()), ("a closed pipe", closed())] {
        let child = office
            .world
            .command()
            .args(ROTATE)
            .stdin(Stdio::null())
            .stdout(stdout)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{what}: {said}");
        assert!(said.contains("is deleted again"), "{what}: {said}");
        assert_eq!(office.keys(), [(office.old.clone(), "Active".to_owned())], "{what}");
    }
    // Nothing is left that the next run trips over.
    assert!(office.expect(3, &[]).stdout.contains("AccessKeyId"));
}

#[test]
fn a_lost_reply_leaves_an_orphan_that_goes_in_its_time() {
    let office = Office::new();
    office.world.fault("CreateAccessKey", "lost");
    let run = office.expect(3, &[]);
    assert!(run.stderr.contains("nobody has the secret"), "{run:?}");
    let keys = office.keys();
    assert_eq!(keys.len(), 2, "{keys:?}");
    assert!(keys.contains(&(office.old.clone(), "Active".to_owned())), "{keys:?}");
    assert_eq!(keys.iter().filter(|(_, status)| status == "Inactive").count(), 1, "{keys:?}");
    let orphan = keys.iter().find(|(id, _)| *id != office.old).unwrap().0.clone();
    pause(1200);
    let run = office.expect(3, &[]);
    assert!(run.stdout.contains("AccessKeyId"), "{run:?}");
    assert!(office.keys().iter().all(|(id, _)| *id != orphan));
}

#[test]
fn whose_key_it_is_must_be_clear() {
    let office = Office::new();
    let world = &office.world;
    let own = world.expect(2, &["rotate", "--user", "app", "--as", "app"]);
    assert!(own.stderr.contains("rotakey rotate app"), "{own:?}");
    world.expect(4, &["rotate", "--user", "nobody", "--as", "app"]);
    let (second, _) = key_for(world, "alice");
    let several = office.expect(3, &[]);
    assert!(several.stderr.contains("--access-key-id"), "{several:?}");
    let no_room = office.expect(3, &["--access-key-id", &office.old]);
    assert!(no_room.stderr.contains(&format!("--access-key-id {second}")), "{no_room:?}");
    office.expect(2, &["--access-key-id", "AKIANOBODYS"]);
    assert_eq!(office.keys().len(), 2);
    assert!(world.accepts(&second) && world.accepts(&office.old));
}

#[test]
fn a_user_that_another_installation_rotates_is_left_to_it() {
    let office = Office::new();
    let world = &office.world;
    // Another machine rotates alice's key.
    let elsewhere = World::new();
    let args = [
        "add",
        "alice",
        "--access-key-id",
        &office.old,
        "--secret-stdin",
        "--endpoint-url",
        &world.url,
    ];
    assert_eq!(elsewhere.rotakey_with_stdin(&args, &office.secret).code, 0);
    let run = office.expect(3, &[]);
    assert!(run.stderr.contains("tag rotakey:") && run.stderr.contains("untag-user"), "{run:?}");
    assert_eq!(office.keys().len(), 1);
}

/// Killed wherever, no key is left whose secret nobody has and that is not dealt with.
#[test]
fn a_new_key_that_vanished_begins_anew() {
    let office = Office::new();
    let run = office.expect(3, &[]);
    let new: Value = serde_json::from_str(&run.stdout).unwrap();
    let id = new["AccessKeyId"].as_str().unwrap();
    office.world.control(json!({"op": "delete-key", "access_key_id": id}));
    let gone = office.expect(1, &[]);
    assert!(gone.stderr.contains("was deleted by somebody else"), "{gone:?}");
    assert!(office.expect(3, &[]).stdout.contains("AccessKeyId"));
}

fn killed_at(office: &Office, stage: &str, stdout: Stdio) {
    let mut child = office
        .world
        .command()
        .args(ROTATE)
        .stdin(Stdio::null())
        .stdout(stdout)
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while !office.remembered().contains(&format!("\"stage\": \"{stage}\"")) {
        assert!(std::time::Instant::now() < deadline, "never {stage}: {}", office.remembered());
        assert!(child.try_wait().unwrap().is_none(), "it ended before {stage}");
        pause(1);
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

/// Its secret is gone with the process: neither is it handed out, nor does `--yes` take the old one away for it.
#[test]
fn a_key_that_was_made_and_not_printed_is_deleted_by_the_next_run() {
    let office = Office::new();
    // It is tried for as long as AWS refuses it.
    office.world.control(json!({"op": "fault", "action": "GetCallerIdentity", "kind": "throttled", "times": 1000, "after": 0}));
    killed_at(&office, "made", Stdio::null());
    office.world.control(json!({"op": "clear-faults"}));
    let lost = office.keys().into_iter().find(|(id, _)| *id != office.old).unwrap().0;
    let run = office.expect(3, &[]);
    assert!(run.stderr.contains(&format!("{lost}, which an earlier run made")), "{run:?}");
    let new: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_ne!(new["AccessKeyId"], lost);
    assert!(office.world.accepts(&office.old) && office.keys().len() == 2);
    assert!(office.keys().iter().all(|(id, _)| *id != lost));
}

/// A pipe that takes nothing more: the print has begun, and does not end.
fn full_pipe() -> (std::os::unix::net::UnixStream, Stdio) {
    use std::io::Write;
    let (reader, mut writer) = std::os::unix::net::UnixStream::pair().unwrap();
    writer.set_nonblocking(true).unwrap();
    while writer.write(&[0; 4096]).is_ok() {}
    while writer.write(&[0]).is_ok() {}
    writer.set_nonblocking(false).unwrap();
    (reader, Stdio::from(std::os::fd::OwnedFd::from(writer)))
}

#[test]
fn a_key_that_may_not_have_been_printed_whole_does_not_cost_the_old_one() {
    let office = Office::new();
    let (_reader, stdout) = full_pipe();
    killed_at(&office, "handed", stdout);
    let new = office.keys().into_iter().find(|(id, _)| *id != office.old).unwrap().0;
    for args in [&["--yes"][..], &[]] {
        let run = office.expect(3, args);
        assert!(run.stderr.contains("whether anybody has its secret is not known"), "{run:?}");
        assert!(
            run.stderr
                .contains(&format!("delete-access-key --user-name alice --access-key-id {new}"))
        );
        assert!(office.world.accepts(&office.old), "it is the only one that anybody has");
    }
    // Whoever has it shows that by a use.
    pause(1100);
    assert!(office.world.accepts(&new));
    office.expect(0, &["--yes"]);
    assert!(office.keys().contains(&(office.old.clone(), "Inactive".to_owned())));
}

/// Our own probes of a key that could neither be printed nor deleted are no use of it by somebody.
#[test]
fn what_could_neither_be_printed_nor_deleted_goes_later() {
    let office = Office::new();
    office.world.control(json!({"op": "deny", "user": "app", "actions": ["iam:DeleteAccessKey"]}));
    let full = Stdio::from(File::options().write(true).open("/dev/full").unwrap());
    let child = office.world.command().args(ROTATE).stdout(full).stderr(Stdio::piped()).spawn();
    let said = String::from_utf8(child.unwrap().wait_with_output().unwrap().stderr).unwrap();
    assert!(said.contains("could not be deleted again"), "{said}");
    office.world.control(json!({"op": "deny", "user": "app", "actions": []}));
    let fenced = office.expect(3, &[]);
    assert!(fenced.stderr.contains("it could not be printed"), "{fenced:?}");
    pause(1200);
    assert!(office.expect(3, &[]).stdout.contains("AccessKeyId"));
    assert_eq!(office.keys().len(), 2);
}
