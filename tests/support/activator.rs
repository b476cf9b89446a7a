//! An agent on sockets that somebody else holds open, as systemd does: it may end and come again.
#![allow(clippy::print_stdout, reason = "what the agent of a test that failed said")]

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::Mutex;

use serde_json::Value;

use super::{World, venv};

/// Holds the sockets; see tests/support/activator.py. The agent's log is `agent.log` in the world's home.
pub struct Activator {
    child: Child,
    pipes: Option<Mutex<(ChildStdin, BufReader<ChildStdout>)>>,
    log: PathBuf,
    /// Where it listens, on 127.0.0.1.
    pub port: u16,
}

impl Activator {
    /// Starts the agent behind a socket at this port; 0 is any.
    pub fn start(world: &World, port: u16) -> Self {
        let run = world.home.path().join("run");
        std::os::unix::fs::DirBuilderExt::mode(&mut std::fs::DirBuilder::new(), 0o700)
            .recursive(true)
            .create(&run)
            .expect("writable");
        let own = world.command();
        let mut command = Command::new(venv().join("bin/python"));
        command.env_clear().envs(own.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let log = world.home.path().join("agent.log");
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/support/activator.py");
        let mut child = command
            .env("ACTIVATOR_PORT", port.to_string())
            .arg(script)
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
        let port = u16::try_from(port).expect("a port");
        Self { child, pipes: Some(Mutex::new((stdin, stdout))), log, port }
    }

    /// Gives it an order: `kill`, `restart`, `down` or `up`.
    pub fn order(&self, order: &str) {
        let (stdin, stdout) = &mut *self.pipes.as_ref().expect("there").lock().unwrap();
        writeln!(stdin, "{order}").expect("it lives");
        assert_eq!(line(stdout)["done"], order);
    }

    /// Ends it, and the agent with it.
    pub fn end(mut self) -> ExitStatus {
        // The end of its input ends it, and the agent.
        drop(self.pipes.take());
        self.child.wait().expect("ours")
    }
}

impl Drop for Activator {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("{}", std::fs::read_to_string(&self.log).unwrap_or_default());
        }
        drop(self.pipes.take());
        let _ = self.child.wait();
    }
}

fn line(from: &mut impl BufRead) -> Value {
    let mut line = String::new();
    from.read_line(&mut line).expect("readable");
    serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"))
}
