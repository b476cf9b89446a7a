//! Asking the agent, over its Unix socket.

use std::io;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use zeroize::Zeroizing;

use crate::config::Config;
use crate::failure::{Exit, Failed};
use crate::local_http::{self, Answer, escape};

/// Most questions are answered from memory.
pub const PATIENCE: Duration = Duration::from_secs(3);

/// What has to ask AWS first takes longer.
pub const LONG_PATIENCE: Duration = Duration::from_secs(20);

/// How often, and how far apart, it is looked whether the agent goes by a changed configuration: 2 s in all. One that will
/// not (its log says why) is not waited for longer.
const RELOAD_LOOKS: u32 = 100;
const RELOAD_SPACING: Duration = Duration::from_millis(20);

/// The agent, if one answers.
#[derive(Clone, Debug)]
pub struct Agent {
    socket: PathBuf,
}

impl Agent {
    /// The agent that listens at this socket. That somebody does is seen when it is asked.
    pub fn at(socket: PathBuf) -> Self {
        Self { socket }
    }

    /// Asks something; `None` if no agent listens.
    pub fn ask(
        &self,
        method: &str,
        target: &str,
        body: &[u8],
        patience: Duration,
    ) -> io::Result<Option<Answer>> {
        ask(&self.socket, method, target, body, patience)
    }

    /// What the agent says of itself and of all profiles; `None` if none listens.
    pub fn status(&self) -> Result<Option<Value>, Failed> {
        self.json("/v1/status")
    }

    /// Has it read its configuration again, after that was changed, and waits a moment until it goes by what stands there
    /// now: the next command finds it so. No agent is none that has to.
    pub fn reload(&self, config: &Path) {
        let pid = self.status().ok().flatten().and_then(|status| status["pid"].as_i64());
        let pid =
            pid.and_then(|pid| i32::try_from(pid).ok()).and_then(rustix::process::Pid::from_raw);
        let Some(pid) = pid else { return };
        // It may have ended just now.
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::HUP);
        let Ok(wanted) = Config::load(config) else { return };
        for _ in 0..RELOAD_LOOKS {
            match self.status() {
                Ok(Some(status)) if status["config"].as_str() != Some(&wanted.digest) => {
                    std::thread::sleep(RELOAD_SPACING);
                }
                _ => return,
            }
        }
    }

    /// What it says of one profile; `None` if none listens, or it does not serve that profile.
    pub fn profile(&self, profile: &str) -> Result<Option<Value>, Failed> {
        self.json(&format!("/v1/profiles/{}", escape(profile)))
    }

    /// Has it do something with a profile. False if none listens, or it does not serve that profile.
    pub fn order(&self, profile: &str, what: &str, body: &[u8]) -> Result<bool, Failed> {
        let target = format!("/v1/profiles/{}/{what}", escape(profile));
        let answer = self.ask("POST", &target, body, LONG_PATIENCE).map_err(|e| broken(&e))?;
        match answer {
            None => Ok(false),
            Some(answer) if answer.status == 404 => Ok(false),
            Some(answer) if answer.status < 300 => Ok(true),
            Some(answer) => Err(refused(&answer)),
        }
    }

    fn json(&self, target: &str) -> Result<Option<Value>, Failed> {
        match self.ask("GET", target, b"", PATIENCE).map_err(|error| broken(&error))? {
            Some(answer) if answer.status == 200 => {
                let value = serde_json::from_slice(&answer.body);
                value.map(Some).map_err(|error| broken(&io::Error::other(error)))
            }
            Some(answer) if answer.status == 404 => Ok(None),
            Some(answer) => Err(refused(&answer)),
            None => Ok(None),
        }
    }
}

/// Asks whoever listens at a socket; `None` if nobody does.
pub fn ask(
    socket: &Path,
    method: &str,
    target: &str,
    body: &[u8],
    patience: Duration,
) -> io::Result<Option<Answer>> {
    let stream = match connect(socket) {
        Ok(stream) => stream,
        // No socket, or one that a killed agent left behind.
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
            ) =>
        {
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    stream.set_read_timeout(Some(patience))?;
    stream.set_write_timeout(Some(patience))?;
    local_http::ask(stream, method, target, "", body).map(Some)
}

/// An agent that stands still, with as many waiting for it as the kernel lets wait, must not hold us: that is
/// `WouldBlock`, at once.
#[cfg(target_os = "linux")]
fn connect(socket: &Path) -> io::Result<UnixStream> {
    use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let fd = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    rustix::net::connect(&fd, &SocketAddrUnix::new(socket)?)?;
    let stream = UnixStream::from(fd);
    stream.set_nonblocking(false)?;
    Ok(stream)
}

#[cfg(not(target_os = "linux"))]
fn connect(socket: &Path) -> io::Result<UnixStream> {
    UnixStream::connect(socket)
}

/// What a refusal says for itself: `{"code": ..., "message": ...}`.
pub fn message(answer: &Answer) -> String {
    let body: Option<Value> = serde_json::from_slice(&answer.body).ok();
    let text = body.as_ref().and_then(|body| body["message"].as_str());
    text.map_or_else(|| format!("HTTP {}", answer.status), str::to_owned)
}

fn refused(answer: &Answer) -> Failed {
    Failed::new(Exit::Failed, format!("the agent: {}", message(answer)))
}

fn broken(error: &io::Error) -> Failed {
    Failed::new(Exit::Unreachable, format!("the agent does not answer: {error}"))
        .hint("see its log, or start it again: `rotakey agent`")
}

/// The body of an order that carries a secret, wiped when it is dropped.
pub fn secret_body(secret: &str) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(secret.as_bytes().to_vec())
}
