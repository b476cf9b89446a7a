//! What real clients ask for, of AWS's own hosts and over TLS.

use std::process::Command;

use serde_json::Value;

use super::world::{CONNECT, PROXY, connected, env, exec, scenario};
use crate::support::moto::Moto;
use crate::support::{World, venv};

#[test]
fn boto3_the_command_line_and_curl_reach_hosts_of_aws() {
    let (world, _agent) = connected("");
    scenario(&world, "connect", "buckets");
    scenario(&world, "connect", "command_line");
    scenario(&world, "connect", "curl");
}

#[test]
fn directory_buckets_are_reached_without_sessions_of_their_own() {
    let (world, _agent) = connected("");
    scenario(&world, "connect", "directory_buckets");
}

#[test]
fn what_is_signed_by_others_or_by_nobody_goes_on_as_it_is() {
    let (world, _agent) = connected("");
    scenario(&world, "connect", "others");
}

#[test]
fn a_host_inside_is_the_one_that_was_connected_to() {
    let (world, _agent) = connected("");
    scenario(&world, "connect", "strangers");
}

#[test]
fn the_proxy_itself_speaks_tls() {
    let (world, _agent) = connected("");
    scenario(&world, "proxy", "own_tls");
}

#[test]
fn with_both_ways_each_program_finds_its_own() {
    let (world, _agent) = connected("");
    scenario(&world, "proxy", "both");
}

#[test]
fn without_an_agent_exec_serves_its_child_itself() {
    let world = World::added();
    world.configure(&world.quick_profile(CONNECT));
    scenario(&world, "connect", "command_line");
}

#[test]
fn the_variables_are_those_of_the_way() {
    let (world, agent) = connected("");
    let (proxy, connect) = (env(&world, "proxy"), env(&world, "connect"));
    let url = format!("http://{}", agent.status()["proxy_listen"].as_str().unwrap());
    assert_eq!(proxy["AWS_ENDPOINT_URL"], url.as_str());
    assert_eq!(connect["AWS_ENDPOINT_URL"], Value::Null);
    let bundle = world.home.path().join("state/ca-bundle.pem");
    let own = world.home.path().join("state/ca.pem");
    for variables in [&proxy, &connect] {
        for name in ["HTTPS_PROXY", "https_proxy"] {
            assert_eq!(variables[name], url.as_str());
        }
        for name in ["AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "CURL_CA_BUNDLE"] {
            assert_eq!(variables[name], bundle.to_str().unwrap());
        }
        assert_eq!(variables["NODE_EXTRA_CA_CERTS"], own.to_str().unwrap());
    }
    // A program that gets its key is not led through the proxy by what is left in its environment.
    let mut command = world.command();
    for (name, value) in connect.as_object().unwrap() {
        command.env(name, value.as_str().unwrap());
    }
    let output = command.args(["exec", "app", "--", "env"]).output().expect("it starts");
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && told.contains("AWS_PROFILE=app"), "{output:?}");
    assert!(!told.contains("HTTPS_PROXY") && !told.contains("ca-bundle"), "{told}");
}

#[test]
fn a_profile_without_proxy_connect_may_not() {
    let world = World::added();
    let other = format!("[profile.other]\nsource_profile = \"app\"\n{CONNECT}");
    world.configure_agent(PROXY, &other);
    let _agent = world.agent();
    let run = world.expect(2, &["env", "--source", "connect"]);
    assert!(run.stderr.contains("proxy_connect = true"), "{run:?}");
    assert_eq!(env(&world, "proxy")["HTTPS_PROXY"], Value::Null);
    // Somebody else's way, with this profile's placeholder.
    let mut connect: Value = {
        let mut command = world.command();
        command.args(["env", "other", "--source", "connect", "--format", "json"]);
        serde_json::from_slice(&command.output().expect("it starts").stdout).expect("JSON")
    };
    for name in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"] {
        connect[name] = env(&world, "proxy")[name].clone();
    }
    let mut command = Command::new(venv().join("bin/aws"));
    command.env_clear().args(["sts", "get-caller-identity"]);
    for (name, value) in connect.as_object().unwrap() {
        command.env(name, value.as_str().unwrap());
    }
    let output = command.output().expect("it starts");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && told.contains("proxy_connect"), "{told}");
}

#[test]
fn queues_are_reached_by_their_own_urls() {
    let moto = Moto::start(&[]);
    let mut world = World::new();
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    moto.text("endpoint_url").clone_into(&mut world.url);
    let admin = &moto.ready["admin"];
    (world.id, world.secret) = (text(&admin["access_key_id"]), text(&admin["secret_access_key"]));
    world.add();
    let profile = world.quick_profile(CONNECT).replace("\"app\"", "\"admin\"");
    world.configure(&format!("{PROXY}{profile}"));
    let _agent = world.agent();
    scenario(&world, "connect", "queues");
    let output = exec(&world, "connect", &["sh", "-c", "exec \"$AWS\" sqs list-queues"]);
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && told.contains("/123456789012/work"), "{output:?}");
}
