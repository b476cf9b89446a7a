//! The agent says nothing of what it serves: through a rotation, while programs fetch from it, and when it crashes.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::support::World;
use super::support::agent::{ANYWHERE, Agent, Answer};
use super::{Seen, tail};

/// What the agent handed out, and what it may not say.
#[derive(Default)]
struct Handed(std::collections::BTreeSet<String>);

impl Handed {
    fn fetch(&mut self, agent: &Agent) {
        for profile in ["app", "other"] {
            self.keep(&agent.container(profile));
        }
        self.keep(&agent.imds("app"));
    }

    fn keep(&mut self, answer: &Answer) {
        assert_eq!(answer.status, 200, "{answer:?}");
        let body = answer.json();
        for name in ["SecretAccessKey", "Token"] {
            self.0.insert(body[name].as_str().unwrap().to_owned());
        }
    }
}

fn start(world: &World, form: &str) -> Agent {
    // A core dump would be written there, if it may be written at all.
    let plain = world.command();
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -c unlimited 2>/dev/null; exec \"$0\" \"$@\""]);
    command.arg(plain.get_program()).env_clear().current_dir(world.home.path());
    for (name, value) in plain.get_envs() {
        command.env(name, value.unwrap());
    }
    command.env("ROTAKEY_LOG_FORMAT", form).env("LOG_SENSITIVE_BODIES", "true");
    Agent::start_at(world, command, "-vvv")
}

/// Fails if the process could leave its memory behind.
fn assert_leaves_no_core(world: &World, agent: Agent, signal: &str, seen: &mut Seen) {
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", agent.pid())).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().nth(4), Some("0"), "{core}");
    let (ended, said) = agent.crash(signal);
    assert!(ended.signal().is_some() && !ended.core_dumped(), "{ended:?}");
    for entry in std::fs::read_dir(world.home.path()).unwrap().flatten() {
        let name = entry.file_name().into_string().unwrap();
        assert!(!name.starts_with("core"), "{name}");
    }
    seen.note(format!("stderr of the agent, {signal}"), said.into_bytes());
    seen.files(world);
}

#[test]
fn an_agent_that_serves_rotates_and_crashes_says_no_secret() {
    let world = World::added();
    let mut seen = Seen::default();
    let mut handed = Handed::default();
    // Each event is written down, as the command is given it.
    let events = world.home.path().join("events");
    world.configure_agent(
        &format!("{ANYWHERE}on_event = \"cat >> {}\"\n", events.display()),
        "imds = true\n[profile.other]\nserve = \"session\"\nsource_profile = \"app\"\n",
    );
    let token = |profile: &str| {
        let path = world.home.path().join("state").join(profile).join("token");
        std::fs::read_to_string(path).unwrap()
    };
    let agent = start(&world, "json");
    let mut tokens = vec![token("app"), token("other")];
    let mut watch = |seen: &mut Seen, agent: &Agent| {
        handed.fetch(agent);
        seen.process(agent.pid());
        let process = seen.run(&world, 0, &["credential-process", "--profile", "other"], "");
        let session: Value = serde_json::from_str(&process.stdout).unwrap();
        handed.0.insert(session["SecretAccessKey"].as_str().unwrap().to_owned());
        handed.0.insert(session["SessionToken"].as_str().unwrap().to_owned());
        seen.note("metrics", agent.control("GET", "/metrics", b"").body);
        seen.note("what the agent says of itself", agent.control("GET", "/v1/status", b"").body);
    };
    watch(&mut seen, &agent);
    // A whole rotation, with everything that a person may ask for in between.
    seen.run(&world, 0, &["rotate", "app", "--wait", "published"], "");
    watch(&mut seen, &agent);
    for args in [
        &["status"][..],
        &["status", "--json"],
        &["history", "app", "--json"],
        &["keys"],
        &["env", "app", "--format", "json"],
        &["env", "app", "--source", "container", "--format", "json"],
        &["exec", "app", "--", "true"],
        &["exec", "app", "--source", "container", "--", "true"],
        &["mfa", "app", "--help"],
    ] {
        seen.run(&world, 0, args, "");
    }
    // The agent goes on with it by itself.
    let deadline = Instant::now() + Duration::from_secs(60);
    while world.step().is_some() {
        assert!(Instant::now() < deadline, "the rotation does not end: {:?}", world.step());
        seen.files(&world);
    }
    let told = || std::fs::read_to_string(&events).unwrap_or_default();
    while !(told().contains("published") && told().contains("rotated")) {
        assert!(Instant::now() < deadline, "nobody was told: {}", told());
        std::thread::sleep(Duration::from_millis(50));
    }
    watch(&mut seen, &agent);
    // Mistakes: a wrong token, and a code that nobody asked for.
    let refused = agent.http("GET", "/credentials/app", "Authorization: 0123456789abcdef\r\n");
    seen.note("a refusal", refused.body);
    seen.note("a refusal", agent.control("POST", "/v1/profiles/app/mfa", b"271828").body);
    assert_leaves_no_core(&world, agent, "ABRT", &mut seen);

    let agent = start(&world, "journald");
    watch(&mut seen, &agent);
    seen.run(&world, 0, &["revoke", "app"], "");
    tokens.push(token("app"));
    watch(&mut seen, &agent);
    assert_leaves_no_core(&world, agent, "KILL", &mut seen);

    let agent = start(&world, "text");
    watch(&mut seen, &agent);
    let (code, said) = agent.stop();
    assert_eq!(code, 0, "{}", tail(&said));
    assert!(said.contains("TRACE") && said.contains("handed out"), "it logs at trace");
    seen.note("stderr of the agent", said.into_bytes());
    seen.files(&world);
    world.assert_rotated();

    seen.run(&world, 0, &["history", "--verify"], "");
    seen.run(&world, 0, &["history", "app", "--receipts", "--json"], "");
    assert!(
        seen.places.contains_key("metrics") && seen.places.contains_key("file state/audit.jsonl")
    );
    let history = seen.run(&world, 0, &["history", "app", "--json"], "").stdout;
    let mut secrets = seen.secrets(&world, &history);
    assert!(secrets.len() >= 2, "{} keys were made", secrets.len());
    assert!(handed.0.len() >= 6, "{} secrets were handed out", handed.0.len());
    secrets.extend(handed.0);
    seen.assert_clean(&secrets);
    // A token is where programs look for it, and in what is asked for to start one: nowhere else.
    let env = "stdout of [\"env\", \"app\", \"--source\", \"container\", \"--format\", \"json\"]";
    assert_eq!(
        seen.places_of(&tokens[0], "").iter().filter(|found| found.starts_with(env)).count(),
        1
    );
    for token in &tokens {
        let found = seen.places_of(token, env);
        // A new one is written beside the old one first, as private, and takes its place.
        let on_purpose = [
            "file state/app/token ",
            "file state/app/token.",
            "file state/other/token ",
            "file state/other/token.",
            "/proc environ ",
        ];
        let leaks: Vec<_> = found
            .iter()
            .filter(|found| !on_purpose.iter().any(|place| found.starts_with(place)))
            .collect();
        assert!(leaks.is_empty(), "{leaks:?}");
    }
}

/// Takes on a role and uses that session twice: prints the local triple, and goes on when it is told.
const PROGRAM: &str = "
import json, sys, boto3
answer = boto3.client('sts').assume_role(RoleArn='arn:aws:iam::123456789012:role/worker', RoleSessionName='leak')
triple = [answer['Credentials'][name] for name in ('AccessKeyId', 'SecretAccessKey', 'SessionToken')]
print(json.dumps(triple), flush=True)
role = boto3.Session(*triple).client('sts')
for _ in sys.stdin:
    print(role.get_caller_identity()['Arn'], flush=True)
";

/// What a program holds of it is sealed; what it is sealed with, and what is in it, is nowhere.
#[test]
fn sessions_of_programs_behind_the_proxy_are_nowhere_in_clear() {
    let world = World::added();
    let mut seen = Seen::default();
    let free = std::net::TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr());
    let trust = ["arn:aws:iam::123456789012:user/app"];
    world.control(serde_json::json!({"op": "create-role", "role": "worker", "trust": trust}));
    world.configure_agent(&format!("{ANYWHERE}proxy_listen = \"{}\"\n", free.unwrap()), "");
    let mut agent = start(&world, "json");
    let mut command = world.command();
    command.args(["exec", "app", "--source", "proxy", "--"]);
    command.arg(super::support::venv().join("bin/python")).args(["-c", PROGRAM]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut program = command.spawn().unwrap();
    let mut orders = program.stdin.take().unwrap();
    let mut said = BufReader::new(program.stdout.take().unwrap()).lines();
    let triple: Vec<String> = serde_json::from_str(&said.next().unwrap().unwrap()).unwrap();
    for (form, signal) in [("text", "KILL"), ("journald", "ABRT"), ("json", "KILL")] {
        writeln!(orders, "act").unwrap();
        let arn = said.next().unwrap().unwrap();
        assert!(arn.ends_with("assumed-role/worker/leak"), "{arn}");
        seen.process(agent.pid());
        seen.note("what the agent says of itself", agent.control("GET", "/v1/status", b"").body);
        assert_leaves_no_core(&world, agent, signal, &mut seen);
        agent = start(&world, form);
    }
    drop(orders);
    assert!(program.wait().unwrap().success());
    assert_leaves_no_core(&world, agent, "KILL", &mut seen);

    let mut secrets: std::collections::BTreeSet<String> = triple[1..].iter().cloned().collect();
    secrets.insert(world.secret.clone());
    let sessions = world.control(serde_json::json!({"op": "sessions"}));
    let simulator = world.simulator.lock().unwrap();
    for session in sessions["sessions"].as_array().unwrap() {
        let id = session["access_key_id"].as_str().unwrap();
        secrets.insert(simulator.secret_of(id).unwrap().to_owned());
        secrets.insert(simulator.token_of(id).unwrap().to_owned());
    }
    assert!(secrets.len() > 4, "{}", secrets.len());
    assert!(seen.places.contains_key("stderr of the agent, KILL"));
    seen.assert_clean(&secrets);
}
