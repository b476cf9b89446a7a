//! What every test from outside needs: a world with a simulator and a home folder of its own, and the real
//! binary to run in it.
#![allow(dead_code, missing_docs, unreachable_pub, reason = "each test uses its own part")]
#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "tests touch the world")]

pub mod activator;
pub mod agent;
pub mod awscli;
pub mod moto;
pub mod secrets;
pub mod users;
pub mod volume;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rotakey_agent::simulator::{Behaviour, Server, Simulator};
use serde_json::{Value, json};

/// The passphrase of every test's key file.
pub const PASSPHRASE: &str = "a test's passphrase";

/// A user with a key at a simulator, and a home folder.
pub struct World {
    pub home: tempfile::TempDir,
    pub simulator: Arc<Mutex<Simulator>>,
    pub url: String,
    pub id: String,
    pub secret: String,
    runtime: tokio::runtime::Runtime,
    server: Option<Server>,
}

/// What a run of the binary came to.
#[derive(Debug)]
pub struct Run {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl World {
    /// A simulator that is as quick as it can be.
    pub fn new() -> Self {
        Self::with(json!({"last_used_granularity": 1000}))
    }

    /// A simulator that behaves so; the user's first key is an old one, accepted everywhere.
    pub fn with(behaviour: Value) -> Self {
        let delay = |name: &str| behaviour[name].as_u64().unwrap_or(0);
        let settled = delay("visible_after").max(delay("flaps_until"));
        let behaviour: Behaviour = serde_json::from_value(behaviour).expect("a behaviour");
        let simulator = Arc::new(Mutex::new(Simulator::new(behaviour)));
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let server = runtime
            .block_on(Server::start(
                Arc::clone(&simulator),
                Timestamp::now,
                ([127, 0, 0, 1], 0).into(),
            ))
            .expect("a port");
        let url = server.endpoint_url();
        let home = tempfile::tempdir().expect("a folder");
        let mut world = Self {
            home,
            simulator,
            url,
            id: String::new(),
            secret: String::new(),
            runtime,
            server: Some(server),
        };
        world.control(json!({"op": "create-user", "user": "app"}));
        let key = world.control(json!({"op": "create-key", "user": "app"}));
        world.id = key["access_key_id"].as_str().expect("an id").to_owned();
        world.secret = key["secret_access_key"].as_str().expect("a secret").to_owned();
        world.write("passphrase", PASSPHRASE);
        world.configure("");
        if settled > 0 {
            std::thread::sleep(std::time::Duration::from_millis(settled + 100));
        }
        world
    }

    /// The same, with the key added as profile `app` and durations of a few seconds.
    pub fn added() -> Self {
        let world = Self::new();
        world.add();
        world
    }

    /// Begins the key file with one whose key derivation costs nearly nothing. The real one's takes a tenth of
    /// a second of each process, which a test with a thousand of them does not have.
    pub fn lighten_keys(&self) {
        use std::os::unix::fs::DirBuilderExt;
        let state = self.home.path().join("state");
        std::fs::DirBuilder::new().mode(0o700).create(state).expect("writable");
        self.write("state/keys", include_str!("keys.json"));
    }

    pub fn add(&self) {
        self.add_key("app", &self.id, &self.secret);
        self.configure(&self.quick_profile(""));
    }

    /// `add` of this key as this profile.
    pub fn add_key(&self, profile: &str, id: &str, secret: &str) {
        let key = ["add", profile, "--access-key-id", id, "--secret-stdin"];
        let args = [&key[..], &["--endpoint-url", &self.url]].concat();
        let run = self.rotakey_with_stdin(&args, secret);
        assert_eq!(run.code, 0, "{run:?}");
    }

    /// A profile, and a user of its name, with a key that was made so many days ago.
    pub fn add_aged(&self, profile: &str, days: i64) {
        let (id, secret) = ("AKIAOLDOLDOLDOLDOLD1", "an/old+secret00000000000000000000000000");
        let created = Timestamp::now() - jiff::SignedDuration::from_hours(24 * days);
        self.control(json!({"op": "create-user", "user": profile}));
        self.control(json!({"op": "import-key", "user": profile, "access_key_id": id,
            "secret_access_key": secret, "status": "Active", "created": created}));
        self.add_key(profile, id, secret);
    }

    /// A profile's table with short durations, and more.
    pub fn quick_profile(&self, more: &str) -> String {
        format!(
            "[profile.app]\nuser = \"app\"\nendpoint_url = \"{}\"\nunsafe_durations = true\nlease = \"1s\"\nsoak = \"1s\"\n\
             probe = {{ successes = 2, spacing = \"100ms\", deadline = \"8s\" }}\n{more}",
            self.url
        )
    }

    pub fn configure(&self, rest: &str) {
        let passphrase = self.home.path().join("passphrase");
        let store = format!("[store]\nkind = \"file\"\npassphrase_file = {passphrase:?}\n");
        self.write("config.toml", &format!("{store}{rest}"));
    }

    /// Writes a private file into the home folder.
    pub fn write(&self, name: &str, text: &str) {
        use std::os::unix::fs::OpenOptionsExt;
        let path = self.home.path().join(name);
        let _ = std::fs::remove_file(&path);
        let mut options = std::fs::OpenOptions::new();
        let mut file =
            options.write(true).create_new(true).mode(0o600).open(path).expect("writable");
        file.write_all(text.as_bytes()).expect("writable");
    }

    pub fn state(&self) -> PathBuf {
        self.home.path().join("state/app")
    }

    /// An order to the simulator, as its admin.
    pub fn control(&self, command: Value) -> Value {
        let command = serde_json::from_value(command).expect("a command of the simulator");
        self.simulator.lock().unwrap().control(Timestamp::now(), command).expect("obeyed")
    }

    /// The user's keys as they truly are: (id, status).
    pub fn keys(&self) -> Vec<(String, String)> {
        let keys = self.control(json!({"op": "keys", "user": "app"}));
        let text = |key: &Value, name: &str| key[name].as_str().unwrap().to_owned();
        let keys = keys["keys"].as_array().unwrap();
        keys.iter().map(|key| (text(key, "access_key_id"), text(key, "status"))).collect()
    }

    pub fn fault(&self, action: &str, kind: &str) {
        self.control(json!({"op": "fault", "action": action, "kind": kind}));
    }

    pub fn command(&self) -> Command {
        // Figures are those of a release build, which only a person asks for.
        let binary = std::env::var_os("ROTAKEY_TEST_BINARY");
        let binary = binary.unwrap_or_else(|| env!("CARGO_BIN_EXE_rotakey").into());
        let mut command = Command::new(binary);
        command
            .env_clear()
            .env("PATH", std::env::var("PATH").unwrap_or_default())
            .env("ROTAKEY_HOME", self.home.path())
            .env("AWS_PROFILE", "app")
            // Nobody's desktop shows what a test does.
            .env("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nonexistent");
        // Only a test that made its own session bus may use one.
        if std::env::var_os("ROTAKEY_TEST_KEYRING_SESSION").is_some()
            && let Some(bus) = std::env::var_os("DBUS_SESSION_BUS_ADDRESS")
        {
            command.env("DBUS_SESSION_BUS_ADDRESS", bus);
        }
        command
    }

    pub fn rotakey(&self, args: &[&str]) -> Run {
        self.rotakey_with_stdin(args, "")
    }

    pub fn rotakey_with_stdin(&self, args: &[&str], stdin: &str) -> Run {
        let mut child = self.spawn(args);
        let mut pipe = child.stdin.take().expect("piped");
        // A process that ends before it reads is for the test to judge.
        let _ = pipe.write_all(stdin.as_bytes());
        drop(pipe);
        child.wait_with_output().expect("it ends").into()
    }

    pub fn spawn(&self, args: &[&str]) -> Child {
        self.command()
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts")
    }

    /// Runs it and expects an exit code.
    pub fn expect(&self, code: i32, args: &[&str]) -> Run {
        let run = self.rotakey(args);
        assert_eq!(run.code, code, "rotakey {args:?}: {run:?}");
        run
    }

    /// What `credential-process` serves now.
    pub fn served(&self) -> Value {
        let run = self.expect(0, &["credential-process"]);
        assert_eq!(run.stderr, "", "credential-process is silent");
        serde_json::from_str(&run.stdout).expect("JSON")
    }

    pub fn served_id(&self) -> String {
        self.served()["AccessKeyId"].as_str().unwrap().to_owned()
    }

    pub fn status(&self) -> Value {
        let run = self.expect(0, &["status", "--json"]);
        let status: Value = serde_json::from_str(&run.stdout).expect("JSON");
        status["profiles"][0].clone()
    }

    /// The step of the open rotation, if one is open.
    pub fn step(&self) -> Option<String> {
        self.status()["rotation"]["step"].as_str().map(str::to_owned)
    }

    /// One active key, which is the served one and not the first one.
    pub fn assert_rotated(&self) {
        let keys = self.keys();
        assert_eq!(keys.len(), 1, "{keys:?}");
        assert_eq!(keys[0], (self.served_id(), "Active".to_owned()));
        assert_ne!(keys[0].0, self.id);
        assert_eq!(self.step(), None);
    }

    /// Whether the simulator accepts a key right now.
    pub fn accepts(&self, id: &str) -> bool {
        let command =
            json!({"op": "use-key", "access_key_id": id, "service": "s3", "region": "us-east-1"});
        self.control(command)["accepted"] == true
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some(server) = self.server.take() {
            self.runtime.block_on(server.stop());
        }
    }
}

impl From<Output> for Run {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).expect("text"),
            stderr: String::from_utf8(output.stderr).expect("text"),
        }
    }
}

/// What the simulator draws its ids from, where they may not be those of another test: `scan` looks into every process.
pub fn own_seed() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    std::process::id() * 64 + NEXT.fetch_add(1, Ordering::Relaxed)
}

/// The virtual environment with moto and the AWS CLI that `make test` installs.
pub fn venv() -> PathBuf {
    let venv = std::env::var_os("ROTAKEY_TEST_VENV")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.venv"), PathBuf::from);
    assert!(
        venv.join("bin/aws").exists(),
        "{} is missing: run `make test`, which installs it",
        venv.display()
    );
    venv
}

/// Waits until something holds; the test fails if it does not within a minute.
pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !holds() {
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The ids whose secrets the key file holds.
pub fn stored_ids(world: &World) -> Vec<String> {
    let bytes = std::fs::read(world.home.path().join("state/keys")).expect("a key file");
    let file: Value = serde_json::from_slice(&bytes).expect("JSON");
    let mut ids = Vec::new();
    collect_ids(&file, &mut ids);
    ids.sort();
    ids
}

fn collect_ids(value: &Value, ids: &mut Vec<String>) {
    if let Value::Object(map) = value {
        for (name, value) in map {
            if name.starts_with("AKIA") {
                ids.push(name.clone());
            }
            collect_ids(value, ids);
        }
    }
    if let Value::Array(list) = value {
        for value in list {
            if let Some(id) = value.get("id").and_then(Value::as_str) {
                ids.push(id.to_owned());
            }
            collect_ids(value, ids);
        }
    }
}
