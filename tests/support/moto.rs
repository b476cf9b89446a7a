//! moto with authentication on, as a second, independent AWS.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use super::{World, venv};

/// tests/moto/strict_moto.py, until it is dropped.
pub struct Moto {
    pub child: Child,
    /// What it said when it was ready.
    pub ready: Value,
}

impl Moto {
    pub fn start(more: &[&str]) -> Self {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/moto/strict_moto.py");
        let mut child = Command::new(venv().join("bin/python"))
            .arg(script)
            .arg("--with-parent")
            .args(more)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("python starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let ready = serde_json::from_str(&line).expect("moto says that it is ready");
        Self { child, ready }
    }

    pub fn text(&self, name: &str) -> &str {
        self.ready[name].as_str().unwrap()
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        // Its standard input closes: it ends by itself.
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// A world whose IAM is moto.
pub fn world(moto: &Moto) -> World {
    let mut world = World::new();
    world.url = moto.text("endpoint_url").to_owned();
    world.id = moto.text("access_key_id").to_owned();
    world.secret = moto.text("secret_access_key").to_owned();
    world.add();
    world
}
