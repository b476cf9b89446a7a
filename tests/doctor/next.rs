//! `rotakey` alone says what to do next.

use clap::Parser;
use rotakey_agent::cli::args::Arguments;
use serde_json::json;

use super::patient::Patient;
use super::support::World;

/// What it says: each line that gives advice.
fn advice(patient: &Patient) -> String {
    let (code, text, talk) = patient.rotakey(&[]);
    assert_eq!((code, talk.as_str()), (0, ""));
    text
}

#[test]
fn the_next_step_is_named() {
    let mut patient = Patient::healthy();
    let text = advice(&patient);
    assert!(text.contains("1 profile, the agent runs") && text.contains("nothing to do"), "{text}");
    patient.agent = None;
    let text = advice(&patient);
    assert!(text.contains("next  rotakey agent"), "{text}");
    assert!(text.contains("then  rotakey service install"), "{text}");
    // A rotation that was left behind.
    let run = patient.rotakey(&["rotate", "app"]);
    assert_eq!(run.0, 0, "{run:?}");
    let text = advice(&patient);
    assert!(text.contains("next  rotakey resume app --wait deleted"), "{text}");
    assert!(text.contains("then  rotakey agent"), "{text}");
    assert!(text.contains("\napp: rotating; it waits for "), "{text}");
    // A table that somebody wrote himself.
    let path = patient.world.home.path().join("config.toml");
    let config =
        std::fs::read_to_string(&path).unwrap() + "[profile.bare]\nregion = \"eu-west-1\"\n";
    patient.world.write("config.toml", &config);
    let text = advice(&patient);
    assert!(text.contains("rotakey status bare"), "{text}");
    let (code, _, talk) = patient.rotakey(&["add", "bare"]);
    assert!(code == 2 && talk.contains("take [profile.bare] out of config.toml"), "{talk}");
}

#[test]
fn a_key_that_leaked_comes_first() {
    let mut patient = Patient::healthy();
    patient.agent = None;
    let run = patient.rotakey(&["rotate", "app", "--compromised"]);
    assert_eq!(run.0, 0, "{run:?}");
    assert!(!run.2.contains("rotakey undo"), "one that leaked is not to come back: {run:?}");
    let text = advice(&patient);
    assert!(text.contains("next  rotakey status app"), "{text}");
    assert!(text.contains("then  rotakey resume app --wait deleted"), "{text}");
}

/// The commands that it names, each of which the command line takes.
fn named(text: &str) -> Vec<String> {
    let advice = text.lines().filter_map(|line| {
        let command = line.strip_prefix("next  ").or(line.strip_prefix("then  "))?;
        Some(command.split("  ").next().unwrap().to_owned())
    });
    advice
        .inspect(|command| {
            let words = command.split(' ');
            assert!(Arguments::try_parse_from(words).is_ok(), "{command}: {text}");
        })
        .collect()
}

/// What `status` says of the same profile, in one line.
fn status(world: &World) -> String {
    let text = world.expect(0, &["status", "app"]).stdout;
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn a_rotation_that_is_stuck_waits_for_a_decision() {
    let world = World::added();
    world.expect(0, &["rotate"]);
    let new = world.served_id();
    let turn = |status: &str| {
        world.control(json!({"op": "set-key-status", "access_key_id": new, "status": status}));
    };
    turn("Inactive");
    world.expect(3, &["resume", "--wait", "deleted"]);
    let text = world.expect(0, &[]).stdout;
    let why = format!("app: STUCK: the served key {new} was deactivated by somebody else\n");
    assert!(text.contains(&why), "{text}");
    assert_eq!(
        named(&text),
        ["rotakey status app", "rotakey agent", "rotakey service install"],
        "nothing goes on with it: {text}"
    );
    // The choices are where it says that they are, once, and each can be run as it stands there.
    turn("Active");
    let status = status(&world);
    for choice in ["keys --profile app", "resume app", "undo app", "abort app"] {
        assert_eq!(status.matches(&format!("`rotakey {choice}`")).count(), 1, "{choice}: {status}");
    }
    assert!(!status.contains("stuck: stuck"), "{status}");
    let keys =
        world.command().env_remove("AWS_PROFILE").args(["keys", "--profile", "app"]).output();
    assert!(keys.unwrap().status.success());
    world.expect(0, &["resume", "app"]);
    assert!(!world.expect(0, &[]).stdout.contains("STUCK"));
}

#[test]
fn a_rotation_that_is_held_goes_on_once_that_is_over() {
    let world = World::added();
    world.configure(&world.quick_profile("soak = \"1h\"\n").replacen("soak = \"1s\"\n", "", 1));
    world.expect(0, &["rotate"]);
    std::thread::sleep(std::time::Duration::from_millis(4500));
    assert!(world.accepts(&world.id), "somebody outside uses the old key");
    world.configure(&world.quick_profile("observe = \"5s\"\n"));
    world.expect(3, &["resume", "--wait", "deactivated"]);
    let text = world.expect(0, &[]).stdout;
    assert!(text.contains("\napp: HELD; it waits for "), "{text}");
    let resume = "rotakey resume app --wait deleted";
    let commands = ["rotakey status app", resume, "rotakey agent", "rotakey service install"];
    assert_eq!(named(&text), commands, "{text}");
    assert!(text.contains("goes on, once that is over"), "{text}");
    // What holds it, and what to do about it, is where it says.
    let status = status(&world);
    assert!(status.contains("still used from outside (s3"), "{status}");
    assert!(status.contains("`rotakey resume app --despite-use`"), "{status}");
    // It is told to go on, and is held as before: nothing is deactivated by advice.
    let run = world.expect(3, &["resume", "app", "--wait", "deleted"]);
    assert!(run.stderr.contains("held") && world.accepts(&world.id), "{run:?}");
}

#[test]
fn what_a_rotation_came_to_is_said_and_that_it_can_be_tried_again() {
    let world = World::added();
    world.configure(&world.quick_profile("").replace("deadline = \"8s\"", "deadline = \"2s\""));
    let busy =
        json!({"op": "fault", "action": "CreateAccessKey", "kind": "throttled", "times": 1000});
    world.control(busy);
    world.expect(4, &["rotate"]);
    let text = world.expect(0, &[]).stdout;
    assert!(text.contains("\napp: FAILED: "), "{text}");
    let commands = ["rotakey status app", "rotakey rotate app", "rotakey agent"];
    assert_eq!(named(&text)[..3], commands, "{text}");
    world.control(json!({"op": "clear-faults"}));
    world.expect(0, &["rotate", "app"]);
    assert!(!world.expect(0, &[]).stdout.contains("FAILED"));
}

#[test]
fn a_key_that_is_too_old_is_to_be_rotated() {
    let world = World::new();
    world.configure("[agent]\nlisten = \"127.0.0.1:0\"\n");
    world.add_aged("old", 91);
    let text = world.expect(0, &[]).stdout;
    assert!(text.contains("next  rotakey rotate old"), "{text}");
    assert!(text.contains("older than the 90 days of CIS"), "{text}");
}

#[test]
fn without_a_profile_a_key_is_taken_over_first() {
    let world = World::new();
    let command = || {
        let mut command = world.command();
        command.env("HOME", world.home.path()).env_remove("AWS_PROFILE");
        String::from_utf8(command.output().unwrap().stdout).unwrap()
    };
    let text = command();
    assert!(text.contains("0 profiles, no agent runs"), "{text}");
    assert!(text.contains("next  rotakey add default"), "{text}");
    std::fs::create_dir(world.home.path().join(".aws")).unwrap();
    world.write(".aws/credentials", "[default]\naws_access_key_id=A\naws_secret_access_key=b\n");
    let text = command();
    assert!(text.contains("next  rotakey import --all --dry-run"), "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
}
