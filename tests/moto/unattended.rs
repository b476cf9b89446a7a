//! The real agent, left alone on moto with durations of seconds: it is stopped as a laptop's lid stops it, moto does not
//! answer for a while, and a real boto3 and the AWS CLI are served throughout. Its log stays readable.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::support::{World, venv};
use super::{Moto, aws, keys, world};

const ROTATIONS: usize = 4;

/// A boto3 that lives for as long as the test.
struct Boto3 {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Boto3 {
    fn start(world: &World) -> Self {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/clients/boto3_client.py");
        let mut child = Command::new(venv().join("bin/python"))
            .arg(script)
            .env_clear()
            .env("PATH", std::env::var("PATH").unwrap())
            .env("ROTAKEY_HOME", world.home.path())
            .env("AWS_CONFIG_FILE", world.home.path().join("aws-config"))
            .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("AWS_PROFILE", "app")
            .env("AWS_ENDPOINT_URL", &world.url)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .expect("python starts");
        let (stdin, stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        Self { child, stdin, stdout: BufReader::new(stdout) }
    }

    /// One signed request; the key that signed.
    fn call(&mut self) -> String {
        writeln!(self.stdin, "sts").unwrap();
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        let said: Value = serde_json::from_str(&line).expect("JSON");
        assert_eq!(said["ok"], true, "boto3 was refused: {said}");
        said["access_key_id"].as_str().unwrap().to_owned()
    }
}

impl Drop for Boto3 {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn signal(pid: u32, name: &str) {
    assert!(Command::new("kill").args(["-s", name, &pid.to_string()]).status().unwrap().success());
}

fn finished(world: &World) -> usize {
    let history = world.expect(0, &["history", "--json"]).stdout;
    history.matches("\"kind\":\"finished\"").count()
}

#[test]
fn an_agent_left_alone_rotates_through_sleeps_and_an_outage() {
    let moto = Moto::start(&["--visible-after", "1", "--lingers", "1"]);
    let world = world(&moto);
    // botocore refuses what ends before it has looked at it: a second may be over by then.
    let profile = world.quick_profile("max_age = \"4s\"\n").replace("\"1s\"", "\"3s\"");
    // moto's sessions are worth nothing: only the key itself can be served.
    world.configure(&format!("[agent]\nsources = [\"process\"]\n{profile}"));
    // Writes the AWS CLI's configuration, too.
    assert_eq!(aws(&world, &["sts", "get-caller-identity"]).code, 0);
    let agent = world.agent();
    let mut client = Boto3::start(&world);
    let (mut signers, mut calls, mut slept, mut was_out) = (BTreeSet::new(), 0, 0, false);
    let started = Instant::now();
    let mut done = 0;
    while done < ROTATIONS {
        if started.elapsed() > Duration::from_secs(200) {
            let view = agent.control("GET", "/v1/profiles/app", b"").json()["schedule"].clone();
            panic!("{done} rotations; {view}; {}", agent.stop().1);
        }
        signers.insert(client.call());
        calls += 1;
        if calls % 8 == 0 {
            done = finished(&world);
        }
        if calls % 40 == 0 {
            assert_eq!(aws(&world, &["sts", "get-caller-identity"]).code, 0);
        }
        if slept < done && slept < 3 {
            // The lid is closed: programs that ask are served without it.
            slept = done;
            agent.signal("STOP");
            std::thread::sleep(Duration::from_secs(2));
            client.call();
            agent.signal("CONT");
        }
        if done >= 2 && !was_out {
            was_out = true;
            signal(moto.child.id(), "STOP");
            std::thread::sleep(Duration::from_secs(6));
            assert!(world.served()["SecretAccessKey"].is_string(), "serving goes on");
            signal(moto.child.id(), "CONT");
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    let view = agent.control("GET", "/v1/profiles/app", b"").json();
    let schedule = view["schedule"].as_object().expect("a schedule");
    let names: Vec<_> = schedule.keys().map(String::as_str).collect();
    assert_eq!(names, ["detail", "due", "failures", "next_look", "until", "waits_for"]);
    let (code, log) = agent.stop();
    assert_eq!(code, 0);
    assert!(signers.len() >= ROTATIONS, "{signers:?}");
    assert!(keys(&world).contains(&(world.served_id(), "Active".to_owned())));
    is_readable(&without_colours(&log), done + 1);
}

/// Without what a terminal makes colours of.
fn without_colours(log: &str) -> String {
    let mut parts = log.split('\x1b');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| text + part.split_once('m').map_or(part, |(_, rest)| rest))
}

/// A person who reads it in the evening finds each event, and finds it once.
fn is_readable(log: &str, rotations: usize) {
    let lines: Vec<_> = log.lines().filter(|line| !line.trim().is_empty()).collect();
    assert!(
        lines.len() <= rotations * 20,
        "{} lines for {rotations} rotations: {log}",
        lines.len()
    );
    let mut same: BTreeMap<String, usize> = BTreeMap::new();
    for line in &lines {
        assert!(line.len() < 400, "{line}");
        // Without the time, ids and numbers. A rotation has seven steps.
        let words =
            line.split_whitespace().skip(1).filter(|w| !w.chars().any(|c| c.is_ascii_digit()));
        *same.entry(words.collect::<Vec<_>>().join(" ")).or_default() += 1;
    }
    let (line, most) = same.iter().max_by_key(|(_, count)| **count).expect("lines");
    assert!(*most <= rotations * 7, "{most} times: {line}\n{log}");
    for said in ["kind=Published", "kind=Rotated"] {
        let told = lines.iter().filter(|line| line.contains(said)).count();
        assert!((rotations - 2..=rotations + 1).contains(&told), "{told} {said}: {log}");
    }
}
