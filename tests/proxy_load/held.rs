//! An agent on sockets that somebody else holds open, as systemd does: it may end and come again.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Mutex;

use serde_json::Value;

use super::support::{World, venv};

/// Holds the sockets; see tests/clients/activator.py.
pub(crate) struct Held {
    child: Child,
    pipes: Option<Mutex<(ChildStdin, BufReader<ChildStdout>)>>,
}

impl Held {
    /// Starts the agent behind a socket at this port, which its configuration names.
    pub(crate) fn start(world: &World, port: u16) -> Self {
        let run = world.home.path().join("run");
        std::os::unix::fs::DirBuilderExt::mode(&mut std::fs::DirBuilder::new(), 0o700)
            .recursive(true)
            .create(&run)
            .expect("writable");
        let own = world.command();
        let mut command = Command::new(venv().join("bin/python"));
        command.env_clear().envs(own.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let log = world.home.path().join("agent.log");
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/clients/activator.py");
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
        assert_eq!(line(&mut stdout)["port"], port);
        Self { child, pipes: Some(Mutex::new((stdin, stdout))) }
    }

    /// SIGTERM; when the agent has ended, it is started again.
    pub(crate) fn restart(&self) {
        let (stdin, stdout) = &mut *self.pipes.as_ref().expect("there").lock().unwrap();
        writeln!(stdin, "restart").expect("it lives");
        assert_eq!(line(stdout)["done"], "restart");
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // The end of its input ends it, and the agent.
        drop(self.pipes.take());
        let _ = self.child.wait();
    }
}

fn line(from: &mut impl BufRead) -> Value {
    let mut line = String::new();
    from.read_line(&mut line).expect("readable");
    serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"))
}
