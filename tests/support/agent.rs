//! A running agent of a world.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::World;

/// What `[agent]` says in most tests.
pub const ANYWHERE: &str = "[agent]\nlisten = \"127.0.0.1:0\"\n";

/// The agent, stopped when this is dropped.
pub struct Agent {
    pub child: Child,
    /// Reads what it says, so that it can go on saying it.
    stderr: Option<std::thread::JoinHandle<String>>,
    control: std::path::PathBuf,
    state: std::path::PathBuf,
}

/// An HTTP answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

impl World {
    /// Writes a profile `app` with short durations, and an `[agent]` table.
    pub fn configure_agent(&self, agent: &str, profile: &str) {
        self.configure(&format!("{agent}{}", self.quick_profile(profile)));
    }

    /// Starts the agent and waits until it serves.
    pub fn agent(&self) -> Agent {
        Agent::start(self, self.command())
    }
}

impl Agent {
    /// Starts the agent with this command's environment.
    pub fn start(world: &World, command: Command) -> Self {
        Self::start_at(world, command, "-v")
    }

    /// The same, with so much talk.
    pub fn start_at(world: &World, mut command: Command, talk: &str) -> Self {
        let mut child = command
            .args([talk, "agent"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        let mut stderr = BufReader::new(child.stderr.take().expect("piped"));
        let mut said = String::new();
        while !said.contains("serving ") {
            let before = said.len();
            stderr.read_line(&mut said).expect("text");
            assert!(said.len() > before, "the agent ended: {said}");
        }
        let control = world.home.path().join("run/agent.sock");
        let state = world.home.path().join("state");
        let stderr = std::thread::spawn(move || {
            let mut bytes = said.into_bytes();
            let _ = stderr.read_to_end(&mut bytes);
            String::from_utf8(bytes).expect("text")
        });
        Self { child, stderr: Some(stderr), control, state }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it says of itself.
    pub fn status(&self) -> Value {
        self.control("GET", "/v1/status", b"").json()
    }

    /// Where it serves programs.
    pub fn listen(&self) -> SocketAddr {
        self.status()["listen"].as_str().expect("it listens").parse().expect("an address")
    }

    /// Asks over its Unix socket.
    pub fn control(&self, method: &str, target: &str, body: &[u8]) -> Answer {
        let stream = UnixStream::connect(&self.control).expect("it listens");
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout");
        exchange(stream, method, target, "", body)
    }

    /// Asks as a program does.
    pub fn http(&self, method: &str, target: &str, headers: &str) -> Answer {
        http(self.listen(), method, target, headers)
    }

    /// The container endpoint's answer.
    pub fn container(&self, profile: &str) -> Answer {
        let token = std::fs::read_to_string(self.state.join(profile).join("token")).expect("there");
        let authorization = format!("Authorization: {token}\r\n");
        self.http("GET", &format!("/credentials/{profile}"), &authorization)
    }

    /// IMDSv2's answer.
    pub fn imds(&self, profile: &str) -> Answer {
        let ttl = "X-aws-ec2-metadata-token-ttl-seconds: 60\r\n";
        let token = self.http("PUT", "/latest/api/token", ttl);
        assert_eq!(token.status, 200, "{token:?}");
        let token = String::from_utf8(token.body).expect("text");
        let target = format!("/latest/meta-data/iam/security-credentials/{profile}");
        self.http("GET", &target, &format!("X-aws-ec2-metadata-token: {token}\r\n"))
    }

    pub fn signal(&self, name: &str) {
        let pid = self.pid().to_string();
        assert!(Command::new("kill").args(["-s", name, &pid]).status().unwrap().success());
    }

    /// Has it read its configuration again once that was changed, and waits until it goes by it.
    pub fn reload_after(&self, change: impl FnOnce()) {
        let config = || self.status()["config"].clone();
        let before = config();
        change();
        self.signal("HUP");
        let since = Instant::now();
        while config() == before {
            assert!(since.elapsed() < Duration::from_secs(30), "it does not read it");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Ends it in order; its exit code, and what it said.
    pub fn stop(mut self) -> (i32, String) {
        self.signal("TERM");
        let said = self.stderr.take().map(|said| said.join().expect("text")).unwrap_or_default();
        (self.child.wait().expect("it ends").code().unwrap_or(-1), said)
    }

    /// Kills it, as a crash would.
    pub fn kill(self) {
        self.crash("KILL");
    }

    /// Sends a signal that ends it; how it ended, and what it said.
    pub fn crash(mut self, signal: &str) -> (ExitStatus, String) {
        self.signal(signal);
        let ended = self.child.wait().expect("dead");
        (ended, self.stderr.take().expect("read once").join().expect("text"))
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Asks a server of this machine, by hand.
pub fn http(at: SocketAddr, method: &str, target: &str, headers: &str) -> Answer {
    let stream = TcpStream::connect(at).expect("it listens");
    stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a timeout");
    exchange(stream, method, target, headers, b"")
}

fn exchange(
    mut stream: impl Read + Write,
    method: &str,
    target: &str,
    headers: &str,
    body: &[u8],
) -> Answer {
    let length = body.len();
    let head = format!(
        "{method} {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}Content-Length: {length}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).expect("taken");
    stream.write_all(body).expect("taken");
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).expect("an answer");
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").expect("a head");
    let head = String::from_utf8(bytes[..end].to_vec()).expect("text");
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status");
    Answer { status, head, body: bytes[end + 4..].to_vec() }
}
