//! A simulator, a home folder, and agents in it: the real binary, built for release.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::http;

/// Something went wrong with the measuring.
pub(crate) type Error = Box<dyn std::error::Error>;

/// A program that is killed when this is dropped.
#[derive(Debug)]
pub(crate) struct Running(Child);

impl Running {
    pub(crate) fn new(child: Child) -> Self {
        Self(child)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A program of the folder that this one is in.
pub(crate) fn sibling(name: &str) -> Result<PathBuf, Error> {
    let path = std::env::current_exe()?.with_file_name(name);
    if path.exists() {
        Ok(path)
    } else {
        Err(format!("{} is missing: make bench builds it", path.display()).into())
    }
}

/// The processor's time that a process has had, in microseconds; the kernel counts in steps of 10 ms (proc_pid_stat(5)).
pub(crate) fn cpu_us(pid: u32) -> Result<f64, Error> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // After the name, which may hold blanks, comes field 3; 14 and 15 are the times.
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks: Vec<f64> = fields.skip(11).take(2).filter_map(|ticks| ticks.parse().ok()).collect();
    Ok(ticks.iter().sum::<f64>() * 10_000.0)
}

/// What a line of `/proc/<pid>/status` says, in KiB.
pub(crate) fn memory_kib(pid: u32, line: &str) -> Result<f64, Error> {
    let status = std::fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("status"))?;
    let found = status.lines().find_map(|text| text.strip_prefix(line)?.strip_prefix(':'));
    Ok(found.ok_or("no such line")?.trim().trim_end_matches(" kB").parse()?)
}

/// A home folder and the simulator that its profiles use.
#[derive(Debug)]
pub(crate) struct World {
    home: tempfile::TempDir,
    simulator: (Running, String),
}

/// An agent that serves.
#[derive(Debug)]
pub(crate) struct Agent {
    process: Running,
    /// `127.0.0.1:<port>`.
    pub(crate) address: String,
    /// From its being started until it said that it serves.
    pub(crate) start: Duration,
    home: PathBuf,
}

impl World {
    /// A world without profiles. `light` makes the key file's key derivation cost nothing, where a thousand processes
    /// open it; without, it is the real one.
    pub(crate) fn new(light: bool) -> Result<Self, Error> {
        let home = tempfile::tempdir()?;
        let mut child = Command::new(sibling("rotakey")?)
            .args(["simulator", "--listen", "127.0.0.1:0"])
            .stdout(Stdio::piped())
            .spawn()?;
        let line = line(child.stdout.take().ok_or("no output")?, "")?;
        let running = Running(child);
        let said: Value = serde_json::from_str(&line)?;
        let url = said["endpoint_url"].as_str().ok_or("the simulator has no URL")?;
        let world = Self { simulator: (running, url.to_owned()), home };
        let passphrase = world.home.path().join("passphrase");
        world.write("passphrase", "a passphrase to measure with")?;
        if light {
            std::fs::DirBuilder::new().mode(0o700).create(world.home.path().join("state"))?;
            world.write("passphrase", "a test's passphrase")?;
            world.write("state/keys", include_str!("../../support/keys.json"))?;
        }
        world.write(
            "config.toml",
            &format!("[agent]\nlisten = \"127.0.0.1:0\"\n[store]\nkind = \"file\"\npassphrase_file = {passphrase:?}\n"),
        )?;
        Ok(world)
    }

    /// Makes a user with a key at the simulator, and adds it as a profile with further lines of configuration.
    pub(crate) fn add(&self, profile: &str, more: &str) -> Result<(), Error> {
        self.control(&json!({"op": "create-user", "user": profile}))?;
        let key = self.control(&json!({"op": "create-key", "user": profile}))?;
        let text = |name: &str| key[name].as_str().unwrap_or_default().to_owned();
        let id = text("access_key_id");
        let mut child = self
            .rotakey(&["add", profile, "--access-key-id", &id, "--secret-stdin"])?
            .args(["--endpoint-url", &self.simulator.1])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        let mut stdin = child.stdin.take().ok_or("no input")?;
        stdin.write_all(text("secret_access_key").as_bytes())?;
        drop(stdin);
        let output = child.wait_with_output()?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into());
        }
        let config = self.home.path().join("config.toml");
        let mut file = std::fs::OpenOptions::new().append(true).open(config)?;
        Ok(file.write_all(more.as_bytes())?)
    }

    /// Writes the configuration anew.
    pub(crate) fn edit(&self, change: impl FnOnce(String) -> String) -> Result<(), Error> {
        let config = std::fs::read_to_string(self.home.path().join("config.toml"))?;
        self.write("config.toml", &change(config))
    }

    /// Starts an agent.
    pub(crate) fn agent(&self) -> Result<Agent, Error> {
        let began = Instant::now();
        let mut child = self.rotakey(&["agent"])?.stderr(Stdio::piped()).spawn()?;
        let said = line(child.stderr.take().ok_or("no output")?, "serving");
        let process = Running(child);
        let said = said?;
        let start = began.elapsed();
        let address = said.rsplit("http://").next().ok_or("it serves nowhere")?.to_owned();
        Ok(Agent { process, address, start, home: self.home.path().to_owned() })
    }

    /// A command of rotakey's in this world.
    pub(crate) fn rotakey(&self, arguments: &[&str]) -> Result<Command, Error> {
        let mut command = Command::new(sibling("rotakey")?);
        command.env_clear().env("ROTAKEY_HOME", self.home.path()).args(arguments);
        Ok(command)
    }

    fn control(&self, order: &Value) -> Result<Value, Error> {
        let address = self.simulator.1.trim_start_matches("http://");
        Ok(serde_json::from_slice(&http::post(address, "/_simulator", &order.to_string())?)?)
    }

    fn write(&self, name: &str, text: &str) -> Result<(), Error> {
        let path = self.home.path().join(name);
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        Ok(options.open(path)?.write_all(text.as_bytes())?)
    }
}

impl Agent {
    pub(crate) fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Its Unix socket.
    pub(crate) fn socket(&self) -> PathBuf {
        self.home.join("run/agent.sock")
    }

    /// The token of a profile, which callers of the container endpoint show.
    pub(crate) fn token(&self, profile: &str) -> Result<String, Error> {
        Ok(std::fs::read_to_string(self.home.join("state").join(profile).join("token"))?)
    }

    /// Waits until all profiles have temporary credentials. Answers how long that took from the start.
    pub(crate) fn settled(&self, began: Instant, profiles: usize) -> Result<Duration, Error> {
        loop {
            let status: Value =
                serde_json::from_slice(&http::get_unix(&self.socket(), "/v1/status")?)?;
            let all = status["profiles"].as_object().ok_or("no profiles")?;
            if all.len() == profiles && all.values().all(|profile| !profile["temporary"].is_null())
            {
                return Ok(began.elapsed());
            }
            if began.elapsed() > Duration::from_secs(60) {
                return Err("not all profiles have a session after a minute".into());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// What a line of `/proc/<pid>/status` says, in KiB.
    pub(crate) fn memory(&self, line: &str) -> Result<f64, Error> {
        memory_kib(self.pid(), line)
    }
}

/// The first line of a program that begins so; what follows is read and forgotten.
fn line(from: impl std::io::Read + Send + 'static, start: &str) -> Result<String, Error> {
    let mut lines = BufReader::new(from).lines();
    let mut said = String::new();
    for line in lines.by_ref() {
        said = line?;
        if said.starts_with(start) {
            std::thread::spawn(move || lines.for_each(drop));
            return Ok(said);
        }
    }
    Err(format!("a program ended; the last that it said: {said}").into())
}
