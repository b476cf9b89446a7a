//! A world whose agent has a proxy that programs connect through.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use serde_json::Value;

use crate::support::agent::Agent;
use crate::support::{World, venv};

/// What `[agent]` says here.
pub(crate) const PROXY: &str =
    "[agent]\nlisten = \"127.0.0.1:0\"\nproxy_listen = \"127.0.0.1:0\"\n";

pub(crate) const CONNECT: &str = "proxy_connect = true\n";

/// A world with an agent and its proxy; AWS is the simulator.
pub(crate) fn connected(profile: &str) -> (World, Agent) {
    let world = World::added();
    world.configure_agent(PROXY, &format!("{CONNECT}{profile}"));
    let agent = world.agent();
    (world, agent)
}

pub(crate) fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/connect").join(name)
}

/// Runs a program as `rotakey exec app --source SOURCE` does.
pub(crate) fn exec(world: &World, source: &str, program: &[&str]) -> Output {
    let mut command: Command = world.command();
    command
        .args(["exec", "app", "--source", source, "--"])
        .args(program)
        .env("HOME", world.home.path())
        .env("AWS", venv().join("bin/aws"))
        .env("SIMULATOR", &world.url)
        .env("REAL_ID", &world.id)
        .env("REAL_SECRET", &world.secret)
        .env("PYTHONDONTWRITEBYTECODE", "1");
    command.output().expect("it starts")
}

/// Runs a scenario of `clients.py`, which has the expectations.
pub(crate) fn scenario(world: &World, source: &str, name: &str) {
    let python = venv().join("bin/python");
    let script = script("clients.py");
    let output = exec(world, source, &[python.to_str().unwrap(), script.to_str().unwrap(), name]);
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name}: {told}");
}

/// The variables of a program.
pub(crate) fn env(world: &World, source: &str) -> Value {
    let run = world.expect(0, &["env", "--source", source, "--format", "json"]);
    serde_json::from_str(&run.stdout).expect("JSON")
}

pub(crate) fn port(agent: &Agent) -> u16 {
    let status = agent.status();
    let at: std::net::SocketAddr = status["proxy_listen"].as_str().unwrap().parse().unwrap();
    at.port()
}

fn reach(port: u16, bytes: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("it listens");
    stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a timeout");
    stream.write_all(bytes).expect("it reads");
    stream
}

/// Sends bytes, and gives back all that comes until the proxy closes.
pub(crate) fn send(port: u16, bytes: &[u8]) -> String {
    let mut answer = Vec::new();
    // What it does not want to read any more may reset the connection.
    let _ = reach(port, bytes).read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

/// Connects through the proxy, and goes on with these bytes: the head of the answer, and all that comes after it.
pub(crate) fn connect(port: u16, head: &str, bytes: &[u8]) -> (String, Vec<u8>) {
    let mut stream = reach(port, head.as_bytes());
    let (mut answer, mut byte) = (Vec::new(), [0]);
    while !answer.ends_with(b"\r\n\r\n") && stream.read(&mut byte).expect("an answer") > 0 {
        answer.push(byte[0]);
    }
    let _ = stream.write_all(bytes).and_then(|()| stream.shutdown(std::net::Shutdown::Write));
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest);
    (String::from_utf8_lossy(&answer).into_owned(), rest)
}
