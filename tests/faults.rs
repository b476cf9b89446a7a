//! Lost replies, throttling, and checks that are taken away, against the simulator over HTTP.
#![allow(missing_docs, clippy::unwrap_used, clippy::disallowed_methods, reason = "a test")]

mod support;

use serde_json::json;
use support::World;

/// Waits for lost replies take forty seconds each: these tests run side by side.
#[test]
fn a_lost_reply_to_create_leaves_one_key_and_no_orphan() {
    for kind in ["lost", "truncated"] {
        let world = World::added();
        world.fault("CreateAccessKey", kind);
        world.expect(0, &["rotate", "--wait", "deleted"]);
        world.assert_rotated();
        let history = world.expect(0, &["history"]).stdout;
        assert!(history.contains("orphan-found"), "{kind}: {history}");
    }
}

#[test]
fn a_reply_lost_before_anything_was_done_makes_no_orphan() {
    let world = World::added();
    world.fault("CreateAccessKey", "dropped");
    world.expect(0, &["rotate", "--wait", "deleted"]);
    world.assert_rotated();
    let history = world.expect(0, &["history"]).stdout;
    assert!(!history.contains("orphan-found") && history.contains("not-created"), "{history}");
}

#[test]
fn an_admins_key_of_the_same_minute_is_not_deleted() {
    let world = World::added();
    world.fault("CreateAccessKey", "dropped");
    let mut child = world.spawn(&["rotate", "--wait", "deleted"]);
    // The reply is lost at once; the admin comes a little later.
    while !world.expect(0, &["history"]).stdout.contains("create-unknown") {
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    std::thread::sleep(std::time::Duration::from_millis(3000));
    let key = world.control(json!({"op": "create-key", "user": "app"}));
    let key = key["access_key_id"].as_str().unwrap();
    let status = child.wait().unwrap();
    assert_eq!(status.code(), Some(3));
    assert!(world.accepts(key), "the admin's key is as it was: {:?}", world.keys());
    assert_eq!(world.served_id(), world.id);
}

#[test]
fn throttled_and_failing_calls_are_asked_again() {
    let world = World::added();
    for action in ["ListAccessKeys", "GetCallerIdentity", "UpdateAccessKey", "DeleteAccessKey"] {
        world.fault(action, "throttled");
        world.control(json!({"op": "fault", "action": action, "kind": "lost", "after": 2}));
    }
    world.expect(0, &["rotate", "--wait", "deleted"]);
    world.assert_rotated();
}

#[test]
fn nothing_is_deactivated_when_the_new_secret_is_gone_from_the_keystore() {
    let world = World::added();
    let empty = std::fs::read(world.home.path().join("state/keys")).unwrap();
    world.expect(0, &["rotate"]);
    // A keystore restored from before the rotation: it knows only the old key.
    std::fs::write(world.home.path().join("state/keys"), empty).unwrap();
    let run = world.rotakey(&["resume", "--wait", "deleted"]);
    assert_eq!(run.code, 5, "{run:?}");
    assert!(world.keys().iter().all(|(_, status)| status == "Active"), "{:?}", world.keys());
}

#[test]
fn nothing_is_deactivated_when_the_new_key_is_not_accepted() {
    let world = World::added();
    world.expect(0, &["rotate"]);
    let new = world.served_id();
    world.control(json!({"op": "set-key-status", "access_key_id": new, "status": "Inactive"}));
    let run = world.rotakey(&["resume", "--wait", "deleted"]);
    assert_eq!(run.code, 3, "{run:?}");
    assert!(world.accepts(&world.id), "{:?}", world.keys());
}

#[test]
fn nothing_is_deactivated_when_the_list_does_not_agree() {
    let world = World::added();
    world.expect(0, &["rotate"]);
    world.control(json!({"op": "behaviour", "set": {"quota": 3}}));
    world.control(json!({"op": "create-key", "user": "app"}));
    let run = world.expect(3, &["resume", "--wait", "deleted"]);
    assert!(run.stderr.contains("did not make"), "{run:?}");
    assert!(world.accepts(&world.id));
}

#[test]
fn nothing_is_deleted_that_somebody_made_active_again() {
    let world = World::added();
    world.expect(0, &["rotate", "--wait", "deactivated"]);
    world.control(json!({"op": "set-key-status", "access_key_id": world.id, "status": "Active"}));
    world.expect(3, &["resume", "--wait", "deleted"]);
    assert!(world.accepts(&world.id));
    assert_eq!(world.keys().len(), 2);
}

#[test]
fn a_straggler_holds_the_rotation_before_deactivation() {
    let world = World::added();
    world.configure(&world.quick_profile("observe = \"20s\"\n").replace("observe = \"20s\"\n", ""));
    world.expect(0, &["rotate"]);
    std::thread::sleep(std::time::Duration::from_millis(4500));
    assert!(world.accepts(&world.id), "somebody outside uses the old key");
    world.configure(
        &world.quick_profile("").replace("lease = \"1s\"", "lease = \"1s\"\nobserve = \"5s\""),
    );
    let run = world.expect(3, &["resume", "--wait", "deactivated"]);
    assert!(run.stderr.contains("held"), "{run:?}");
    assert!(world.accepts(&world.id));
}

#[test]
fn serving_does_not_wait_for_a_rotation() {
    let world = World::added();
    let mut child = world.spawn(&["rotate", "--wait", "deleted"]);
    let mut served = 0;
    while child.try_wait().unwrap().is_none() {
        let started = std::time::Instant::now();
        let id = world.served_id();
        assert!(world.accepts(&id), "{id}");
        assert!(started.elapsed().as_secs() < 5);
        served += 1;
    }
    assert!(served > 5, "{served}");
    world.assert_rotated();
}

#[test]
fn a_second_rotation_joins_the_first() {
    let world = World::added();
    let mut first = world.spawn(&["rotate", "--wait", "deleted"]);
    std::thread::sleep(std::time::Duration::from_millis(300));
    world.expect(0, &["rotate"]);
    assert!(first.wait().unwrap().success());
    world.assert_rotated();
}

#[test]
fn a_foreign_key_that_comes_between_is_never_touched() {
    let world = World::added();
    // The request is turned away once; by the time it is sent again, the quota is full.
    world.fault("CreateAccessKey", "throttled");
    let mut child = world.spawn(&["rotate"]);
    while !world.expect(0, &["history"]).stdout.contains("not-created") {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    let key = world.control(json!({"op": "create-key", "user": "app"}));
    let key = key["access_key_id"].as_str().unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(3));
    assert!(world.accepts(key) && world.accepts(&world.id));
    assert_eq!(world.step(), None);
}

#[test]
fn undo_leads_away_from_a_new_key_that_somebody_deactivated() {
    let world = World::added();
    world.expect(0, &["rotate"]);
    let new = world.served_id();
    world.control(json!({"op": "set-key-status", "access_key_id": new, "status": "Inactive"}));
    world.expect(3, &["resume", "--wait", "deleted"]);
    world.expect(0, &["undo"]);
    assert_eq!(world.served_id(), world.id);
}

#[test]
fn undo_of_a_key_that_somebody_deleted_changes_nothing() {
    let world = World::added();
    world.expect(0, &["rotate", "--wait", "deactivated"]);
    world.control(json!({"op": "delete-key", "access_key_id": world.id}));
    let run = world.expect(2, &["undo"]);
    assert!(run.stderr.contains("gone"), "{run:?}");
    world.expect(0, &["resume", "--wait", "deleted"]);
    world.assert_rotated();
}

#[test]
fn a_creation_that_is_always_throttled_is_given_up() {
    let world = World::added();
    world.configure(&world.quick_profile("").replace("deadline = \"8s\"", "deadline = \"2s\""));
    world.control(
        json!({"op": "fault", "action": "CreateAccessKey", "kind": "throttled", "times": 1000}),
    );
    let run = world.expect(4, &["rotate"]);
    assert!(run.stderr.contains("Throttling"), "{run:?}");
    assert_eq!(world.step(), None);
    assert_eq!(world.keys(), [(world.id.clone(), "Active".to_owned())]);
}

#[test]
fn a_lost_reply_with_the_quota_full_touches_nothing() {
    let world = World::added();
    // The admin's key is not listed yet when the rotation looks: it runs into the quota, and is not told.
    world.control(json!({"op": "behaviour", "set": {"list_lag": 8000}}));
    std::thread::sleep(std::time::Duration::from_millis(8000));
    let key = world.control(json!({"op": "create-key", "user": "app"}));
    let key = key["access_key_id"].as_str().unwrap();
    std::thread::sleep(std::time::Duration::from_millis(3000));
    world.fault("CreateAccessKey", "lost");
    let run = world.expect(3, &["rotate"]);
    assert!(run.stderr.contains(key), "{run:?}");
    assert_eq!(world.keys().len(), 2);
    assert!(world.accepts(key) && world.accepts(&world.id));
    assert_eq!(world.served_id(), world.id);
}
