//! The server behind the proxy: upstream.py, which checks signatures and keeps a log.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde::Deserialize;
use serde_json::Value;

use super::place::{python, root};
use super::support::agent::http;

/// A key that the server knows.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Key {
    #[serde(rename = "access_key_id")]
    pub(crate) id: String,
    #[serde(rename = "secret_access_key")]
    pub(crate) secret: String,
}

/// Where it is, and its users' keys.
#[derive(Debug, Deserialize)]
pub(crate) struct Ready {
    pub(crate) endpoint_url: String,
    /// rotakey's.
    pub(crate) app: Key,
    /// That of clients without the proxy.
    pub(crate) direct: Key,
}

/// A request that came.
#[derive(Debug, Deserialize)]
pub(crate) struct Came {
    pub(crate) method: String,
    pub(crate) host: String,
    pub(crate) target: String,
    pub(crate) key: Option<String>,
    /// How the body was signed.
    pub(crate) payload: Option<String>,
    pub(crate) refused: Option<String>,
}

impl Came {
    /// Whether it is about something in this bucket, which stands in the path or before the host.
    pub(crate) fn is_in(&self, bucket: &str) -> bool {
        let before = |whole: &str, end: &str| {
            whole.strip_prefix(bucket).is_some_and(|it| it.starts_with(end))
        };
        before(&self.host, ".s3") || self.target.strip_prefix('/').is_some_and(|it| before(it, "/"))
    }
}

pub(crate) struct Upstream {
    child: Child,
    pub(crate) ready: Ready,
}

impl Upstream {
    /// Starts it, with a bucket and a queue for each of these names.
    pub(crate) fn start(small: &Path, names: &[String]) -> Self {
        let mut child = Command::new(python())
            .arg(root().join("tests/proxy_clients/upstream.py"))
            .arg(small)
            .args(names)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("python starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let ready = serde_json::from_str(&line).expect("it says that it is ready");
        Self { child, ready }
    }

    fn ask(&self, target: &str) -> Value {
        let at: SocketAddr = self.ready.endpoint_url.trim_start_matches("http://").parse().unwrap();
        http(at, "GET", target, "").json()
    }

    /// All that came since it was asked last.
    pub(crate) fn log(&self) -> Vec<Came> {
        serde_json::from_value(self.ask("/_matrix/log")).expect("a log")
    }

    /// What a bucket holds: the size and the SHA-256 of each key's object.
    pub(crate) fn objects(&self, bucket: &str) -> BTreeMap<String, (u64, String)> {
        serde_json::from_value(self.ask(&format!("/_matrix/objects/{bucket}"))).expect("objects")
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        // Its standard input closes: it ends by itself.
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}
