//! Rotations, revocations, and the agent's own ways, with programs that go through the proxy.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::json;

use super::calls::{exec, proxied};
use crate::support::{World, venv};

fn whoami(world: &World) -> Result<String, String> {
    let aws = venv().join("bin/aws");
    let arguments = ["sts", "get-caller-identity", "--query", "Arn", "--output", "text"];
    let output = exec(world, &[&[aws.to_str().unwrap()][..], &arguments].concat());
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

#[test]
fn env_says_all_that_a_program_needs_and_revoke_ends_it() {
    let (world, agent) = proxied("");
    let env = || -> serde_json::Value {
        let run = world.expect(0, &["env", "--source", "proxy", "--format", "json"]);
        serde_json::from_str(&run.stdout).expect("JSON")
    };
    let first = env();
    let id = first["AWS_ACCESS_KEY_ID"].as_str().expect("an id");
    assert!(id.len() == 20 && !id.starts_with("AKIA") && !id.starts_with("ASIA"), "{id}");
    assert_eq!(first["AWS_SECRET_ACCESS_KEY"].as_str().expect("a secret").len(), 40);
    let url = first["AWS_ENDPOINT_URL"].as_str().expect("a URL");
    assert_eq!(url, format!("http://{}", agent.status()["proxy_listen"].as_str().unwrap()));
    assert!(first["NO_PROXY"].as_str().expect("a list").contains("127.0.0.1"));
    assert_eq!(env(), first, "it stays the same");
    assert!(whoami(&world).expect("it works").ends_with("user/app"));
    // With these variables about, rotakey itself does not go through its proxy.
    let mut command = world.command();
    command.args(["rotate", "--dry-run"]);
    for name in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL"] {
        command.env(name, first[name].as_str().unwrap());
    }
    let run = command.output().expect("it starts");
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));

    world.expect(0, &["revoke"]);
    assert_ne!(env()["AWS_ACCESS_KEY_ID"], first["AWS_ACCESS_KEY_ID"]);
    assert!(whoami(&world).is_ok(), "a new program has a new one");
    let mut command = std::process::Command::new(venv().join("bin/aws"));
    command.env_clear().args(["sts", "get-caller-identity"]);
    for (name, value) in first.as_object().unwrap() {
        command.env(name, value.as_str().unwrap());
    }
    let output = command.output().expect("it starts");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && told.contains("InvalidClientTokenId"), "{told}");
}

#[test]
fn no_real_key_is_ever_seen_by_a_program() {
    let (world, _agent) = proxied("");
    // AWS does not know the key: its answer names it.
    world.control(json!({"op": "set-key-status", "access_key_id": world.id, "status": "Inactive"}));
    let aws = venv().join("bin/aws");
    let output = exec(&world, &[aws.to_str().unwrap(), "s3api", "list-buckets", "--debug"]);
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && told.contains("InvalidAccessKeyId"), "{told}");
    assert!(!told.contains(&world.id) && !told.contains(&world.secret), "the key is seen");
}

#[test]
fn without_an_agent_exec_serves_its_child_itself() {
    let world = World::added();
    world.configure(&world.quick_profile(""));
    assert!(whoami(&world).expect("it works").ends_with("user/app"));
}

#[test]
fn status_names_the_source_and_a_rotation_goes_through_it() {
    let (world, agent) = proxied("");
    assert_eq!(world.status()["sources"]["proxy"], true);
    assert_eq!(agent.status()["profiles"]["app"]["sources"]["proxy"]["required"], true);
    world.expect(0, &["rotate", "--wait", "deleted"]);
    world.assert_rotated();
    assert!(whoami(&world).is_ok());
    // Through the proxy it was seen who that is.
    let log = world.control(json!({"op": "log"}));
    assert!(log["events"].as_array().unwrap().iter().any(|e| e["action"] == "GetCallerIdentity"));
}

/// Ends the programs of `load.py`, also when the test fails: nobody would wait for them in vain.
struct Over(PathBuf);

impl Drop for Over {
    fn drop(&mut self) {
        let _ = std::fs::write(&self.0, "");
    }
}

/// Programs that keep their connections, and know nothing of rotations.
#[test]
fn rotations_under_load_fail_no_request() {
    let (world, agent) = proxied("");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/proxy/load.py");
    let python = venv().join("bin/python");
    let (over, made) = (world.home.path().join("over"), AtomicU64::new(0));
    // A key is known late, and its end at once. The first one, too: it is given its time.
    world.control(json!({"op": "behaviour", "set": {"visible_after_at": {"s3": 1500}}}));
    std::thread::sleep(std::time::Duration::from_millis(1600));
    std::thread::scope(|scope| {
        let _over = Over(over.clone());
        for _ in 0..2 {
            scope.spawn(|| {
                let load = [python.to_str().unwrap(), script, over.to_str().unwrap()];
                let output = exec(&world, &load);
                let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
                assert!(output.status.success(), "{}", text(&output.stderr));
                made.fetch_add(text(&output.stdout).parse().expect("a number"), Ordering::Relaxed);
            });
        }
        for _ in 0..2 {
            world.expect(0, &["rotate", "--wait", "deleted"]);
        }
    });
    assert!(made.load(Ordering::Relaxed) > 50, "{made:?}");
    assert_eq!(world.keys().len(), 1);
    // S3 did not know a new key at first, and what it refused was sent again with the old one.
    let profile = &agent.status()["profiles"]["app"];
    assert!(profile["fell_over"].as_u64() > Some(0), "{profile}");
}

#[test]
fn a_machine_whose_clock_is_wrong_signs_by_the_servers() {
    let (world, _agent) = proxied("");
    world.control(json!({"op": "clock-offset", "milliseconds": 3_600_000}));
    assert!(whoami(&world).is_ok());
    world.control(json!({"op": "clock-offset", "milliseconds": -3_600_000}));
    assert!(whoami(&world).is_ok());
}
