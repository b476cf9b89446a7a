//! What goes through the proxy is counted, shown and audited, and never with a key.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::calls::proxied;
use crate::support::{World, venv};

/// A program that stays, so that it can be seen.
const STAYS: &str = "
import boto3, sys
s3 = boto3.client('s3')
for _ in range(3): s3.list_buckets()
try: s3.head_bucket(Bucket='nobodys')
except s3.exceptions.ClientError: pass
print('done', flush=True)
sys.stdin.read()
";

fn audited(world: &World, act: &str) -> Vec<Value> {
    let trail = std::fs::read_to_string(world.home.path().join("state/audit.jsonl")).unwrap();
    let lines = trail.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.filter(|line| line["act"] == act).collect()
}

/// Waits until something is there.
fn found<T>(what: &str, find: impl Fn() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        if let Some(found) = find() {
            return found;
        }
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn a_program_of_the_proxy_is_counted_shown_and_audited() {
    let (world, agent) = proxied("");
    let run = world.expect(0, &["env", "--source", "proxy", "--format", "json"]);
    let env: Value = serde_json::from_str(&run.stdout).expect("JSON");
    let mut command = world.command();
    for (name, value) in env.as_object().unwrap() {
        command.env(name, value.as_str().unwrap());
    }
    let placeholder = env["AWS_ACCESS_KEY_ID"].as_str().unwrap();
    let mut command_line = std::process::Command::new(venv().join("bin/python"));
    command_line.args(["-c", STAYS]).env_clear();
    command_line.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    // The profile is rotakey's; AWS's files do not know it.
    command_line.env_remove("AWS_PROFILE");
    let mut child =
        command_line.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it starts");
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    assert_eq!(line, "done\n");

    let holder = found("it is shown", || {
        let status = world.status();
        let holders = status["leases"]["holders"].as_array().unwrap().clone();
        holders.into_iter().find(|holder| holder["source"] == "proxy")
    });
    assert_eq!(holder["access_key_id"], placeholder, "{holder}");
    assert_eq!(holder["pid"], child.id(), "{holder}");
    let text = world.expect(0, &["status"]).stdout;
    let shown = text.lines().find(|line| line.contains(placeholder)).expect("a line");
    assert!(shown.contains(&format!("pid {} (python", child.id())), "{text}");
    let line = found("it is in the audit trail", || audited(&world, "proxy-use").pop());
    assert_eq!((&line["access_key_id"], &line["profile"]), (&placeholder.into(), &"app".into()));
    assert_eq!(line["by"]["pid"], child.id(), "{line}");
    drop(child.stdin.take());
    child.wait().unwrap();

    // Refused a hundred times: one line, for now.
    let at = agent.status()["proxy_listen"].as_str().unwrap().to_owned();
    for _ in 0..100 {
        let mut stream = TcpStream::connect(&at).unwrap();
        let request = format!(
            "GET /?X-Amz-Signature={0} HTTP/1.1\r\nHost: {at}\r\nOrigin: http://{0}.test\r\nConnection: close\r\n\r\n",
            "attacker"
        );
        stream.write_all(request.as_bytes()).unwrap();
        stream.read_to_end(&mut Vec::new()).unwrap();
    }
    let lines = found("it is in the audit trail", || {
        Some(audited(&world, "refused")).filter(|lines| !lines.is_empty())
    });
    assert_eq!(lines.len(), 1, "{lines:?}");
    let detail = lines[0]["detail"].as_str().unwrap();
    assert!(detail.starts_with("proxy, Browser") && !detail.contains("attacker"), "{detail}");
    assert_eq!(audited(&world, "proxy-use").len(), 1, "once a day");

    let metrics = String::from_utf8(agent.control("GET", "/metrics", b"").body).unwrap();
    for line in [
        "rotakey_proxy_answers_total{profile=\"app\",class=\"2xx\"} 3.0",
        "rotakey_proxy_answers_total{profile=\"app\",class=\"4xx\"} 1.0",
        "rotakey_proxy_fail_overs_total{profile=\"app\"} 0.0",
        "rotakey_proxy_refusals_total{reason=\"browser\"} 100.0",
        "rotakey_proxy_refusals_total{reason=\"placeholder\"} 0.0",
    ] {
        assert!(metrics.lines().any(|one| one == line), "{line}:\n{metrics}");
    }
    assert!(!metrics.contains(&world.secret));
    world.expect(0, &["history", "--verify"]);
}
