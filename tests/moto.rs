//! A second, independent IAM: moto with authentication on (tests/moto/strict_moto.py), and the AWS CLI as a
//! real client that gets its credential through `credential_process`.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::zombie_processes,
    reason = "a test"
)]

mod support;
#[path = "moto/unattended.rs"]
mod unattended;

use std::process::Command;

use serde_json::Value;
use support::awscli::by_hand;
use support::moto::{Moto, world};
use support::{World, venv};

/// The AWS CLI, configured as the README says.
fn aws(world: &World, args: &[&str]) -> support::Run {
    let line = format!(
        "[profile app]\nregion = us-east-1\ncredential_process = {} credential-process --profile app\n",
        env!("CARGO_BIN_EXE_rotakey")
    );
    world.write("aws-config", &line);
    let output = Command::new(venv().join("bin/aws"))
        .env_clear()
        .env("PATH", std::env::var("PATH").unwrap())
        .env("ROTAKEY_HOME", world.home.path())
        .env("AWS_CONFIG_FILE", world.home.path().join("aws-config"))
        .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .args(["--profile", "app", "--endpoint-url", &world.url])
        .args(args)
        .output()
        .expect("the AWS CLI starts");
    output.into()
}

fn keys(world: &World) -> Vec<(String, String)> {
    let run = world.expect(0, &["keys", "--json"]);
    run.stdout
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .map(|key| {
            let text = |name: &str| key[name].as_str().unwrap().to_owned();
            (text("access_key_id"), text("status"))
        })
        .collect()
}

#[test]
fn the_aws_cli_works_before_during_and_after_a_rotation_on_moto() {
    let moto = Moto::start(&["--visible-after", "2", "--lingers", "1"]);
    let world = world(&moto);
    // A busy machine takes more than a second from the answer to the AWS CLI's use of it.
    world.configure(&world.quick_profile("").replace("\"1s\"", "\"3s\""));
    let whoami = ["sts", "get-caller-identity", "--query", "Arn", "--output", "text"];
    let before = aws(&world, &whoami);
    assert_eq!(before.code, 0, "{before:?}");
    assert!(before.stdout.trim().ends_with("user/app"), "{before:?}");

    let mut child = world.spawn(&["rotate", "--wait", "deleted"]);
    let mut calls = 0;
    while child.try_wait().unwrap().is_none() {
        let during = aws(&world, &whoami);
        assert_eq!(during.code, 0, "{during:?}");
        calls += 1;
    }
    let run = support::Run::from(child.wait_with_output().unwrap());
    assert_eq!(run.code, 0, "{run:?}");
    assert!(calls > 1, "{calls}");

    let after = aws(&world, &whoami);
    assert_eq!(after.stdout, before.stdout, "{after:?}");
    assert_eq!(keys(&world), [(world.served_id(), "Active".to_owned())]);
    assert_ne!(world.served_id(), world.id);
    let history = world.expect(0, &["history"]).stdout;
    for what in ["deactivate", "delete", "finished"] {
        assert!(history.contains(what), "{history}");
    }

    // The old key is refused by a server that knows nothing of us.
    let old = Command::new(venv().join("bin/aws"))
        .env_clear()
        .env("PATH", std::env::var("PATH").unwrap())
        .env("AWS_ACCESS_KEY_ID", &world.id)
        .env("AWS_SECRET_ACCESS_KEY", &world.secret)
        .env("AWS_DEFAULT_REGION", "us-east-1")
        .env("AWS_CONFIG_FILE", "/dev/null")
        .args(["--endpoint-url", &world.url, "sts", "get-caller-identity"])
        .output()
        .unwrap();
    assert!(!old.status.success());
    assert!(String::from_utf8_lossy(&old.stderr).contains("InvalidClientTokenId"), "{old:?}");
}

#[test]
fn undo_works_on_moto() {
    let moto = Moto::start(&[]);
    let world = world(&moto);
    world.configure(&world.quick_profile("").replace("soak = \"1s\"", "soak = \"60s\""));
    world.expect(0, &["rotate", "--wait", "deactivated"]);
    assert_ne!(world.served_id(), world.id);
    world.expect(0, &["undo"]);
    assert_eq!(world.served_id(), world.id);
    assert_eq!(aws(&world, &["sts", "get-caller-identity"]).code, 0);
}

/// Programs go through the agent's proxy, whose signatures somebody else's server checks.
#[test]
fn programs_without_a_key_work_before_during_and_after_a_rotation_on_moto() {
    let moto = Moto::start(&["--visible-after", "2", "--lingers", "1"]);
    let world = world(&moto);
    world.configure_agent("[agent]\nsources = [\"proxy\"]\nproxy_listen = \"127.0.0.1:0\"\n", "");
    let _agent = world.agent();
    let aws = venv().join("bin/aws");
    let program = |arguments: &[&str]| {
        let mut command = world.command();
        command.args(["exec", "app", "--source", "proxy", "--"]).arg(&aws).args(arguments);
        command.env("AWS_MAX_ATTEMPTS", "1").output().expect("it starts")
    };
    let arguments: [&[&str]; 2] =
        [&["sts", "get-caller-identity"], &["iam", "list-access-keys", "--user-name", "app"]];
    let mut child = world.spawn(&["rotate", "--wait", "deleted"]);
    let mut calls = 0;
    while child.try_wait().unwrap().is_none() || calls < 4 {
        let during = program(arguments[calls % 2]);
        assert!(during.status.success(), "{during:?}");
        let told = String::from_utf8_lossy(&during.stdout).into_owned();
        assert!(told.contains("user/app") || told.contains("AccessKeyMetadata"), "{told}");
        calls += 1;
    }
    let run = support::Run::from(child.wait_with_output().unwrap());
    assert_eq!(run.code, 0, "{run:?}");
    assert_ne!(world.served_id(), world.id);
}

/// Makes users, every tenth with a key.
const MANY_USERS: &str = "
import boto3, sys
iam = boto3.client('iam', endpoint_url=sys.argv[1], region_name='us-east-1')
for n in range(130):
    iam.create_user(UserName=f'user{n:03}')
    if n % 10 == 0:
        iam.create_access_key(UserName=f'user{n:03}')
";

#[test]
fn keys_lists_all_users_of_moto() {
    let moto = Moto::start(&[]);
    let world = world(&moto);
    let output = Command::new(venv().join("bin/python"))
        .args(["-c", MANY_USERS, &world.url])
        .env_clear()
        .env("AWS_ACCESS_KEY_ID", &world.id)
        .env("AWS_SECRET_ACCESS_KEY", &world.secret)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let run = world.expect(0, &["keys", "--all-users", "--json"]);
    let mut lines: Vec<Value> =
        run.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let summary = lines.pop().unwrap();
    let made = |line: &&Value| line["user"].as_str().unwrap().starts_with("user");
    let made: Vec<&Value> = lines.iter().filter(made).collect();
    assert_eq!(made.len(), 130, "{summary}");
    assert_eq!(made.iter().filter(|line| line["type"] == "key").count(), 13);
    assert!(made.iter().all(|line| line["profile"].is_null()));
    let own = lines.iter().find(|line| line["access_key_id"] == world.id.as_str()).unwrap();
    assert_eq!((&own["profile"], &own["stage"]), (&"app".into(), &"current".into()));
    assert_eq!(
        (&summary["root_has_keys"], &summary["users_not_read"]),
        (&false.into(), &Value::Array(Vec::new()))
    );
}

/// A server that knows nothing of us refuses the old key within seconds.
#[test]
fn a_leaked_key_is_refused_within_seconds_on_moto() {
    let moto = Moto::start(&["--visible-after", "1", "--lingers", "1"]);
    let world = world(&moto);
    let hourly = world.quick_profile("").replace("\"1s\"", "\"1h\"");
    world.configure(&hourly);
    assert_eq!(aws(&world, &["sts", "get-caller-identity"]).code, 0);
    let started = std::time::Instant::now();
    let run = world.expect(0, &["rotate", "--compromised", "--no-revoke-sessions"]);
    let took = started.elapsed();
    assert!(took < std::time::Duration::from_secs(20), "{took:?}: {run:?}");
    let old = by_hand(&world, &world.id, &world.secret, None, &["sts", "get-caller-identity"]);
    assert!(old.stderr.contains("InvalidClientTokenId"), "{old:?}");
    assert_eq!(aws(&world, &["sts", "get-caller-identity"]).code, 0, "by its next fetch");
    let keys = keys(&world);
    assert!(keys.contains(&(world.id.clone(), "Inactive".to_owned())), "{keys:?}");
}
