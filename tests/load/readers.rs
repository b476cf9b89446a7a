//! Who reads the sources directly, all the time: is what they say now of the key that is published now?

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::matrix::key_of;
use super::sources::{Place, Source};
use super::support::World;

/// Longer than a restart of the agent takes.
const PATIENCE: Duration = Duration::from_secs(10);

/// The end of a process that was killed may be a moment away.
const DYING: Duration = Duration::from_secs(1);

/// The keys in the order in which they were published, each with when that was reported.
#[derive(Debug, Default)]
pub(crate) struct Published(Mutex<Vec<(Instant, String)>>);

impl Published {
    pub(crate) fn report(&self, id: String) {
        self.0.lock().unwrap().push((Instant::now(), id));
    }

    /// Whether an answer that was asked for at `begun` may be of `key`. A key that is not reported yet is newer.
    fn allows(&self, begun: Instant, key: &str) -> bool {
        let keys = self.0.lock().unwrap();
        let due = keys.partition_point(|(at, _)| *at <= begun);
        let superseded = &keys[..due.saturating_sub(1)];
        !superseded.iter().any(|(_, id)| id == key)
    }
}

/// What the readers saw.
#[derive(Debug, Default)]
pub(crate) struct Readings {
    pub(crate) reads: AtomicU64,
    pub(crate) stale: Mutex<Vec<String>>,
    pub(crate) failed: Mutex<Vec<String>>,
    /// When the agent was killed last.
    killed: Mutex<Option<Instant>>,
}

impl Readings {
    /// The agent is killed just now.
    pub(crate) fn note_kill(&self) {
        *self.killed.lock().unwrap() = Some(Instant::now());
    }

    fn is_killed_since(&self, begun: Instant) -> bool {
        self.killed.lock().unwrap().is_some_and(|killed| killed + DYING >= begun)
    }

    /// Asks once; again as long as a kill broke the answer off, as SDKs do. Nothing else may.
    pub(crate) fn read(&self, world: &World, place: &Place, source: Source, published: &Published) {
        self.reads.fetch_add(1, Ordering::Relaxed);
        let (begun, answer) = loop {
            let begun = Instant::now();
            let answer = match source {
                Source::Process => process(place),
                Source::Container => container(place),
                Source::Imds => imds(place),
            };
            if answer.is_ok() || source == Source::Process || !self.is_killed_since(begun) {
                break (begun, answer);
            }
        };
        match answer {
            Err(error) => self.failed.lock().unwrap().push(format!("{}: {error}", source.name())),
            Ok(id) => match key_of(world, &id) {
                Some(key) if published.allows(begun, &key) => {}
                key => {
                    self.stale.lock().unwrap().push(format!("{}: {id} of {key:?}", source.name()))
                }
            },
        }
    }
}

fn process(place: &Place) -> Result<String, String> {
    let output = Command::new(place.home.join("credential-process")).output();
    let output = output.map_err(|error| error.to_string())?;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    id_in(&output.stdout).ok_or(text)
}

fn container(place: &Place) -> Result<String, String> {
    let head = format!("GET /credentials/app HTTP/1.1\r\nAuthorization: {}", place.token);
    let answer = exchange(place, &head)?;
    id_in(answer.as_bytes()).ok_or(answer)
}

fn imds(place: &Place) -> Result<String, String> {
    let lasts = "X-aws-ec2-metadata-token-ttl-seconds: 60";
    let token = exchange(place, &format!("PUT /latest/api/token HTTP/1.1\r\n{lasts}"))?;
    let get = |path: &str| {
        let path = format!("/latest/meta-data/iam/security-credentials/{path}");
        let head = format!("GET {path} HTTP/1.1\r\nX-aws-ec2-metadata-token: {token}");
        exchange(place, &head)
    };
    let answer = get(get("")?.trim())?;
    id_in(answer.as_bytes()).ok_or(answer)
}

fn id_in(answer: &[u8]) -> Option<String> {
    let answer: Value = serde_json::from_slice(answer).ok()?;
    answer["AccessKeyId"].as_str().map(str::to_owned)
}

/// One request; the body of a good answer.
fn exchange(place: &Place, head: &str) -> Result<String, String> {
    let host = place.http.trim_start_matches("http://");
    let exchange = || {
        let mut stream = TcpStream::connect(host)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        write!(stream, "{head}\r\nHost: {host}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    let answer = exchange().map_err(|error: std::io::Error| error.to_string())?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    match head.starts_with("HTTP/1.1 200") {
        true => Ok(body.to_owned()),
        false => Err(format!("{head:?} {body}")),
    }
}
