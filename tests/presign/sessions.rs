//! STS's answers, virtualised: programs take on roles as ever, and no real credential leaves the proxy.

use serde_json::json;

use super::stage::{at_moto, at_simulator, scenario};
use crate::support::World;

fn use_session(world: &World, session: &str) -> String {
    scenario(world, "use", &[("SESSION", session)]).trim().to_owned()
}

#[test]
fn a_role_profile_works_as_if_there_were_no_proxy() {
    let (_moto, world, _agent) = at_moto("");
    scenario(&world, "role", &[]);
}

#[test]
fn an_assumed_role_is_as_good_as_a_real_one_here_and_nowhere_else() {
    let (_moto, world, _agent) = at_moto("");
    scenario(&world, "assume", &[]);
    let (simulated, _agent) = at_simulator("");
    scenario(&simulated, "assume", &[]);
}

#[test]
fn the_list_says_which_operations_are_virtualised() {
    let (world, _agent) = at_simulator("virtual_sessions = [\"GetSessionToken\"]\n");
    scenario(&world, "user_session", &[]);
    world.configure_agent("", "virtual_sessions = [\"CreateAccessKey\"]\n");
    let run = world.rotakey(&["status"]);
    assert!(run.code == 2 && run.stderr.contains("`GetFederationToken`"), "{run:?}");
}

#[test]
fn a_role_takes_on_another_and_a_rotation_ends_neither() {
    let (world, _agent) = at_simulator("");
    let trust = ["arn:aws:iam::123456789012:role/worker"];
    world.control(json!({"op": "create-role", "role": "other", "trust": trust}));
    scenario(&world, "chain", &[]);
    let session = scenario(&world, "get", &[]);
    world.expect(0, &["rotate", "--wait", "deleted"]);
    assert_eq!(use_session(&world, &session), "ok");
}

#[test]
fn a_session_ends_with_its_placeholder_and_with_a_key_that_leaked() {
    let (world, _agent) = at_simulator("");
    let session = scenario(&world, "get", &[]);
    assert_eq!(use_session(&world, &session), "ok");
    world.expect(0, &["revoke"]);
    assert_eq!(use_session(&world, &session), "ExpiredToken");

    let session = scenario(&world, "get", &[]);
    assert_eq!(use_session(&world, &session), "ok");
    let run = world.rotakey(&["rotate", "--compromised", "--no-revoke-sessions"]);
    assert_eq!(run.code, 0, "{run:?}");
    assert_eq!(use_session(&world, &session), "ExpiredToken");
    let again = scenario(&world, "get", &[]);
    assert_eq!(use_session(&world, &again), "ok");
}
