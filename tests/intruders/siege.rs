//! An agent that is to be attacked, all its secrets, and what must hold at the end.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use super::support::agent::{ANYWHERE, Agent, Answer};
use super::support::secrets::Needle;
use super::support::{PASSPHRASE, World, eventually};

/// No test waits longer for anything; the machine may be busy with others.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The agent serves `app` by all sources, and `other`, which has a token of its own.
pub struct Siege {
    pub world: World,
    pub agent: Agent,
    pub at: SocketAddr,
    /// The container tokens: right ones, which an intruder may have found.
    pub token: String,
    pub other_token: String,
    /// What nothing may say: name and secret.
    secrets: Vec<(String, String)>,
}

impl Siege {
    pub fn new(talk: &str) -> Self {
        Self::listening(talk, ANYWHERE, |world| world.command())
    }

    /// With an `[agent]` table, and the command that starts it.
    pub fn listening(
        talk: &str,
        agent: &str,
        command: impl FnOnce(&World) -> std::process::Command,
    ) -> Self {
        let world = World::added();
        world.configure_agent(agent, "imds = true\n[profile.other]\nsource_profile = \"app\"\n");
        let mut command = command(&world);
        command.env("NO_COLOR", "1");
        let agent = Agent::start_at(&world, command, talk);
        let at = agent.listen();
        let token = |profile: &str| {
            let path = world.home.path().join("state").join(profile).join("token");
            std::fs::read_to_string(path).unwrap()
        };
        let (token, other_token) = (token("app"), token("other"));
        let secrets = vec![
            ("the key's secret".to_owned(), world.secret.clone()),
            ("the token of app".to_owned(), token.clone()),
            ("the token of other".to_owned(), other_token.clone()),
        ];
        let mut siege = Self { world, agent, at, token, other_token, secrets };
        // It serves before it has its sessions, and a busy machine takes its time.
        eventually("there are sessions", || {
            ["app", "other"].iter().all(|profile| siege.agent.container(profile).status == 200)
        });
        siege.honest();
        siege
    }

    /// The owner's programs get their credentials, by every source; what they got is secret.
    pub fn honest(&mut self) {
        let of = |answer: Answer| {
            assert_eq!(answer.status, 200, "{answer:?}");
            answer.json()
        };
        let (agent, world) = (&self.agent, &self.world);
        let answers =
            [of(agent.container("app")), of(agent.container("other")), of(agent.imds("app"))];
        assert_eq!(world.served()["SecretAccessKey"], world.secret.as_str());
        for answer in answers {
            for name in ["SecretAccessKey", "Token"] {
                self.keep_secret(&format!("a session's {name}"), answer[name].as_str().unwrap());
            }
        }
    }

    pub fn keep_secret(&mut self, name: &str, secret: &str) {
        if !self.secrets.iter().any(|(_, known)| known == secret) {
            self.secrets.push((name.to_owned(), secret.to_owned()));
        }
    }

    /// The secret that these bytes hold, by its name, and the form in which it is there.
    pub fn secret_in(&self, bytes: &[u8]) -> Option<String> {
        let text = String::from_utf8_lossy(bytes);
        let find = |(name, secret): &(String, String)| {
            Needle::new(secret).find(&text).map(|form| format!("{name} ({form})"))
        };
        self.secrets.iter().find_map(find)
    }

    /// Sends bytes, and takes what comes back until the other side closes.
    pub fn send(&self, bytes: &[u8]) -> Vec<u8> {
        let mut stream = connect(self.at);
        // It may have had enough before the last byte.
        let _ = stream.write_all(bytes);
        read_to_end(&mut stream)
    }

    /// `GET /credentials/app` with the right token, and more headers, each with its line end.
    pub fn with_token(&self, headers: &str) -> String {
        request("GET", "/credentials/app", &format!("Authorization: {}\r\n{headers}", self.token))
    }

    /// The owner is still served; then the agent ends in order, and nothing that it leaves holds a secret. What it said.
    pub fn end(mut self) -> String {
        self.honest();
        let world = &self.world;
        let files = files(world.home.path());
        for (path, bytes) in &files {
            let name = path.strip_prefix(world.home.path()).unwrap();
            let is_token = name.ends_with("token") || name.ends_with("placeholders");
            let is_passphrase = name.ends_with("passphrase");
            let found = self.secret_in(bytes).filter(|_| !is_token);
            assert_eq!(found, None, "{}", name.display());
            let text = String::from_utf8_lossy(bytes);
            let found = Needle::new(PASSPHRASE).find(&text).filter(|_| !is_passphrase);
            assert_eq!(found, None, "{}", name.display());
        }
        assert!(files.len() >= 6, "{} files were read", files.len());
        let secrets = std::mem::take(&mut self.secrets);
        let (code, said) = self.agent.stop();
        assert_eq!(code, 0, "{}", tail(&said));
        for (name, secret) in secrets {
            let needle = Needle::new(&secret);
            let line = said.lines().find(|line| needle.find(line).is_some());
            assert_eq!(line, None, "{name} is in the log");
        }
        said
    }
}

/// A request whose connection is closed after the answer.
pub fn request(method: &str, target: &str, headers: &str) -> String {
    format!("{method} {target} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n{headers}\r\n")
}

pub fn connect(at: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(at).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

pub fn read_to_end(stream: &mut impl Read) -> Vec<u8> {
    let mut bytes = Vec::new();
    match stream.read_to_end(&mut bytes) {
        Err(error) if error.kind() != ErrorKind::ConnectionReset => {
            panic!("{error}, after {:?}", String::from_utf8_lossy(&bytes))
        }
        _ => bytes,
    }
}

/// The statuses of the answers that stand one after the other.
pub fn statuses(bytes: &[u8]) -> Vec<u16> {
    let text = String::from_utf8_lossy(bytes);
    let status = |part: &str| part.get(..3).and_then(|status| status.parse().ok());
    text.split("HTTP/1.1 ").skip(1).filter_map(status).collect()
}

/// How often this was refused, by the log.
pub fn refused(said: &str, why: &str) -> usize {
    let why = format!("why={why} ");
    said.lines().filter(|line| line.contains("refused") && line.contains(&why)).count()
}

/// The last lines of a log.
pub fn tail(said: &str) -> &str {
    let from = said.len().saturating_sub(4000);
    (from..said.len()).find_map(|at| said.get(at..)).unwrap_or(said)
}

/// All files below a folder.
fn files(folder: &Path) -> Vec<(std::path::PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if let Ok(bytes) = std::fs::read(&path) {
            found.push((path, bytes));
        }
    }
    found
}
