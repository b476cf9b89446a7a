//! The old key is refused within seconds, and every client works again by its next fetch.

use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;

use super::support::World;
use super::support::awscli::{LIST, by_container, by_imds, by_process};
use super::{
    SECONDS, eventually, evidence_of, foreign, hourly, quick_world, until_refused, world,
    world_with_agent,
};

const COMPROMISED: [&str; 2] = ["rotate", "--compromised"];

#[test]
fn without_an_agent_the_old_key_is_refused_within_seconds() {
    let world = world();
    let (run, took) = until_refused(&world, &world.id, &COMPROMISED);
    assert_eq!(run.code, 0, "{run:?}");
    assert!(took < SECONDS, "{took:?}");
    assert_ne!(world.served_id(), world.id);
    assert_eq!(world.step().as_deref(), Some("soak"));
    let client = by_process(&world, &LIST);
    assert_eq!(client.code, 0, "{client:?}");
    assert!(run.stdout.contains("NOT revoked"), "nobody was asked: {run:?}");
    // Its soak is like any other, and then it is gone.
    world.configure(&world.quick_profile(""));
    world.expect(0, &["resume", "--wait", "deleted"]);
    world.assert_rotated();
}

#[test]
fn with_an_agent_every_source_serves_the_new_key_by_the_next_fetch() {
    let world = world_with_agent();
    let agent = world.agent();
    for client in [
        by_process(&world, &LIST),
        by_container(&world, &agent, &LIST),
        by_imds(&world, &agent, &LIST),
    ] {
        assert_eq!(client.code, 0, "{client:?}");
    }
    let ended = AtomicBool::new(false);
    // What the container endpoint serves is of the new key once it was, whatever happens.
    let (run, took) = std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut is_new = false;
            while !ended.load(Ordering::Relaxed) {
                let view = agent.control("GET", "/v1/profiles/app", b"").json();
                for key in [&view["key"], &view["temporary"]["key"]] {
                    let Some(key) = key.as_str() else { continue };
                    assert!(!is_new || key != world.id, "the old key is served again");
                    is_new |= view["key"].as_str() != Some(&world.id);
                }
                std::thread::sleep(std::time::Duration::from_millis(5));
            }
        });
        let done = until_refused(&world, &world.id, &COMPROMISED);
        ended.store(true, Ordering::Relaxed);
        done
    });
    assert_eq!(run.code, 0, "{run:?}");
    assert!(took < SECONDS, "{took:?}");
    for client in [
        by_process(&world, &LIST),
        by_container(&world, &agent, &LIST),
        by_imds(&world, &agent, &LIST),
    ] {
        assert_eq!(client.code, 0, "{client:?}");
    }
    let view = agent.control("GET", "/v1/profiles/app", b"").json();
    assert_eq!(view["temporary"]["key"], world.served_id());
}

/// An agent that stands still does not keep a leaked key alive.
#[test]
fn an_agent_that_does_not_answer_keeps_nothing_alive() {
    let world = world_with_agent();
    let agent = world.agent();
    agent.signal("STOP");
    let run = world.rotakey(&COMPROMISED);
    assert!(!world.accepts(&world.id), "{run:?}");
    agent.signal("CONT");
    eventually("the agent serves the new key", || {
        let view = agent.control("GET", "/v1/profiles/app", b"").json();
        view["temporary"]["key"] == world.served_id() && world.served_id() != world.id
    });
    assert_eq!(by_container(&world, &agent, &LIST).code, 0);
}

#[test]
fn a_rotation_that_drains_is_cut_short() {
    let world = world();
    world.expect(0, &["rotate"]);
    assert_eq!(world.step().as_deref(), Some("drain"));
    let newer = world.served_id();
    let (run, took) = until_refused(&world, &world.id, &COMPROMISED);
    assert_eq!(run.code, 0, "{run:?}");
    assert!(took < SECONDS, "{took:?}");
    assert_eq!(world.served_id(), newer, "one key is enough");
    let again = world.expect(3, &COMPROMISED);
    assert!(again.stderr.contains(&format!("--access-key-id {newer}")), "{again:?}");
}

#[test]
fn a_soaking_key_makes_room_for_the_replacement() {
    let world = quick_world();
    world.configure(&world.quick_profile("").replace("soak = \"1s\"", "soak = \"1h\""));
    world.expect(0, &["rotate", "--wait", "deactivated"]);
    assert_eq!(world.step().as_deref(), Some("soak"));
    let leaked = world.served_id();
    world.configure(&hourly(&world, ""));
    let (run, took) = until_refused(&world, &leaked, &COMPROMISED);
    assert_eq!(run.code, 0, "{run:?}");
    assert!(took < SECONDS, "{took:?}");
    let keys = world.keys();
    assert!(keys.iter().all(|(id, _)| *id != world.id), "the first one is gone: {keys:?}");
    assert!(keys.contains(&(leaked, "Inactive".to_owned())), "{keys:?}");
    assert!(keys.contains(&(world.served_id(), "Active".to_owned())), "{keys:?}");
    // The rotation that ended for it has its receipt, and not only when its successor ends.
    let record = world.expect(0, &["history", "--verify"]);
    assert!(record.stdout.contains("1 receipt\n") && record.stderr.is_empty(), "{record:?}");
}

/// Two keys work, and it is the newer one that leaked.
#[test]
fn the_newer_of_two_can_be_named() {
    let world = world();
    world.expect(0, &["rotate"]);
    let leaked = world.served_id();
    let args = ["rotate", "--compromised", "--access-key-id", &leaked];
    let (run, took) = until_refused(&world, &leaked, &args);
    assert_eq!(run.code, 0, "{run:?}");
    assert!(took < SECONDS * 2, "{took:?}");
    assert!(!world.accepts(&world.id));
    assert_eq!(evidence_of(&run).1["compromised"]["access_key_id"], leaked);
    let nobodys = world.expect(2, &["rotate", "--compromised", "--access-key-id", "AKIANOBODYS"]);
    assert!(nobodys.stderr.contains("nothing was changed"), "{nobodys:?}");
}

#[test]
fn a_rotation_that_verifies_goes_on_as_compromised() {
    let world = World::with(json!({"visible_after": 3000, "last_used_granularity": 1000}));
    world.lighten_keys();
    world.add();
    world.configure(&hourly(&world, ""));
    let mut child = world.spawn(&["rotate"]);
    eventually("it verifies", || world.step().as_deref() == Some("verify"));
    child.kill().unwrap();
    child.wait().unwrap();
    let (run, took) = until_refused(&world, &world.id, &COMPROMISED);
    assert_eq!(run.code, 0, "{run:?}");
    assert!(took < SECONDS, "{took:?}");
    assert_eq!(world.keys().len(), 2, "the new key is the one that was made before");
    let history = world.expect(0, &["history"]).stdout;
    assert!(history.contains("compromised"), "{history}");
}

#[test]
fn a_second_key_of_somebody_else_is_not_touched_and_the_choices_are_named() {
    let world = world();
    let foreign = foreign(&world);
    let run = world.expect(3, &COMPROMISED);
    for words in [
        "rotakey rotate app --compromised --deactivate-now".to_owned(),
        format!("aws iam delete-access-key --user-name app --access-key-id {foreign}"),
        format!(
            "aws iam update-access-key --user-name app --access-key-id {} --status Inactive",
            world.id
        ),
    ] {
        assert!(run.stderr.contains(&words), "{words} in {run:?}");
    }
    assert!(world.accepts(&foreign) && world.accepts(&world.id));
    assert_eq!(world.step(), None);
}
