//! A key is rotated end to end by the real binary, against the simulator over HTTP.
#![allow(missing_docs, clippy::unwrap_used, clippy::disallowed_methods, reason = "a test")]

mod support;

use serde_json::{Value, json};
use support::World;

#[test]
fn one_command_ends_with_one_new_key() {
    let world = World::with(json!({
        "visible_after": 300, "flaps_until": 900, "lingers": 400, "last_used_granularity": 1000
    }));
    world.add();
    assert_eq!(world.served_id(), world.id);
    world.expect(0, &["rotate", "--wait", "deleted"]);
    world.assert_rotated();
    assert!(!world.accepts(&world.id), "the old key is refused");

    let history = world.expect(0, &["history", "--json"]).stdout;
    let kinds: Vec<(String, String)> = history
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .map(|line| (line["step"].as_str().unwrap().into(), line["kind"].as_str().unwrap().into()))
        .collect();
    for (step, kind) in [
        ("create", "begun"),
        ("create", "created"),
        ("verify", "verified"),
        ("publish", "done"),
        ("drain", "drained"),
        ("deactivate", "done"),
        ("delete", "done"),
        ("delete", "finished"),
    ] {
        assert!(kinds.contains(&(step.into(), kind.into())), "{step} {kind} in {history}");
    }
}

#[test]
fn it_returns_at_the_milestone_and_resume_finishes() {
    let world = World::added();
    world.expect(0, &["rotate"]);
    assert_eq!(world.step().as_deref(), Some("drain"));
    assert_ne!(world.served_id(), world.id);
    world.expect(0, &["resume", "--wait", "deactivated"]);
    assert_eq!(world.step().as_deref(), Some("soak"));
    assert!(!world.accepts(&world.id));
    let soaking = world.expect(3, &["rotate"]);
    assert!(soaking.stderr.contains("soaking"), "{soaking:?}");
    world.expect(0, &["resume", "--wait", "deleted"]);
    world.assert_rotated();
    world.expect(0, &["resume"]);
}

/// Who finishes it, and when.
#[test]
fn it_ends_by_saying_who_goes_on_and_when() {
    let world = World::added();
    let table = |world: &World| world.quick_profile("").replace("soak = \"1s\"", "soak = \"2h\"");
    world.configure(&table(&world).replace("lease = \"1s\"", "lease = \"40m\""));
    world.served_id();
    let run = world.expect(0, &["rotate"]);
    let until = world.status()["rotation"]["waiting_until"].clone();
    let until: jiff::Timestamp = until.as_str().unwrap().parse().unwrap();
    let seconds = until.duration_since(jiff::Timestamp::now()).as_secs();
    assert!(seconds > 2300, "{until}");
    let minutes = [seconds / 60, seconds / 60 + 1, seconds / 60 + 2];
    let said = minutes.map(|min| format!("(in {min} min) at the earliest, deleted 2h later"));
    assert!(said.iter().any(|said| run.stderr.contains(said)), "{said:?} {run:?}");
    assert!(run.stderr.contains("`rotakey resume app --wait deleted`"), "{run:?}");
    assert!(run.stderr.contains("`rotakey undo app` goes back"), "{run:?}");
    assert!(run.stderr.lines().all(|line| line.len() <= 80), "{run:?}");
    // Who asks again is told that this is no other rotation.
    let run = world.expect(0, &["rotate"]);
    assert!(run.stderr.starts_with("app: a rotation is under way already (step drain)"), "{run:?}");
    let run = world.expect(3, &["remove", "--yes"]);
    assert!(!run.stderr.contains("abort"), "what is published cannot be given up: {run:?}");
    let run = world.expect(0, &["undo"]);
    assert!(!run.stderr.contains("rotakey undo"), "it is going back: {run:?}");

    let world = World::added();
    world.configure(&table(&world));
    let run = world.expect(0, &["rotate", "--wait", "deactivated"]);
    assert!(run.stderr.contains("(in 2 h) at the earliest"), "{run:?}");
    assert!(run.stderr.lines().all(|line| line.len() <= 80), "{run:?}");
}

#[test]
fn rotating_again_and_again_works() {
    let world = World::added();
    let mut last = world.id.clone();
    for _ in 0..3 {
        world.expect(0, &["rotate", "--wait", "deleted"]);
        world.assert_rotated();
        let now = world.served_id();
        assert_ne!(now, last);
        last = now;
    }
}

#[test]
fn a_key_that_nobody_accepts_is_given_up_and_deleted() {
    let world = World::with(json!({"visible_after": 6000}));
    world.add();
    world.configure(&world.quick_profile("").replace("deadline = \"8s\"", "deadline = \"3s\""));
    let run = world.expect(1, &["rotate"]);
    assert!(run.stderr.contains("given up"), "{run:?}");
    assert_eq!(world.keys(), [(world.id.clone(), "Active".to_owned())]);
    assert_eq!(world.served_id(), world.id);
}

#[test]
fn a_foreign_second_key_is_never_touched() {
    let world = World::added();
    let foreign = world.control(json!({"op": "create-key", "user": "app"}));
    let foreign = foreign["access_key_id"].as_str().unwrap();
    let run = world.expect(3, &["rotate"]);
    assert!(run.stderr.contains(foreign) && run.stderr.contains("hint:"), "{run:?}");
    assert_eq!(world.keys().len(), 2);
    assert!(world.accepts(foreign));
    assert_eq!(world.step(), None, "nothing was begun");
}

#[test]
fn a_second_installation_is_noticed_by_its_tag() {
    let world = World::added();
    world.expect(0, &["rotate", "--wait", "deleted"]);
    std::fs::remove_file(world.home.path().join("state/install")).unwrap();
    let run = world.expect(3, &["rotate"]);
    assert!(run.stderr.contains("rotakey:"), "{run:?}");
}

#[test]
fn a_lock_that_nobody_rotates_under_does_not_count_as_a_rotation() {
    let world = World::added();
    let held = std::fs::File::options().write(true).open(world.state().join("engine.lock"));
    let held = held.unwrap();
    held.lock().unwrap();
    let mut child = world.spawn(&["rotate"]);
    std::thread::sleep(std::time::Duration::from_secs(2));
    assert!(child.try_wait().unwrap().is_none(), "it waits for whoever holds the lock");
    drop(held);
    assert!(child.wait().unwrap().success());
    assert_ne!(world.served_id(), world.id, "it has rotated by itself");
}

#[test]
fn a_key_that_another_installation_rotates_is_not_taken_over() {
    let world = World::added();
    // Another machine: a home of its own, the same key.
    let elsewhere = World::new();
    let args = ["add", "app", "--access-key-id", &world.id, "--secret-stdin", "--endpoint-url"];
    let run = elsewhere.rotakey_with_stdin(&[&args[..], &[&world.url]].concat(), &world.secret);
    assert_eq!(run.code, 3, "{run:?}");
    assert!(run.stderr.contains("untag-user --user-name app --tag-keys rotakey:"), "{run:?}");
    assert_eq!(elsewhere.rotakey(&["status", "--json"]).stdout.matches(&world.id).count(), 0);
}

#[test]
fn undo_goes_back_from_each_step_after_publish() {
    for milestone in ["published", "deactivated"] {
        let world = World::added();
        world.configure(
            &world
                .quick_profile("")
                .replace("soak = \"1s\"", "soak = \"60s\"\norphan_wait = \"1s\""),
        );
        world.expect(0, &["rotate", "--wait", milestone]);
        let newer = world.served_id();
        assert_ne!(newer, world.id);
        world.expect(0, &["undo"]);
        assert_eq!(world.served_id(), world.id, "after {milestone}");
        assert!(world.accepts(&world.id));
        // The newer key is the previous one now, with its own drain, soak and deletion.
        world.configure(&world.quick_profile(""));
        let run = world.expect(1, &["resume", "--wait", "deleted"]);
        assert!(run.stderr.contains("undone"), "{run:?}");
        assert_eq!(world.keys(), [(world.id.clone(), "Active".to_owned())]);
    }
}

#[test]
fn undo_and_abort_say_when_they_do_not_apply() {
    let world = World::added();
    world.expect(2, &["undo"]);
    world.expect(2, &["abort"]);
    world.expect(0, &["rotate"]);
    let run = world.expect(2, &["abort"]);
    assert!(run.stderr.contains("undo"), "{run:?}");
}

#[test]
fn a_dry_run_prints_the_plan_and_changes_nothing() {
    let world = World::added();
    let before = std::fs::read(world.state().join("journal")).unwrap();
    let run = world.expect(0, &["rotate", "--dry-run"]);
    assert!(run.stdout.contains("deactivate") && run.stdout.contains("soak"), "{run:?}");
    assert_eq!(world.keys(), [(world.id.clone(), "Active".to_owned())]);
    assert_eq!(std::fs::read(world.state().join("journal")).unwrap(), before);
    world.control(json!({"op": "deny", "user": "app", "actions": ["iam:DeleteAccessKey"]}));
    let run = world.expect(4, &["rotate", "--dry-run"]);
    assert!(run.stderr.contains("iam:DeleteAccessKey"), "{run:?}");
}

#[test]
fn keys_lists_users_and_their_keys() {
    let world = World::added();
    world.control(json!({"op": "create-user", "user": "other", "path": "/team/"}));
    world.control(json!({"op": "create-key", "user": "other"}));
    let run = world.expect(0, &["keys", "--all-users", "--json"]);
    let users: Vec<Value> = run
        .stdout
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["user"].clone())
        .filter(Value::is_string)
        .collect();
    assert_eq!(users, ["app", "other"]);
    let run = world.expect(0, &["keys", "--user", "other"]);
    assert!(run.stdout.contains("other") && !run.stdout.contains(&world.id), "{run:?}");
}

#[test]
fn users_with_paths_of_other_partitions_and_odd_key_ids_are_rotated() {
    for partition in ["aws-cn", "aws-us-gov"] {
        let mut world = World::with(
            json!({"partition": partition, "key_prefix": "MINE", "last_used_granularity": 1000}),
        );
        world.control(json!({"op": "create-user", "user": "deep", "path": "/a/b/"}));
        let key = world.control(json!({"op": "create-key", "user": "deep"}));
        world.id = key["access_key_id"].as_str().unwrap().into();
        world.secret = key["secret_access_key"].as_str().unwrap().into();
        let region = if partition == "aws-cn" { "cn-northwest-1" } else { "us-gov-east-1" };
        world.add();
        world.configure(
            &world
                .quick_profile(&format!("region = \"{region}\"\n"))
                .replace("user = \"app\"\n", ""),
        );
        world.expect(0, &["rotate", "--wait", "deleted"]);
        let status = world.status();
        assert_eq!(status["arn"], format!("arn:{partition}:iam::123456789012:user/a/b/deep"));
        assert!(world.served_id().starts_with("MINE") && world.served_id() != world.id);
    }
}

#[test]
fn the_demo_ends_well() {
    let world = World::new();
    let run = world.expect(0, &["demo"]);
    assert!(run.stdout.contains("0 were refused. The user has 1 key."), "{run:?}");
}

#[test]
fn a_profile_is_removed_only_when_nothing_hangs_on_it() {
    let world = World::added();
    world.expect(0, &["rotate"]);
    let run = world.expect(3, &["remove", "--yes"]);
    assert!(run.stderr.contains("hint:"), "{run:?}");
    world.expect(0, &["resume", "--wait", "deleted"]);
    let key = world.served_id();
    std::thread::sleep(std::time::Duration::from_millis(2500));
    world.expect(3, &["remove"]);
    assert_eq!(support::stored_ids(&world), std::slice::from_ref(&key), "it asks first");
    world.expect(0, &["remove", "--yes"]);
    assert_eq!(support::stored_ids(&world), Vec::<String>::new());
    assert_eq!(world.keys(), [(key, "Active".to_owned())], "IAM was not touched");
    world.expect(2, &["credential-process"]);
}

#[test]
fn a_profile_that_shares_a_key_uses_the_other_ones() {
    let world = World::added();
    world.add_key("two", &world.id, &world.secret);
    world.expect(0, &["rotate", "two", "--wait", "deleted"]);
    world.assert_rotated();
    let two = world.expect(0, &["credential-process", "--profile", "two"]);
    assert!(two.stdout.contains(&world.served_id()), "{two:?}");
    world.expect(2, &["remove", "app", "--yes"]);
}

#[test]
fn completions_are_printed_for_each_shell() {
    let world = World::new();
    for shell in ["bash", "zsh", "fish"] {
        assert!(world.expect(0, &["completions", shell]).stdout.contains("rotakey"));
    }
}
