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
