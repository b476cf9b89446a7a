//! The real agent, alone or on sockets that stay open while it is killed.
#![allow(dead_code, reason = "each test uses its own part")]

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::sources::{Place, aws_config, root};
use super::support::{World, venv};

/// How long the leases are. Long enough that no client is too slow for it on a busy machine; short enough that
/// a rotation takes seconds.
pub(crate) const LEASE_SECONDS: u64 = 4;

/// A running agent, and where it serves.
pub(crate) struct Agent {
    child: Child,
    log: PathBuf,
    activator: Option<Mutex<(ChildStdin, BufReader<ChildStdout>)>>,
    pub(crate) place: Place,
}

/// A user at a simulator that refuses deactivated keys at once, and the sessions that were made from them.
pub(crate) fn world() -> World {
    let world = World::with(serde_json::json!({
        "last_used_granularity": 1000, "sessions_die_with_key": true,
    }));
    world.lighten_keys();
    world.add();
    world
}

/// The profile of the tests of clients.
fn configure(world: &World, port: u16, lease: &str) {
    let profile = world
        .quick_profile("imds = true\n")
        .replace("lease = \"1s\"", &format!("lease = \"{lease}\""))
        .replace("soak = \"1s\"", "soak = \"2s\"");
    world.configure(&format!("[agent]\nlisten = \"127.0.0.1:{port}\"\n{profile}"));
}

impl Agent {
    /// Starts it on a port of its own choice.
    pub(crate) fn start(world: &World) -> Self {
        Self::start_at(world, 0)
    }

    /// Starts it with leases of this length.
    pub(crate) fn start_with(world: &World, lease: &str) -> Self {
        configure(world, 0, lease);
        Self::start_configured(world)
    }

    /// Gives it another configuration, with leases of this length.
    pub(crate) fn reconfigure(&self, world: &World, lease: &str) {
        configure(world, 0, lease);
        self.signal(Signal::HUP);
        let since = Instant::now();
        while !std::fs::read_to_string(&self.log).is_ok_and(|log| log.contains("read again")) {
            assert!(since.elapsed() < Duration::from_secs(10), "it does not read it");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Starts it on this port.
    pub(crate) fn start_at(world: &World, port: u16) -> Self {
        configure(world, port, &format!("{LEASE_SECONDS}s"));
        Self::start_configured(world)
    }

    fn start_configured(world: &World) -> Self {
        let log = world.home.path().join("agent.log");
        let child = world
            .command()
            .args(["-v", "agent"])
            .stdin(Stdio::null())
            .stderr(std::fs::File::create(&log).expect("writable"))
            .spawn()
            .expect("it starts");
        let mut agent = Self { child, activator: None, log, place: place(world) };
        agent.place.http = agent.address();
        agent
    }

    /// Where it says that it serves.
    fn address(&mut self) -> String {
        let since = Instant::now();
        loop {
            let said = std::fs::read_to_string(&self.log).unwrap_or_default();
            if let Some((_, rest)) = said.split_once(" at http://")
                && let Some((at, _)) = rest.split_once('\n')
            {
                return format!("http://{at}");
            }
            let ended = self.child.try_wait().expect("ours").is_some();
            assert!(
                !ended && since.elapsed() < Duration::from_secs(20),
                "it does not serve: {said}"
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Starts it on sockets that a parent holds open.
    pub(crate) fn start_activated(world: &World) -> Self {
        configure(world, 0, &format!("{LEASE_SECONDS}s"));
        let run = world.home.path().join("run");
        std::os::unix::fs::DirBuilderExt::mode(&mut std::fs::DirBuilder::new(), 0o700)
            .recursive(true)
            .create(&run)
            .expect("writable");
        let log = world.home.path().join("agent.log");
        let own = world.command();
        let mut command = Command::new(venv().join("bin/python"));
        command.env_clear().envs(own.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let mut child = command
            .arg(root().join("tests/clients/activator.py"))
            .arg(run.join("agent.sock"))
            .arg(own.get_program())
            .arg("agent")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(std::fs::File::create(&log).expect("writable"))
            .spawn()
            .expect("python starts");
        let stdin = child.stdin.take().expect("piped");
        let mut stdout = BufReader::new(child.stdout.take().expect("piped"));
        let port = line(&mut stdout)["port"].as_u64().expect("a port");
        let activator = Some(Mutex::new((stdin, stdout)));
        let mut agent = Self { child, activator, log, place: place(world) };
        agent.place.http = format!("http://127.0.0.1:{port}");
        agent
    }

    /// Signals the agent, which is not under an activator.
    pub(crate) fn signal(&self, signal: Signal) {
        assert!(self.activator.is_none());
        kill_process(Pid::from_child(&self.child), signal).expect("it lives");
    }

    /// Kills it, without an activator that starts it again.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("ours");
        self.child.wait().expect("ours");
    }

    /// Gives the activator an order: `kill`, `down` or `up`.
    pub(crate) fn order(&self, order: &str) {
        let activator = self.activator.as_ref().expect("activated");
        let (stdin, stdout) = &mut *activator.lock().unwrap();
        writeln!(stdin, "{order}").expect("it lives");
        assert_eq!(line(stdout)["done"], order);
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("{}", std::fs::read_to_string(&self.log).unwrap_or_default());
        }
        match self.activator.take() {
            // The end of its input ends it, and the agent.
            Some(activator) => drop(activator),
            // It may have ended.
            None => {
                if self.child.try_wait().is_ok_and(|ended| ended.is_none()) {
                    self.signal(Signal::TERM);
                }
            }
        }
        let since = Instant::now();
        while self.child.try_wait().is_ok_and(|ended| ended.is_none()) {
            if since.elapsed() > Duration::from_secs(20) {
                let _ = self.child.kill();
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

fn line(from: &mut impl BufRead) -> Value {
    let mut line = String::new();
    from.read_line(&mut line).expect("readable");
    serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"))
}

/// All of it but the address.
fn place(world: &World) -> Place {
    let home = world.home.path();
    let token_file = world.state().join("token");
    // Programs have no ROTAKEY_HOME: the line says where it is. A client's own clock is not ours.
    let program = home.join("credential-process");
    let script = format!(
        "#!/bin/sh\nunset LD_PRELOAD\nROTAKEY_HOME='{}' exec '{}' credential-process --profile app\n",
        home.display(),
        env!("CARGO_BIN_EXE_rotakey")
    );
    world.write("credential-process", &script);
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    std::fs::set_permissions(&program, mode).expect("ours");
    world.write("aws-config", &aws_config(&program.display().to_string()));
    let since = Instant::now();
    while !token_file.exists() && since.elapsed() < Duration::from_secs(10) {
        std::thread::sleep(Duration::from_millis(10));
    }
    Place {
        api: world.url.clone(),
        http: String::new(),
        token: std::fs::read_to_string(&token_file).expect("a token of the container endpoint"),
        token_file,
        config: home.join("aws-config"),
        home: home.to_owned(),
        imds_attempts: 1,
    }
}
