//! What is measured: the agent's proxy, and others that forward the same requests to the same sink.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::world::{Agent, Error, Running, World, cpu_us, memory_kib, sibling};

/// A program that forwards requests.
pub(super) struct Contender {
    pub(super) name: &'static str,
    /// `127.0.0.1:<port>`
    pub(super) address: String,
    /// The processes that do the work; none, if there is nothing between.
    pub(super) pids: Vec<u32>,
    _runs: Box<dyn std::any::Any>,
}

impl Contender {
    /// The processor's time that it has had, in microseconds.
    pub(super) fn cpu_us(&self) -> Result<f64, Error> {
        self.pids.iter().map(|pid| cpu_us(*pid)).sum()
    }

    /// A line of `/proc/<pid>/status`, of all its processes together, in MiB.
    pub(super) fn memory_mib(&self, line: &str) -> Result<f64, Error> {
        let kib: Result<f64, Error> = self.pids.iter().map(|pid| memory_kib(*pid, line)).sum();
        Ok(kib? / 1024.0)
    }
}

/// The sink itself, with nothing before it: what the load and the machine allow.
pub(super) fn sink() -> Result<Contender, Error> {
    let (running, address) = started(Command::new(sibling("rotakey-bench-sink")?))?;
    Ok(Contender { name: "no proxy", address, pids: Vec::new(), _runs: Box::new(running) })
}

/// hyper on both sides, and nothing between them, or the hash of every body.
pub(super) fn bare(sink: &str, hashes: bool) -> Result<Contender, Error> {
    let mut command = Command::new(sibling("rotakey-bench-bare")?);
    command.arg(sink);
    if hashes {
        command.arg("hash");
    }
    let (running, address) = started(command)?;
    let name = if hashes { "bare, hashing" } else { "bare" };
    Ok(Contender { name, address, pids: vec![running.pid()], _runs: Box::new(running) })
}

/// Starts a program that prints its port.
fn started(mut command: Command) -> Result<(Running, String), Error> {
    let mut child = command.stdout(Stdio::piped()).spawn()?;
    let stdout = child.stdout.take();
    let running = Running::new(child);
    let mut port = String::new();
    BufReader::new(stdout.ok_or("no output")?).read_line(&mut port)?;
    Ok((running, format!("127.0.0.1:{}", port.trim())))
}

/// The agent with one profile, whose requests go to the sink; IAM and STS stay the simulator's.
pub(super) fn rotakey(sink: &str) -> Result<(Contender, super::requests::Signer), Error> {
    let world = World::new(false)?;
    world.add("app", "")?;
    world.edit(|config| {
        let iam = config.replace("endpoint_url = ", "endpoint_url_iam = ");
        let sts = config.lines().find_map(|line| line.strip_prefix("endpoint_url = "));
        let sts = sts.map_or(String::new(), |url| format!("endpoint_url_sts = {url}\n"));
        let agent = "[agent]\nproxy_listen = \"127.0.0.1:0\"\n";
        format!("{}{sts}endpoint_url = \"http://{sink}\"\n", iam.replace("[agent]\n", agent))
    })?;
    let agent: Agent = world.agent()?;
    let arguments = ["env", "app", "--source", "proxy", "--format", "json"];
    let output = world.rotakey(&arguments)?.output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into());
    }
    let told: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    let text = |name: &str| told[name].as_str().map(str::to_owned).ok_or("a variable is missing");
    let address = text("AWS_ENDPOINT_URL")?.trim_start_matches("http://").to_owned();
    let signer = super::requests::Signer {
        id: text("AWS_ACCESS_KEY_ID")?,
        secret: text("AWS_SECRET_ACCESS_KEY")?,
        host: address.clone(),
    };
    let (name, pids) = ("rotakey", vec![agent.pid()]);
    Ok((Contender { name, address, pids, _runs: Box::new((agent, world)) }, signer))
}

/// nginx as a plain reverse proxy with two workers; a body goes on as it comes, and connections are kept on both sides.
pub(super) fn nginx(sink: &str) -> Result<Contender, Error> {
    let folder = tempfile::tempdir()?;
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let path = folder.path().join("nginx.conf");
    std::fs::write(&path, nginx_conf(folder.path(), port, sink))?;
    // Debian has it where only root's PATH leads.
    let program = PathBuf::from("/usr/sbin/nginx");
    let child = Command::new(&program).arg("-c").arg(&path).arg("-e").arg("stderr").spawn();
    let child =
        child.map_err(|error| format!("nginx: {error}; hint: apt-get install nginx-light"))?;
    let (master, began) = (Master { child, folder, program }, Instant::now());
    let address = format!("127.0.0.1:{port}");
    while std::net::TcpStream::connect(&address).is_err() {
        if began.elapsed() > Duration::from_secs(10) {
            return Err("nginx does not serve".into());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let pid = master.child.id();
    let workers = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
    let workers: Result<Vec<u32>, _> = workers.split_whitespace().map(str::parse).collect();
    let pids = std::iter::once(pid).chain(workers?).collect();
    Ok(Contender { name: "nginx", address, pids, _runs: Box::new(master) })
}

/// nginx's first process: killed, it would leave its workers behind.
struct Master {
    child: std::process::Child,
    folder: tempfile::TempDir,
    program: PathBuf,
}

impl Drop for Master {
    fn drop(&mut self) {
        let config = self.folder.path().join("nginx.conf");
        let mut stop = Command::new(&self.program);
        // It may have ended already.
        let _ = stop
            .arg("-c")
            .arg(config)
            .args(["-e", "stderr", "-s", "stop"])
            .stderr(Stdio::null())
            .status();
        let _ = self.child.wait();
    }
}

fn nginx_conf(folder: &Path, port: u16, sink: &str) -> String {
    let folder = folder.display();
    let mut text = format!("daemon off;\nworker_processes 2;\npid {folder}/pid;\n");
    text += "error_log stderr crit;\nevents { worker_connections 1024; }\nhttp {\n";
    for kind in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"] {
        text += &format!("{kind}_temp_path {folder}/{kind};\n");
    }
    text += "access_log off;\nclient_max_body_size 0;\nclient_body_buffer_size 64k;\n";
    text += "keepalive_requests 1000000000;\n";
    text += &format!(
        "upstream sink {{ server {sink}; keepalive 64; keepalive_requests 1000000000; }}\n\
         server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://sink; \
         proxy_http_version 1.1; proxy_set_header Connection \"\"; proxy_request_buffering off; }} }}\n}}\n"
    );
    text
}

/// `s3s-proxy`, which verifies with one key and has the SDK sign with another: the one other proxy of signature version 4
/// that a registry has. None, if it is not installed.
pub(super) fn s3s(
    sink: &str,
    signer: &super::requests::Signer,
) -> Result<Option<Contender>, Error> {
    let installed = Path::new("target/peers/bin/s3s-proxy");
    if !installed.exists() {
        return Ok(None);
    }
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let child = Command::new(installed)
        .args(["--host", "127.0.0.1", "--port", &port.to_string()])
        .args(["--endpoint-url", &format!("http://{sink}")])
        .env_clear()
        .env("AWS_ACCESS_KEY_ID", &signer.id)
        .env("AWS_SECRET_ACCESS_KEY", &signer.secret)
        .env("AWS_REGION", "eu-west-1")
        .env("RUST_LOG", "error")
        .stdout(Stdio::null())
        .spawn()?;
    let (running, address) = (Running::new(child), format!("127.0.0.1:{port}"));
    let began = Instant::now();
    while std::net::TcpStream::connect(&address).is_err() {
        if began.elapsed() > Duration::from_secs(10) {
            return Err("s3s-proxy does not serve".into());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let pids = vec![running.pid()];
    Ok(Some(Contender { name: "s3s-proxy", address, pids, _runs: Box::new(running) }))
}
