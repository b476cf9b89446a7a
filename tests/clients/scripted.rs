//! Sources that say what a test wants, and an STS that believes everybody and remembers who signed.
//!
//! They stand in for the agent where the client is what is tested: they can serve an hour's lease, move with the
//! client's clock through it, and fail in every way.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::script::{Failure, Form, Script};
use super::sources::{Place, aws_config};

/// A source that nobody asked for so long is not being asked.
const QUIET: Duration = Duration::from_millis(150);

/// The sources and the API of one client.
pub(crate) struct Scripted {
    shared: Arc<Shared>,
    folder: PathBuf,
    pub(crate) place: Place,
}

struct Shared {
    script: Mutex<Script>,
    /// How often the HTTP sources were asked for a credential.
    asked: AtomicU64,
    /// The `x-amz-security-token` of the latest API request.
    token: Mutex<Option<String>>,
    refusing: AtomicBool,
    over: AtomicBool,
}

impl Scripted {
    pub(crate) fn start(folder: &Path) -> Self {
        let listen = || TcpListener::bind("127.0.0.1:0").expect("a port");
        let (api, source) = (listen(), listen());
        let address = |of: &TcpListener| of.local_addr().expect("bound");
        // A space in its path: the line in the configuration means the same to shlex and to sh.
        let program = folder.join("a source/serve");
        let place = Place {
            api: format!("http://{}", address(&api)),
            http: format!("http://{}", address(&source)),
            token: "a-token-of-the-container".to_owned(),
            token_file: folder.join("token"),
            config: folder.join("aws-config"),
            home: folder.to_owned(),
            imds_attempts: 1,
        };
        std::fs::create_dir(folder.join("a source")).expect("writable");
        std::fs::write(&program, include_str!("serve.sh")).expect("writable");
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o700)).expect("ours");
        std::fs::write(&place.token_file, &place.token).expect("writable");
        let line = aws_config(&format!("\"{}\"", program.display()));
        std::fs::write(&place.config, line).expect("writable");
        let script = Script {
            access_key_id: String::new(),
            lifetime_seconds: 3600,
            ahead_seconds: 0,
            form: Form::Plain,
            failure: None,
        };
        let shared = Arc::new(Shared {
            script: Mutex::new(script),
            asked: AtomicU64::new(0),
            token: Mutex::new(None),
            refusing: AtomicBool::new(false),
            over: AtomicBool::new(false),
        });
        for (listener, answer) in [(api, Shared::api as Answering), (source, Shared::source)] {
            let shared = Arc::clone(&shared);
            std::thread::spawn(move || shared.serve(listener, answer));
        }
        let scripted = Self { shared, folder: folder.to_owned(), place };
        scripted.change(|_| {});
        scripted
    }

    /// Changes what the sources say from now on.
    pub(crate) fn change(&self, how: impl FnOnce(&mut Script)) {
        let script = {
            let mut script = self.shared.script.lock().expect("unpoisoned");
            how(&mut script);
            script.clone()
        };
        let at = |name: &str| self.folder.join("a source").join(name);
        let behave = match script.failure {
            None => "",
            Some(Failure::Refused | Failure::Status500) => "echo 'no credential' >&2; exit 1",
            Some(Failure::Hangs) => "sleep 3; exit 1",
            Some(Failure::Garbage) => "echo '{\"Version\": 1, \"Acc'; exit 0",
            Some(Failure::Empty) => "exit 0",
        };
        std::fs::write(at("behave"), behave).expect("writable");
        std::fs::write(at("answer"), script.process_answer()).expect("writable");
        let refuse = script.failure == Some(Failure::Refused);
        while self.shared.refusing.load(Ordering::Acquire) != refuse {
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// How often a credential was asked for since the last time that this was called; waits until nobody asks.
    pub(crate) fn asked(&self) -> u64 {
        let file = self.folder.join("a source/asked");
        let count = || {
            let spawned = std::fs::read(&file).unwrap_or_default().len() as u64;
            spawned + self.shared.asked.load(Ordering::Acquire)
        };
        let (mut seen, mut since) = (count(), Instant::now());
        while since.elapsed() < QUIET {
            std::thread::sleep(Duration::from_millis(10));
            if count() != seen {
                (seen, since) = (count(), Instant::now());
            }
        }
        self.shared.asked.store(0, Ordering::Release);
        std::fs::write(file, "").expect("writable");
        seen
    }

    /// The session token that the latest API request carried, if it had that header.
    pub(crate) fn token(&self) -> Option<String> {
        self.shared.token.lock().expect("unpoisoned").clone()
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::Release);
    }
}

type Answering = fn(&Shared, &Request) -> Option<String>;

struct Request {
    line: String,
    token: Option<String>,
}

impl Shared {
    fn serve(self: Arc<Self>, listener: TcpListener, answer: Answering) {
        let address = listener.local_addr().expect("bound");
        let is_source = answer as usize == Self::source as Answering as usize;
        let mut listener = Some(listener);
        while !self.over.load(Ordering::Acquire) {
            if is_source {
                self.open_or_shut(&mut listener, address);
            }
            let accepted = listener.as_ref().and_then(|listener| {
                listener.set_nonblocking(true).expect("a socket");
                listener.accept().ok()
            });
            let Some((stream, _)) = accepted else {
                std::thread::sleep(Duration::from_millis(2));
                continue;
            };
            let shared = Arc::clone(&self);
            // A client that goes away in the middle is none of our business.
            std::thread::spawn(move || shared.converse(stream, answer).ok());
        }
    }

    fn open_or_shut(&self, listener: &mut Option<TcpListener>, address: SocketAddr) {
        let refuse = self.script.lock().expect("unpoisoned").failure == Some(Failure::Refused);
        if refuse {
            *listener = None;
        } else if listener.is_none() {
            *listener = TcpListener::bind(address).ok();
        }
        self.refusing.store(listener.is_none(), Ordering::Release);
    }

    fn converse(&self, stream: TcpStream, answer: Answering) -> std::io::Result<()> {
        stream.set_nonblocking(false)?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        let mut reader = BufReader::new(stream);
        let mut request = Request { line: String::new(), token: None };
        reader.read_line(&mut request.line)?;
        let mut length = 0;
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            let Some((name, value)) = line.trim().split_once(':') else { break };
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = value.trim().parse().unwrap_or(0),
                "x-amz-security-token" => request.token = Some(value.trim().to_owned()),
                _ => {}
            }
        }
        std::io::copy(&mut reader.by_ref().take(length), &mut std::io::sink())?;
        match answer(self, &request) {
            Some(text) => reader.get_mut().write_all(text.as_bytes()),
            None => Ok(()),
        }
    }

    fn api(&self, request: &Request) -> Option<String> {
        self.token.lock().expect("unpoisoned").clone_from(&request.token);
        Some(response(200, "text/xml", include_str!("identity.xml")))
    }

    fn source(&self, request: &Request) -> Option<String> {
        let script = self.script.lock().expect("unpoisoned").clone();
        let path = request.line.split(' ').nth(1).unwrap_or_default();
        let last = path == "/credentials/app" || path.ends_with("/security-credentials/app");
        if last {
            self.asked.fetch_add(1, Ordering::AcqRel);
        }
        Some(match (script.failure, path) {
            (Some(Failure::Refused), _) => return None,
            (Some(Failure::Hangs), _) => {
                std::thread::sleep(Duration::from_secs(3));
                return None;
            }
            (Some(Failure::Status500), _) => response(500, "text/plain", "out of order"),
            (Some(Failure::Garbage), _) if last => {
                response(200, "application/json", "{\"Code\": \"Suc")
            }
            (Some(Failure::Empty), _) if last => response(200, "application/json", ""),
            (_, "/latest/api/token") => response(200, "text/plain", "a-token"),
            (_, "/latest/meta-data/iam/security-credentials/") => {
                response(200, "text/plain", "app")
            }
            _ if last => response(200, "application/json", &script.http_answer()),
            _ => response(404, "text/plain", ""),
        })
    }
}

/// Without a `Date`, so that no client sets its clock by it.
fn response(status: u16, kind: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status} Scripted\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\
         x-aws-ec2-metadata-token-ttl-seconds: 21600\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}
