//! The agent with its proxy, its upstream, and how attacks on it are judged.

use std::cell::Cell;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::time::Duration;

use aws_sigv4::http_request::SignableBody;
use http::request::Parts;
use jiff::Timestamp;

use crate::client::{Client, request};
use crate::siege::{Siege, connect, refused, statuses, tail};
use crate::support::World;
use crate::upstream::{Seen, Upstream};

/// What `[agent]` says here.
const PROXY: &str = "[agent]\nlisten = \"127.0.0.1:0\"\nproxy_listen = \"127.0.0.1:0\"\n";

/// A placeholder.
pub struct Pair {
    pub id: String,
    pub secret: String,
}

/// `app` goes to the upstream here, `other` to AWS.
pub struct Field {
    pub siege: Siege,
    pub proxy: SocketAddr,
    pub upstream: Upstream,
    /// Nobody may ever connect to it.
    pub lure: Upstream,
    pub own: Pair,
    pub other: Pair,
    pub revoked: Pair,
    count: Cell<usize>,
}

/// What may reach the upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reaches {
    /// Not a byte.
    Nothing,
    /// The head and a part of the body, never all of it: nothing is stored.
    APart,
    /// The one request that is right.
    One,
}

/// Bytes that are sent, what is answered, and how that is logged.
pub struct Attack {
    pub name: String,
    pub bytes: Vec<u8>,
    /// The sender closes its half behind the bytes.
    pub half_close: bool,
    pub statuses: &'static [u16],
    /// What the answer holds: AWS's code.
    pub code: &'static str,
    /// The refusal, as it is logged; empty if it is none.
    pub why: &'static str,
    pub reaches: Reaches,
}

pub fn attack(
    name: impl Into<String>,
    bytes: Vec<u8>,
    statuses: &'static [u16],
    code: &'static str,
    why: &'static str,
) -> Attack {
    let reaches = Reaches::Nothing;
    Attack { name: name.into(), bytes, half_close: false, statuses, code, why, reaches }
}

impl Attack {
    pub fn reaching(self, reaches: Reaches) -> Self {
        Self { reaches, ..self }
    }

    pub fn half_closed(self) -> Self {
        Self { half_close: true, ..self }
    }
}

fn pair(world: &World, profile: &str) -> Pair {
    let run = world.expect(0, &["env", profile, "--source", "proxy", "--format", "json"]);
    let env: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    let text = |name: &str| env[name].as_str().unwrap().to_owned();
    Pair { id: text("AWS_ACCESS_KEY_ID"), secret: text("AWS_SECRET_ACCESS_KEY") }
}

impl Field {
    pub fn new(talk: &str) -> Self {
        let mut started = None;
        let siege = Siege::listening(talk, PROXY, |world| {
            let upstream = Upstream::start(&world.id);
            let url = &world.url;
            world.configure(&format!(
                "{PROXY}[profile.app]\nuser = \"app\"\nendpoint_url = \"http://{}\"\nendpoint_url_iam = \"{url}\"\n\
                 endpoint_url_sts = \"{url}\"\nunsafe_durations = true\nimds = true\n\
                 [profile.other]\nsource_profile = \"app\"\n",
                upstream.at
            ));
            started = Some(upstream);
            world.command()
        });
        let upstream = started.unwrap();
        let proxy = siege.agent.status()["proxy_listen"].as_str().unwrap().parse().unwrap();
        let world = &siege.world;
        let revoked = pair(world, "app");
        world.expect(0, &["revoke", "app"]);
        let (own, other) = (pair(world, "app"), pair(world, "other"));
        assert_ne!(own.id, revoked.id);
        let lure = Upstream::start("");
        let mut field =
            Self { siege, proxy, upstream, lure, own, other, revoked, count: Cell::new(0) };
        for (name, secret) in [
            ("the placeholder's secret", field.own.secret.clone()),
            ("the other's secret", field.other.secret.clone()),
        ] {
            field.siege.keep_secret(name, &secret);
        }
        let token = std::fs::read_to_string(field.siege.world.state().join("token")).unwrap();
        field.siege.token = token.clone();
        field.siege.keep_secret("the new token", &token);
        field.honest().unwrap();
        field
    }

    /// Who is right in everything.
    pub fn client(&self) -> Client<'_> {
        Client {
            id: &self.own.id,
            secret: &self.own.secret,
            at: Timestamp::now(),
            ..Client::default()
        }
    }

    pub fn host(&self) -> String {
        self.proxy.to_string()
    }

    /// A request with more headers, and the right `Host`.
    pub fn request(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> http::Request<()> {
        let host = self.host();
        let mut all = vec![("host", host.as_str())];
        all.extend_from_slice(headers);
        request(method, path, &all)
    }

    /// `PUT /b/k` with `abc`, signed by the owner.
    pub fn put(&self, headers: &[(&str, &str)]) -> Vec<String> {
        let request = self.request("PUT", "/b/k", headers);
        lines(&self.client().sign(request, SignableBody::Bytes(b"abc")))
    }

    /// Sends bytes, and takes what comes back until the other side closes. False if it does not for half a minute.
    pub fn send(&self, bytes: &[u8], half_close: bool) -> (Vec<u8>, bool) {
        let mut stream = connect(self.proxy);
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let mut writing = stream.try_clone().unwrap();
        let mut answer = Vec::new();
        let is_closed = std::thread::scope(|scope| {
            scope.spawn(move || {
                // It may have had enough before the last byte.
                let _ = writing.write_all(bytes);
                if half_close {
                    let _ = writing.shutdown(Shutdown::Write);
                }
            });
            let mut part = [0; 16 * 1024];
            let is_closed = loop {
                match stream.read(&mut part) {
                    Ok(0) => break true,
                    Ok(length) => answer.extend_from_slice(&part[..length]),
                    Err(error) => break error.kind() == std::io::ErrorKind::ConnectionReset,
                }
            };
            let _ = stream.shutdown(Shutdown::Both);
            is_closed
        });
        (answer, is_closed)
    }

    /// The owner's program is served, and what it sends arrives.
    pub fn honest(&self) -> Result<(), String> {
        let number = self.count.get();
        self.count.set(number + 1);
        let (path, body) = (format!("/honest/{number}"), format!("body {number}"));
        let request = self.request("PUT", &path, &[]);
        let head = self.client().sign(request, SignableBody::Bytes(body.as_bytes()));
        let (answer, _) = self.send(&bytes(&lines(&head), body.as_bytes()), false);
        if statuses(&answer) != [200] {
            return Err(format!("the owner: {}", String::from_utf8_lossy(&answer)));
        }
        let seen = self.upstream.seen();
        let seen = seen.iter().find(|seen| seen.path() == path).ok_or("it never arrived")?;
        let is_right = seen.whole && seen.body == body.as_bytes();
        is_right.then_some(()).ok_or_else(|| format!("another one arrived: {seen:?}"))
    }

    /// Goes through attacks, and says of all what was wrong.
    pub fn go(&self, attacks: Vec<Attack>) -> Vec<Attack> {
        let mut wrong = Vec::new();
        for attack in &attacks {
            if let Err(why) = self.try_one(attack) {
                wrong.push(format!("{}: {why}", attack.name));
            }
        }
        assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), attacks.len(), wrong.join("\n"));
        println!("{} attacks", attacks.len());
        attacks
    }

    fn try_one(&self, attack: &Attack) -> Result<(), String> {
        let (requests, bytes_before) = self.upstream.count();
        let (answer, is_closed) = self.send(&attack.bytes, attack.half_close);
        let text = String::from_utf8_lossy(&answer);
        if !is_closed || statuses(&answer) != attack.statuses || !text.contains(attack.code) {
            return Err(format!("closed {is_closed}: {text}"));
        }
        if text.to_ascii_lowercase().contains("access-control-") {
            return Err(format!("a page may read it: {text}"));
        }
        if text.contains(&self.siege.world.id) {
            return Err(format!("the real key's id: {text}"));
        }
        if let Some(found) = self.siege.secret_in(&answer) {
            return Err(format!("{found}: {text}"));
        }
        self.honest()?;
        let seen = self.upstream.seen().split_off(requests);
        let (honest, others): (Vec<Seen>, Vec<Seen>) =
            seen.into_iter().partition(|seen| seen.path().starts_with("/honest/"));
        let whole = others.iter().filter(|seen| seen.whole).count();
        let is_right = match attack.reaches {
            Reaches::Nothing => {
                let length = |seen: &Seen| (seen.head.len() + seen.body.len()) as u64;
                let more = self.upstream.count().1 - bytes_before;
                others.is_empty() && more == honest.iter().map(length).sum::<u64>()
            }
            Reaches::APart => whole == 0 && others.len() <= 1,
            Reaches::One => others.len() == 1,
        };
        is_right.then_some(()).ok_or_else(|| format!("the upstream was sent {others:?}"))
    }

    /// Every refusal is in the log; the agent ends in order; nothing that it leaves holds a secret. What it said.
    pub fn end(self, attacks: &[Attack]) -> String {
        assert_eq!(self.lure.connections(), 0, "another server was asked");
        let metrics = self.siege.agent.control("GET", "/metrics", b"");
        assert_eq!(self.siege.secret_in(&metrics.body), None);
        let said = self.siege.end();
        for attack in attacks.iter().filter(|attack| !attack.why.is_empty()) {
            let times = attacks.iter().filter(|other| other.why == attack.why).count();
            let why = attack.why;
            assert!(refused(&said, why) >= times, "{why}: {times}: {}", tail(&said));
        }
        said
    }
}

/// A head as it is sent, a line each; the connection is closed after the answer.
pub fn lines(head: &Parts) -> Vec<String> {
    let target = head.uri.path_and_query().unwrap();
    let mut lines = vec![format!("{} {target} HTTP/1.1", head.method)];
    for (name, value) in &head.headers {
        lines.push(format!("{name}: {}", value.to_str().unwrap()));
    }
    lines.push("connection: close".to_owned());
    lines
}

/// The same with a body and its length, if the lines give none.
pub fn bytes(lines: &[String], body: &[u8]) -> Vec<u8> {
    let is_told = |line: &String| {
        let line = line.to_ascii_lowercase();
        line.starts_with("content-length") || line.starts_with("transfer-encoding")
    };
    let mut text = lines.join("\r\n");
    if !lines.iter().any(is_told) {
        text += &format!("\r\ncontent-length: {}", body.len());
    }
    let mut bytes = format!("{text}\r\n\r\n").into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

/// With more lines.
pub fn and(mut lines: Vec<String>, more: &[&str]) -> Vec<String> {
    lines.extend(more.iter().map(|line| (*line).to_owned()));
    lines
}
