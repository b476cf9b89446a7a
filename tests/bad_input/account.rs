//! What IAM says, and whether it can be asked.

use serde_json::json;

use super::scene::{Scene, add_refused, assert_told, dead_url, hint, refused};
use super::support::World;

const SIMULATE: &str = "iam:SimulatePrincipalPolicy";
#[test]
fn two_keys_of_which_none_is_ours() {
    let world = World::added();
    world.control(json!({"op": "delete-key", "access_key_id": world.id}));
    for _ in 0..2 {
        world.control(json!({"op": "create-key", "user": "app"}));
    }
    let before = Scene::of(&world);
    assert_eq!(before.keys.len(), 2);
    let run = world.rotakey(&["rotate"]);
    assert!([3, 4].contains(&run.code), "{run:?}");
    assert_told(&run, run.code, &[]);
    let names = [world.id.as_str(), "InvalidClientTokenId"];
    assert!(names.iter().any(|name| run.stderr.contains(name)), "{run:?}");
    before.assert_unchanged(&world, &run);
}

#[test]
fn the_only_key_is_deleted_or_inactive() {
    let world = World::added();
    world.control(json!({"op": "set-key-status", "access_key_id": world.id, "status": "Inactive"}));
    refused(&world, &["rotate"], 4, &["InvalidClientTokenId"]);
    world.control(json!({"op": "delete-key", "access_key_id": world.id}));
    refused(&world, &["rotate"], 4, &["InvalidClientTokenId"]);
}

/// One action is denied: found out before anything is done, named, nothing changed.
fn denied(action: &str, simulate: bool) {
    let world = World::added();
    let mut actions = vec![action];
    actions.extend((!simulate).then_some(SIMULATE));
    world.control(json!({"op": "deny", "user": "app", "actions": actions}));
    let before = Scene::of(&world);
    let run = world.rotakey(&["rotate"]);
    assert_told(&run, 4, &[action]);
    assert_eq!(world.keys(), before.keys, "{run:?}");
    assert_eq!(world.step(), None, "nothing is left open");
    // Whether a key may be made, only making one tells: that attempt, and its end, are written down.
    if simulate || action != "iam:CreateAccessKey" {
        before.assert_unchanged(&world, &run);
    }
    assert_eq!(world.served_id(), world.id);
    // Allowed again, it works.
    world.control(json!({"op": "deny", "user": "app", "actions": []}));
    world.expect(0, &["rotate", "--wait", "deleted"]);
    world.assert_rotated();
}

macro_rules! denied {
    ($($name:ident: $action:literal, $simulate:literal;)*) => {
        $(#[test]
        fn $name() {
            denied($action, $simulate);
        })*
    };
}

denied! {
    denied_create: "iam:CreateAccessKey", true;
    denied_create_unsimulated: "iam:CreateAccessKey", false;
    denied_list: "iam:ListAccessKeys", true;
    denied_list_unsimulated: "iam:ListAccessKeys", false;
    denied_update: "iam:UpdateAccessKey", true;
    denied_update_unsimulated: "iam:UpdateAccessKey", false;
    denied_delete: "iam:DeleteAccessKey", true;
    denied_delete_unsimulated: "iam:DeleteAccessKey", false;
    denied_last_used: "iam:GetAccessKeyLastUsed", true;
    denied_last_used_unsimulated: "iam:GetAccessKeyLastUsed", false;
}

#[test]
fn denied_tags_do_not_stop_it() {
    for actions in [
        &["iam:ListUserTags"][..],
        &["iam:TagUser"],
        &["iam:UntagUser"],
        &["iam:ListUserTags", "iam:TagUser", "iam:UntagUser", SIMULATE],
    ] {
        let world = World::added();
        world.control(json!({"op": "deny", "user": "app", "actions": actions}));
        let run = world.rotakey(&["rotate", "--wait", "deleted"]);
        assert_eq!(run.code, 0, "{actions:?}: {run:?}");
        world.assert_rotated();
    }
}

fn quarantined(simulate: bool) {
    let world = World::added();
    world.control(json!({"op": "quarantine", "user": "app"}));
    if !simulate {
        world.control(json!({"op": "deny", "user": "app", "actions": [SIMULATE]}));
    }
    let run = refused(&world, &["rotate"], 4, &["quarantined"]);
    assert!(run.stderr.contains("uarantine"), "{run:?}");
    assert!(hint(&run).contains("admin"), "{run:?}");
    assert_eq!(world.step(), None);
}

#[test]
fn a_quarantined_user() {
    quarantined(true);
}

#[test]
fn a_quarantined_user_unsimulated() {
    quarantined(false);
}

#[test]
fn a_clock_that_is_off() {
    let world = World::added();
    for minutes in [20, -20] {
        world.control(json!({"op": "clock-offset", "milliseconds": minutes * 60 * 1000}));
        let run = refused(&world, &["rotate"], 4, &["GetCallerIdentity"]);
        assert!(hint(&run).contains("clock"), "{run:?}");
    }
    let new = World::new();
    new.control(json!({"op": "clock-offset", "milliseconds": 20 * 60 * 1000}));
    let run = add_refused(&new, &new.id, &new.secret, &["--endpoint-url", &new.url], 4, &[]);
    assert!(hint(&run).contains("clock"), "{run:?}");
}

#[test]
fn an_endpoint_that_nobody_listens_at() {
    let world = World::added();
    let dead = dead_url();
    world.configure(&world.quick_profile("").replace(&world.url, &dead));
    let run = refused(&world, &["rotate"], 1, &["GetCallerIdentity"]);
    assert!(hint(&run).contains("endpoint_url"), "{run:?}");
    // Programs are served all the same.
    assert_eq!(world.served_id(), world.id);
    let new = World::new();
    add_refused(&new, &new.id, &new.secret, &["--endpoint-url", &dead], 1, &["GetCallerIdentity"]);
}
