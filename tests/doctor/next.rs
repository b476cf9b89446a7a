//! `rotakey` alone says what to do next.

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

#[test]
fn a_key_that_is_too_old_is_to_be_rotated() {
    let world = World::new();
    world.configure("[agent]\nlisten = \"127.0.0.1:0\"\n");
    let created = jiff::Timestamp::now() - jiff::SignedDuration::from_hours(24 * 91);
    world.control(serde_json::json!({"op": "create-user", "user": "old"}));
    world.control(serde_json::json!({"op": "import-key", "user": "old", "access_key_id": "AKIAOLDOLDOLDOLDOLD1",
        "secret_access_key": "secret-of-it", "status": "Active", "created": created.to_string()}));
    let add = [
        "add",
        "app",
        "--access-key-id",
        "AKIAOLDOLDOLDOLDOLD1",
        "--secret-stdin",
        "--endpoint-url",
        &world.url,
    ];
    let run = world.rotakey_with_stdin(&add, "secret-of-it");
    assert_eq!(run.code, 0, "{run:?}");
    let text = world.expect(0, &[]).stdout;
    assert!(text.contains("next  rotakey rotate app"), "{text}");
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
