//! The policies in docs/iam-policies.md, put on users of the simulator, which evaluates them: each is enough, and of the
//! minimal one nothing can be left out.

use serde_json::{Value, json};

use super::markdown::Document;
use super::support::World;

const SEED: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";

/// The statement with this Sid, wherever it stands in the document.
fn statement(sid: &str) -> Value {
    let document = Document::named("docs/iam-policies.md");
    let blocks = document.blocks.iter().filter(|block| block.language == "json");
    let mut found = Vec::new();
    for block in blocks {
        let value: Value = serde_json::from_str(&block.text).unwrap();
        match value["Statement"].as_array() {
            Some(list) => found.extend(list.clone()),
            None => found.push(value),
        }
    }
    found.into_iter().find(|statement| statement["Sid"] == sid).unwrap_or_else(|| panic!("{sid}"))
}

fn policy(statements: &[Value]) -> Value {
    json!({"Version": "2012-10-17", "Statement": statements})
}

/// A world whose user `app` may do that, and nothing else in IAM.
fn allowed(statements: &[Value]) -> World {
    let world = World::added();
    allow(&world, statements);
    world
}

fn allow(world: &World, statements: &[Value]) {
    world.control(json!({"op": "policy", "user": "app", "document": policy(statements)}));
}

#[test]
fn the_minimal_policy_is_enough_and_minimal() {
    let (minimal, optional) = (statement("RotateOwnAccessKey"), statement("RotakeyOptional"));
    let world = allowed(std::slice::from_ref(&minimal));
    let actions = minimal["Action"].as_array().unwrap().clone();
    for (n, left_out) in actions.iter().enumerate() {
        let mut less = minimal.clone();
        less["Action"].as_array_mut().unwrap().remove(n);
        allow(&world, &[less, optional.clone()]);
        let run = world.expect(4, &["rotate", "--dry-run"]);
        let said = format!("{}{}", run.stdout, run.stderr);
        assert!(said.contains(left_out.as_str().unwrap()), "without {left_out}: {run:?}");
    }
    allow(&world, &[minimal]);
    world.expect(0, &["rotate", "--wait", "deleted"]);
    world.assert_rotated();
}

/// It is about the own user alone.
#[test]
fn the_minimal_policy_does_not_reach_other_users() {
    let world = allowed(&[statement("RotateOwnAccessKey")]);
    world.control(json!({"op": "create-user", "user": "alice"}));
    world.control(json!({"op": "create-key", "user": "alice"}));
    world.expect(4, &["rotate", "--user", "alice", "--as", "app"]);
    let keys = world.control(json!({"op": "keys", "user": "alice"}));
    assert_eq!(keys["keys"].as_array().unwrap().len(), 1, "{keys}");
}

#[test]
fn what_helps_takes_the_warnings_away() {
    let minimal = statement("RotateOwnAccessKey");
    let world = allowed(std::slice::from_ref(&minimal));
    let without = world.expect(0, &["rotate", "--dry-run"]).stdout;
    allow(&world, &[minimal, statement("RotakeyOptional")]);
    let with = world.expect(0, &["rotate", "--dry-run"]).stdout;
    assert!(without.contains("warning") && !with.contains("warning"), "{without}\n---\n{with}");
}

#[test]
fn with_mfa_required_of_everything_a_rotation_goes_through() {
    let deny = statement("DenyAllWithoutMfa");
    for more in [vec![], vec![statement("RotakeyOptional")]] {
        let mut statements = vec![statement("RotateOwnAccessKey"), deny.clone()];
        statements.extend(more);
        let world = allowed(&statements);
        let run = world.expect(4, &["rotate"]);
        assert!(run.stderr.contains("denied"), "without a device: {run:?}");
        let device = world.control(json!({"op": "mfa-device", "user": "app", "seed": SEED}));
        let serial = device["serial"].as_str().unwrap();
        world.configure(&world.quick_profile(&format!("mfa_serial = \"{serial}\"\n")));
        let run = world.rotakey_with_stdin(&["mfa", "--totp-seed-stdin"], &format!("{SEED}\n"));
        assert_eq!(run.code, 0, "{run:?}");
        world.expect(0, &["rotate", "--wait", "published"]);
        assert_ne!(world.served_id(), world.id);
    }
}

#[test]
fn an_administrator_reaches_those_users_and_no_others() {
    let world = allowed(&[statement("RotateOwnAccessKey"), statement("RotateOthersAccessKeys")]);
    for (user, path) in [("alice", "/bots/"), ("bob", "/")] {
        world.control(json!({"op": "create-user", "user": user, "path": path}));
        world.control(json!({"op": "create-key", "user": user}));
    }
    world.expect(4, &["rotate", "--user", "bob", "--as", "app"]);
    // Nobody has used the new key yet, so it is held.
    let run = world.expect(3, &["rotate", "--user", "alice", "--as", "app", "--output", "env"]);
    assert!(run.stdout.contains("AWS_SECRET_ACCESS_KEY"), "{}", run.stderr);
    world.expect(0, &["rotate", "--user", "alice", "--as", "app", "--yes"]);
}
