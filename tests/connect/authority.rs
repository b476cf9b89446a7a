//! The certificate authority, as OpenSSL sees it.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use data_encoding::BASE64;
use serde_json::Value;

use super::world::{connected, env, port};
use crate::support::World;

fn openssl(args: &[&str]) -> (bool, String) {
    let output = Command::new("openssl").args(args).stdin(Stdio::null()).output().expect("openssl");
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).into_owned())
}

fn state(world: &World, name: &str) -> PathBuf {
    world.home.path().join("state").join(name)
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).expect("readable")
}

#[test]
fn its_files_are_private_and_a_restart_keeps_it() {
    let (world, agent) = connected("");
    for name in ["ca-key", "ca.pem", "ca-bundle.pem"] {
        let mode = std::fs::metadata(state(&world, name)).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    let (bundle, own) = (read(&state(&world, "ca-bundle.pem")), read(&state(&world, "ca.pem")));
    assert!(bundle.ends_with(&own) && bundle.matches("BEGIN CERTIFICATE").count() > 10);
    let name = agent.status()["proxy_authority"].clone();
    agent.stop();
    let agent = world.agent();
    assert_eq!(
        (agent.status()["proxy_authority"].clone(), read(&state(&world, "ca.pem"))),
        (name, own)
    );
    // One that others may read is no secret any more.
    let key = state(&world, "ca-key");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).expect("ours");
    let run = world.rotakey(&["env", "--source", "connect"]);
    assert!(run.code != 0 && run.stderr.contains("ca-key"), "{run:?}");
    let run = world.rotakey(&["doctor"]);
    assert!(run.stdout.contains("ca-key") && run.stdout.contains("chmod 600"), "{run:?}");
}

#[test]
fn its_key_stands_in_no_log_and_no_answer() {
    let (world, agent) = connected("");
    let kept: Value = serde_json::from_str(&read(&state(&world, "ca-key"))).expect("JSON");
    let key = kept[0]["key"].as_str().expect("a text").to_owned();
    let shown = env(&world, "connect").to_string() + &agent.status().to_string();
    let (_, said) = agent.stop();
    let raw = BASE64.decode(key.as_bytes()).expect("Base64");
    // The number itself, in whatever form.
    let number = hex_of(&raw[36..68]);
    for text in [shown, said, read(&state(&world, "ca-bundle.pem"))] {
        assert!(!text.contains(&key) && !text.to_lowercase().contains(&number));
    }
}

fn hex_of(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn its_certificates_hold_for_aws_and_this_machine_alone() {
    let (world, agent) = connected("");
    let dir = tempfile::tempdir().expect("a folder");
    let file = |name: &str| dir.path().join(name).to_str().expect("text").to_owned();
    let own = state(&world, "ca.pem").to_str().expect("text").to_owned();
    let (_, text) = openssl(&["x509", "-in", &own, "-noout", "-text"]);
    for part in
        ["CA:TRUE, pathlen:0", "Name Constraints: critical", "DNS:amazonaws.com\n", "DNS:api.aws"]
    {
        assert!(text.contains(part), "{part}: {text}");
    }
    // What the agent makes is good, by the strictest rules.
    let at = format!("127.0.0.1:{}", port(&agent));
    for host in [
        "bucket.s3.eu-west-1.amazonaws.com",
        "sqs.cn-north-1.amazonaws.com.cn",
        "lambda.eu-west-1.api.aws",
    ] {
        let target = format!("{host}:443");
        let (_, shown) = openssl(&[
            "s_client",
            "-proxy",
            &at,
            "-connect",
            &target,
            "-servername",
            host,
            "-CAfile",
            &own,
            "-x509_strict",
            "-verify_hostname",
            host,
            "-verify_return_error",
        ]);
        assert!(shown.contains("Verify return code: 0 (ok)"), "{host}: {shown}");
    }
    let (_, shown) = openssl(&[
        "s_client",
        "-connect",
        &at,
        "-CAfile",
        &own,
        "-x509_strict",
        "-verify_ip",
        "127.0.0.1",
        "-verify_return_error",
    ]);
    assert!(shown.contains("Verify return code: 0 (ok)"), "{shown}");

    // Whoever has the key can make others, and nobody believes them.
    let kept: Value = serde_json::from_str(&read(&state(&world, "ca-key"))).expect("JSON");
    let key = BASE64.decode(kept[0]["key"].as_str().expect("a text").as_bytes()).expect("Base64");
    std::fs::write(file("ca.der"), key).expect("writable");
    openssl(&["pkey", "-inform", "DER", "-in", &file("ca.der"), "-out", &file("ca.key")]);
    for (san, is_good) in [
        ("DNS:sts.amazonaws.com", true),
        ("DNS:localhost", true),
        ("IP:127.0.0.1", true),
        ("DNS:example.com", false),
        ("DNS:amazonaws.com.evil.example", false),
        ("DNS:evilamazonaws.com", false),
        ("IP:10.0.0.1", false),
        ("DNS:sts.amazonaws.com,DNS:example.com", false),
    ] {
        std::fs::write(file("ext"), format!("subjectAltName={san}\n")).expect("writable");
        let (made, told) = openssl(&[
            "req",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-subj",
            "/CN=x",
            "-keyout",
            &file("leaf.key"),
            "-out",
            &file("leaf.csr"),
        ]);
        assert!(made, "{told}");
        let (made, told) = openssl(&[
            "x509",
            "-req",
            "-in",
            &file("leaf.csr"),
            "-CA",
            &own,
            "-CAkey",
            &file("ca.key"),
            "-extfile",
            &file("ext"),
            "-days",
            "1",
            "-out",
            &file("leaf.pem"),
        ]);
        assert!(made, "{told}");
        let (holds, told) = openssl(&["verify", "-CAfile", &own, &file("leaf.pem")]);
        assert_eq!(holds, is_good, "{san}: {told}");
        assert!(is_good || told.contains("permitted subtree violation"), "{san}: {told}");
    }
}

/// A new one is taken up when the configuration is read, and said to be missing before.
#[test]
fn a_new_authority_is_made_for_who_removes_the_old_one() {
    let (world, agent) = connected("");
    let before = agent.status()["proxy_authority"].clone();
    std::fs::remove_file(state(&world, "ca-key")).expect("there");
    let run = world.expect(2, &["env", "--source", "connect"]);
    assert!(run.stderr.contains(&format!("kill -HUP {}", agent.pid())), "{run:?}");
    let run = world.rotakey(&["doctor"]);
    assert!(run.stdout.contains("kill -HUP"), "{run:?}");
    agent.signal("HUP");
    for _ in 0..200 {
        if agent.status()["proxy_authority"] != before {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    assert_ne!(agent.status()["proxy_authority"], before);
    env(&world, "connect");
}
