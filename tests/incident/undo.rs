//! `undo` from every step from publish to the soak, with a real client that works after it.

use serde_json::json;

use super::support::World;
use super::support::awscli::{LIST, by_process};
use super::{eventually, quick_world};

/// A busy machine takes more than a second from the answer to the AWS CLI's use of it.
fn patient(world: &World, more: &str) -> String {
    world.quick_profile(more).replace("lease = \"1s\"", "lease = \"3s\"")
}

/// Starts a rotation that comes to this step and is killed there.
fn killed_in(world: &World, args: &[&str], step: &str, ready: impl Fn() -> bool) {
    let mut child = world.spawn(args);
    eventually(step, || world.step().as_deref() == Some(step) && ready());
    child.kill().unwrap();
    child.wait().unwrap();
}

fn goes_back(world: &World, from: &str, undo: &[&str]) {
    world.expect(0, undo);
    assert_eq!(world.served_id(), world.id, "from {from}");
    let client = by_process(world, &LIST);
    assert_eq!(client.code, 0, "from {from}: {client:?}");
    let status = world.status();
    assert_eq!(status["current"]["access_key_id"], world.id, "from {from}");
    // The newer one goes in its turn.
    world.configure(&patient(world, ""));
    let run = world.expect(1, &["resume", "--wait", "deleted"]);
    assert!(run.stderr.contains("undone"), "from {from}: {run:?}");
    assert_eq!(world.keys(), [(world.id.clone(), "Active".to_owned())], "from {from}");
    assert_eq!(by_process(world, &LIST).code, 0, "from {from}");
}

const UNDO: [&str; 1] = ["undo"];

#[test]
fn from_publish() {
    let world = quick_world();
    // No program may be served: the new key is published, and cannot be fetched back.
    world.configure(&patient(&world, "executables = [\"/nobody\"]\n"));
    let served = world.state().join("ledger.json");
    let before = std::fs::read(&served).unwrap();
    killed_in(&world, &["rotate"], "publish", || std::fs::read(&served).unwrap() != before);
    world.configure(&patient(&world, ""));
    goes_back(&world, "publish", &UNDO);
}

#[test]
fn from_drain() {
    let world = quick_world();
    world.expect(0, &["rotate"]);
    assert_eq!(world.step().as_deref(), Some("drain"));
    goes_back(&world, "drain", &UNDO);
}

/// The drain is over, and the old key is Active still.
#[test]
fn from_deactivate_before_the_act() {
    let world = quick_world();
    // Preflight is asked whether it may by a simulation, and needs no such call.
    world.control(json!({"op": "fault", "action": "UpdateAccessKey", "kind": "throttled", "times": 1000, "after": 0}));
    killed_in(&world, &["rotate", "--wait", "deactivated"], "deactivate", || true);
    world.control(json!({"op": "clear-faults"}));
    assert!(world.accepts(&world.id));
    goes_back(&world, "deactivate, before", &UNDO);
}

/// The old key is Inactive, and accepted still: that it is refused was not seen.
#[test]
fn from_deactivate_after_the_act() {
    let world = World::with(json!({"lingers": 5000, "last_used_granularity": 1000}));
    world.lighten_keys();
    world.add();
    let is_inactive = || world.keys().contains(&(world.id.clone(), "Inactive".to_owned()));
    killed_in(&world, &["rotate", "--wait", "deactivated"], "deactivate", is_inactive);
    goes_back(&world, "deactivate, after", &UNDO);
}

#[test]
fn from_soak() {
    let world = quick_world();
    world.configure(&world.quick_profile("").replace("soak = \"1s\"", "soak = \"1h\""));
    world.expect(0, &["rotate", "--wait", "deactivated"]);
    assert_eq!(world.step().as_deref(), Some("soak"));
    goes_back(&world, "soak", &UNDO);
}

#[test]
fn from_the_soak_of_a_leaked_key_only_by_force() {
    let world = quick_world();
    world.expect(0, &["rotate", "--compromised", "--no-revoke-sessions"]);
    let run = world.expect(3, &UNDO);
    assert!(run.stderr.contains("leaked") && run.stderr.contains("--force"), "{run:?}");
    assert!(!world.accepts(&world.id));
    goes_back(&world, "the soak of a leaked key", &["undo", "--force"]);
}
