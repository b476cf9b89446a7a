//! Real clients take the embedded simulator for AWS: boto3 and the AWS CLI, at STS, S3 and DynamoDB.
#![allow(missing_docs, clippy::unwrap_used, clippy::disallowed_methods, reason = "a test")]

mod support;

use std::path::Path;
use std::process::Command;

use serde_json::json;
use support::World;

/// Runs a scenario of `clients.py`, which has the expectations.
fn run(scenario: &str) -> World {
    let world = World::new();
    let trust = ["arn:aws:iam::123456789012:user/app"];
    world.control(json!({"op": "create-role", "role": "r", "trust": trust}));
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/simulator/clients.py");
    let venv = support::venv();
    let output = Command::new(venv.join("bin/python"))
        .arg(script)
        .arg(scenario)
        .env_clear()
        .env("PATH", std::env::var("PATH").unwrap())
        .env("HOME", world.home.path())
        .env("AWS_CONFIG_FILE", "/dev/null")
        .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("ENDPOINT", &world.url)
        .env("KEY_ID", &world.id)
        .env("SECRET", &world.secret)
        .env("AWS", venv.join("bin/aws"))
        .output()
        .expect("python runs");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{scenario}: {told}");
    world
}

#[test]
fn objects_are_put_got_listed_and_deleted() {
    run("s3");
}

#[test]
fn large_objects_go_in_parts() {
    run("multipart");
}

#[test]
fn urls_are_signed() {
    run("presigned");
}

#[test]
fn bodies_are_taken_as_they_were_signed() {
    run("bodies");
}

#[test]
fn a_slow_body_outlives_its_key() {
    run("slow");
}

#[test]
fn faults_and_denials_are_in_the_services_words() {
    run("faults");
}

#[test]
fn items_are_put_and_got() {
    run("dynamodb");
}

#[test]
fn each_service_refuses_in_its_own_words() {
    run("refusals");
}

#[test]
fn the_command_line_works() {
    run("command_line");
}

#[test]
fn the_log_names_the_key_at_the_root_of_each_request() {
    let world = run("many");
    let log = world.control(json!({"op": "log"}));
    let events = log["events"].as_array().unwrap();
    let puts = events.iter().filter(|event| {
        event["action"] == "PutObject"
            && event["outcome"] == "Done"
            && event["minted_from"] == world.id.as_str()
            && event["vantage"] == "s3/eu-west-1"
    });
    assert_eq!(puts.count(), 300);
}
