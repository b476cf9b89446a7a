//! Sessions that programs hold outlive the agent that gave them, and nothing else of it.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use serde_json::json;

use super::stage::{scenario, scenario_command};
use crate::support::agent::Agent;
use crate::support::{World, eventually};

/// A program that makes a call with its session for each line that it is given.
struct Program {
    child: Child,
    orders: ChildStdin,
    said: BufReader<ChildStdout>,
}

impl Program {
    fn start(world: &World) -> Self {
        let mut command = scenario_command(world, "on");
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("it starts");
        let orders = child.stdin.take().expect("piped");
        let said = BufReader::new(child.stdout.take().expect("piped"));
        Self { child, orders, said }
    }

    fn acts(&mut self) -> String {
        writeln!(self.orders, "act").expect("it listens");
        let mut line = String::new();
        self.said.read_line(&mut line).expect("text");
        line.trim().to_owned()
    }

    fn end(self) {
        let Self { mut child, orders, .. } = self;
        drop(orders);
        assert!(child.wait().expect("it ends").success());
    }
}

/// The simulator, and an agent with its proxy at one port: programs look for no other.
fn at_a_port(soak: &str, more: &str) -> (World, Agent) {
    draining_for("1s", soak, more)
}

fn draining_for(lease: &str, soak: &str, more: &str) -> (World, Agent) {
    let free = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr());
    let at = free.expect("a port");
    let world = World::added();
    let trust = ["arn:aws:iam::123456789012:user/app"];
    world.control(json!({"op": "create-role", "role": "worker", "trust": trust}));
    let profile = world
        .quick_profile(more)
        .replace("soak = \"1s\"", &format!("soak = \"{soak}\""))
        .replace("lease = \"1s\"", &format!("lease = \"{lease}\""));
    world.configure(&format!(
        "[agent]\nlisten = \"127.0.0.1:0\"\nproxy_listen = \"{at}\"\n{profile}"
    ));
    let agent = world.agent();
    (world, agent)
}

fn fares(world: &World, triple: &[String; 3]) -> String {
    let session = json!(triple).to_string();
    scenario(world, "use", &[("SESSION", &session)]).trim().to_owned()
}

fn take(world: &World) -> [String; 3] {
    serde_json::from_str(&scenario(world, "get", &[])).expect("a triple")
}

/// Stops it in order, and starts it again; what it said.
fn anew(world: &World, agent: Agent) -> (Agent, String) {
    let (code, log) = agent.stop();
    assert_eq!(code, 0, "{log}");
    (world.agent(), log)
}

#[test]
fn a_program_goes_on_with_its_session_when_the_agent_ends_or_crashes() {
    let (world, agent) = at_a_port("1s", "");
    let mut program = Program::start(&world);
    assert_eq!(program.acts(), "ok");
    let (agent, _) = anew(&world, agent);
    assert_eq!(program.acts(), "ok");
    agent.kill();
    let agent = world.agent();
    assert_eq!(program.acts(), "ok");
    // At once, before anybody asked for anything else.
    agent.kill();
    let _agent = world.agent();
    assert_eq!(program.acts(), "ok");
    program.end();
    let asked = world.control(json!({"op": "sessions"})).to_string();
    assert_eq!(asked.matches("assumed-role/worker/on").count(), 1, "one was asked for: {asked}");
}

#[test]
fn a_token_that_is_not_as_it_was_given_is_refused_after_a_restart() {
    let (world, agent) = at_a_port("1s", "");
    let (one, other) = (take(&world), take(&world));
    let (_agent, log) = anew(&world, agent);
    for triple in [&one, &other] {
        assert!(!log.contains(&triple[1]) && !log.contains(&triple[2]), "{log}");
    }
    let [id, secret, token] = one.clone();
    let mut changed = token.clone();
    let last = if changed.ends_with('A') { "B" } else { "A" };
    changed.replace_range(200..201, if &changed[200..201] == "A" { "B" } else { "A" });
    let with = |token: &str| [id.clone(), secret.clone(), token.to_owned()];
    for odd in [changed, format!("{token}{last}"), token[..300].to_owned(), other[2].clone()] {
        assert_eq!(fares(&world, &with(&odd)), "ExpiredToken", "{odd}");
    }
    let forged = [id.clone(), other[1].clone(), token.clone()];
    assert_eq!(fares(&world, &forged), "SignatureDoesNotMatch");
    assert_eq!((fares(&world, &one), fares(&world, &other)), ("ok".into(), "ok".into()));
}

#[test]
fn what_ends_a_session_ends_it_over_a_restart() {
    let (world, agent) = at_a_port("1s", "");
    let revoked = take(&world);
    world.expect(0, &["revoke"]);
    let (agent, _) = anew(&world, agent);
    assert_eq!(fares(&world, &revoked), "ExpiredToken");
    let leaked = take(&world);
    let (code, log) = agent.stop();
    assert_eq!(code, 0, "{log}");
    // While there was no agent.
    let run = world.rotakey(&["rotate", "--compromised", "--no-revoke-sessions"]);
    assert_eq!(run.code, 0, "{run:?}");
    let agent = world.agent();
    assert_eq!(fares(&world, &leaked), "ExpiredToken");
    let session = take(&world);
    assert_eq!(fares(&world, &session), "ok");
    // As often as the ledger says, and with the same key.
    let (code, log) = agent.stop();
    assert_eq!(code, 0, "{log}");
    let path = world.home.path().join("state/app/ledger.json");
    let text = std::fs::read_to_string(&path).expect("text");
    let mut ledger: serde_json::Value = text.parse().expect("JSON");
    ledger["revocations"] = json!(ledger["revocations"].as_u64().expect("one") + 1);
    std::fs::write(&path, ledger.to_string()).expect("writable");
    let _agent = world.agent();
    assert_eq!(fares(&world, &session), "ExpiredToken");
}

#[test]
fn a_session_is_known_for_as_long_as_the_key_it_was_made_with_is_kept() {
    let (world, agent) = at_a_port("1h", "");
    let session = take(&world);
    world.expect(0, &["rotate", "--wait", "deactivated"]);
    let (agent, _) = anew(&world, agent);
    assert_eq!(fares(&world, &session), "ok", "its key is Inactive");
    agent.kill();
    // It would be deleted in an hour.
    world.configure(&std::fs::read_to_string(world.home.path().join("config.toml")).map_or_else(
        |error| panic!("{error}"),
        |text| {
            let rest = text.split_once("[agent]").expect("a table").1;
            format!("[agent]{rest}").replace("soak = \"1h\"", "soak = \"1s\"")
        },
    ));
    let agent = world.agent();
    world.expect(0, &["resume", "--wait", "deleted"]);
    assert_eq!(fares(&world, &session), "ok", "it is in memory");
    let (_agent, _) = anew(&world, agent);
    assert_eq!(fares(&world, &session), "ExpiredToken", "nobody can open it any more");
}

/// While it is drained, and when it is Inactive already.
#[test]
fn no_session_of_a_key_that_leaks_in_the_middle_of_a_rotation_goes_on() {
    for (lease, step) in [("1h", "drain"), ("1s", "soak")] {
        let (world, _agent) = draining_for(lease, "1h", "");
        let session = take(&world);
        world.expect(0, &["rotate"]);
        eventually(step, || world.step().as_deref() == Some(step));
        assert_eq!(fares(&world, &session), "ok", "{step}");
        let leaked =
            ["rotate", "--compromised", "--access-key-id", &world.id, "--no-revoke-sessions"];
        let run = world.rotakey(&leaked);
        assert_eq!(fares(&world, &session), "ExpiredToken", "{step}: {run:?}");
        assert_eq!(fares(&world, &take(&world)), "ok", "{step}");
    }
}
