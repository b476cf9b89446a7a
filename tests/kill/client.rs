//! A real client: boto3 in a process of its own (reader.py), and what it has met so far.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard};

use super::support::{World, venv};

/// Between two requests of a client, in seconds: each of them runs `credential-process`.
const PAUSE: &str = "0.2";

/// A running client.
pub(crate) struct Client {
    child: Child,
    seen: Arc<Mutex<Seen>>,
}

/// What its requests came to.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) requests: u64,
    /// Requests that the server refused: the key and the code.
    pub(crate) refused: Vec<String>,
    /// Requests that were never sent, for want of a credential.
    pub(crate) failed: Vec<String>,
    /// Credentials that ended while a busy machine read them.
    pub(crate) late: u64,
    /// The key that the latest accepted request was signed with.
    pub(crate) signer: String,
}

impl Client {
    /// Starts it with an AWS configuration as the README shows it.
    pub(crate) fn start(world: &World) -> Self {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/kill/reader.py");
        world.write(
            "aws-config",
            &format!(
                "[profile app]\nregion = us-east-1\nendpoint_url = {}\n\
                 credential_process = {} credential-process --profile app\n",
                world.url,
                env!("CARGO_BIN_EXE_rotakey")
            ),
        );
        let mut child = Command::new(venv().join("bin/python"))
            .env_clear()
            .env("PATH", std::env::var("PATH").unwrap())
            .env("ROTAKEY_HOME", world.home.path())
            .env("AWS_PROFILE", "app")
            .env("AWS_CONFIG_FILE", world.home.path().join("aws-config"))
            .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .args([script, PAUSE])
            .stdout(Stdio::piped())
            .spawn()
            .expect("python starts");
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let seen = Arc::new(Mutex::new(Seen::default()));
        let notes = Arc::clone(&seen);
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                notes.lock().unwrap().note(&line);
            }
        });
        Self { child, seen }
    }

    pub(crate) fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap()
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Seen {
    fn note(&mut self, line: &str) {
        let (kind, rest) = line.split_once(' ').unwrap_or((line, ""));
        self.requests += 1;
        match kind {
            "ok" => self.signer = rest.split(' ').next().unwrap_or_default().to_owned(),
            "late" => self.late += 1,
            "refused" => self.refused.push(rest.to_owned()),
            _ => self.failed.push(line.to_owned()),
        }
    }
}
