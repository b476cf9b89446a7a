//! The key that a person means is the one that goes, whatever happened in the meantime.

use serde_json::json;

use super::support::World;
use super::{eventually, evidence_of, foreign, hourly, quick_world, world};

const COMPROMISED: [&str; 2] = ["rotate", "--compromised"];

fn named(id: &str) -> [&str; 4] {
    ["rotate", "--compromised", "--access-key-id", id]
}

/// A rotation that waits for its soak.
fn soaking() -> World {
    let world = quick_world();
    world.configure(&world.quick_profile("").replace("soak = \"1s\"", "soak = \"1h\""));
    world.expect(0, &["rotate", "--wait", "deactivated"]);
    assert_eq!(world.step().as_deref(), Some("soak"));
    world
}

/// The rotation that was under way has set it Inactive: its successor, which did not leak, stays.
#[test]
fn a_key_that_is_inactive_by_now_is_recorded_and_the_served_one_stays() {
    let world = soaking();
    let served = world.served_id();
    let run = world.expect(0, &named(&world.id));
    assert!(run.stderr.contains(&format!("{} is Inactive already", world.id)), "{run:?}");
    assert!(world.served_id() == served && world.accepts(&served));
    let (_, evidence) = evidence_of(&run);
    assert_eq!(evidence["compromised"]["access_key_id"], world.id);
    assert!(evidence["refused_since"].is_string(), "{evidence}");
    let undo = world.expect(3, &["undo"]);
    assert!(undo.stderr.contains("--force"), "{undo:?}");
    let again = world.expect(3, &named(&world.id));
    assert!(again.stderr.contains("--revoke-sessions"), "{again:?}");
}

#[test]
fn during_an_undo_the_key_has_to_be_named() {
    for leaks_the_first in [false, true] {
        let world = world();
        world.expect(0, &["rotate"]);
        let newer = world.served_id();
        world.expect(0, &["undo"]);
        let run = world.expect(2, &COMPROMISED);
        for id in [&newer, &world.id] {
            assert!(run.stderr.contains(id), "{id} in {run:?}");
            assert!(world.accepts(id));
        }
        if leaks_the_first {
            world.expect(0, &named(&world.id));
            let served = world.served_id();
            assert!(!world.accepts(&world.id) && world.accepts(&served));
            assert!(served != world.id && served != newer);
        } else {
            world.expect(0, &named(&newer));
            assert!(!world.accepts(&newer) && world.accepts(&world.id));
            assert_eq!(world.served_id(), world.id);
        }
    }
}

/// Killed before the sessions were dealt with: the same command does that, and only that.
#[test]
fn what_was_cut_off_without_a_word_on_sessions_is_concluded_later() {
    let world = world();
    world.accepts(&world.id);
    world.control(json!({"op": "fault", "action": "UpdateAccessKey", "kind": "throttled", "times": 1000, "after": 0}));
    let mut child = world.spawn(&COMPROMISED);
    eventually("deactivate", || world.step().as_deref() == Some("deactivate"));
    child.kill().unwrap();
    child.wait().unwrap();
    world.control(json!({"op": "clear-faults"}));
    world.expect(0, &["resume", "--wait", "deactivated"]);
    let served = world.served_id();
    world.control(json!({"op": "deny", "user": "app", "actions": ["iam:PutUserPolicy"]}));
    let first = evidence_of(&world.expect(0, &COMPROMISED)).1;
    assert_eq!(first["compromised"]["access_key_id"], world.id);
    assert!(first["last_used"]["at"].is_string(), "as it was seen before the kill: {first}");
    world.expect(3, &COMPROMISED);
    let denied = evidence_of(&world.expect(0, &["rotate", "--compromised", "--revoke-sessions"])).1;
    let next = denied["next"].as_array().unwrap();
    let is_put =
        |command: &&serde_json::Value| command.as_str().unwrap().contains("put-user-policy");
    assert_eq!(next.iter().filter(is_put).count(), 1, "{next:?}");
    world.control(json!({"op": "deny", "user": "app", "actions": []}));
    let done = evidence_of(&world.expect(0, &["rotate", "--compromised", "--revoke-sessions"])).1;
    assert_eq!(done["sessions"]["is_attached"], true);
    assert!(!done["next"].to_string().contains("put-user-policy"), "{done}");
    assert_eq!(world.served_id(), served);
}

/// Two keys go: each one's evidence is its own.
#[test]
fn the_last_use_of_each_key_stands_in_its_own_evidence() {
    let world = world();
    world.expect(0, &["rotate"]);
    let newer = world.served_id();
    // IAM knows one use in so long.
    std::thread::sleep(std::time::Duration::from_millis(1100));
    let used = json!({"op": "use-key", "access_key_id": world.id, "service": "sqs", "region": "us-east-1"});
    world.control(used);
    let (path, evidence) = evidence_of(&world.expect(0, &named(&newer)));
    assert_eq!(evidence["compromised"]["access_key_id"], newer);
    assert_ne!(evidence["last_used"]["service"], "sqs", "{evidence}");
    let folder = std::path::Path::new(&path).parent().unwrap();
    let mut others = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let other = others.find(|other| other.as_os_str() != path.as_str()).unwrap();
    let other: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(other).unwrap()).unwrap();
    assert_eq!(other["compromised"]["access_key_id"], world.id);
    assert_eq!(other["last_used"]["service"], "sqs", "{other}");
}

#[test]
fn a_command_that_is_at_work_is_named_and_may_be_ended() {
    let world = world();
    let mut child = world.spawn(&["rotate", "--wait", "deleted"]);
    eventually("drain", || world.step().as_deref() == Some("drain"));
    let run = world.expect(3, &COMPROMISED);
    assert!(run.stderr.contains(&format!("kill {}", child.id())), "{run:?}");
    child.kill().unwrap();
    child.wait().unwrap();
    world.expect(0, &COMPROMISED);
    assert!(!world.accepts(&world.id));
}

const NOW: [&str; 3] = ["rotate", "--compromised", "--deactivate-now"];

#[test]
fn killed_before_it_is_refused_resume_says_how_to_go_on() {
    let world = world();
    world.control(json!({"op": "fault", "action": "UpdateAccessKey", "kind": "throttled", "times": 1000, "after": 0}));
    let mut child = world.spawn(&NOW);
    let journal = world.state().join("journal");
    eventually("withdrawn", || std::fs::read_to_string(&journal).unwrap().contains("withdrawn"));
    child.kill().unwrap();
    child.wait().unwrap();
    world.control(json!({"op": "clear-faults"}));
    let run = world.expect(3, &["resume"]);
    assert!(run.stderr.contains("rotakey rotate app --compromised --deactivate-now"), "{run:?}");
    world.expect(0, &NOW);
    assert!(!world.accepts(&world.id));
}

#[test]
fn what_stands_in_the_way_of_deactivate_now_is_told_before_anything() {
    let soaking = soaking();
    let run = soaking.expect(3, &NOW);
    assert!(run.stderr.contains(&format!("--access-key-id {}", soaking.served_id())), "{run:?}");

    let world = world();
    foreign(&world);
    world.control(json!({"op": "quarantine", "user": "app"}));
    let run = world.expect(4, &NOW);
    for words in ["AWSCompromisedKeyQuarantineV3", "detach-user-policy", "nothing was changed"] {
        assert!(run.stderr.contains(words), "{words} in {run:?}");
    }
    assert_eq!(world.served_id(), world.id);
    world.configure(&hourly(&world, ""));
    world.control(json!({"op": "quarantine", "user": "app", "on": false}));
    world.expect(0, &NOW);
}
