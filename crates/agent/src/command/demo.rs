//! `demo`: a whole rotation, on the embedded simulator, with the real binary and a live client.
//!
//! The demo makes a folder of its own, and runs this very program in it as a person would.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::json;

use crate::clock::{Clock, SystemClock};
use crate::failure::{Exit, Failed};
use crate::iam::KeyService;
use crate::printer::Printer;
use crate::simulator::{Behaviour, Command, InProcess, Server, Simulator};
use crate::store::disk;

/// `simulator`: serves until it is told to stop.
pub async fn simulator(listen: &SocketAddr) -> Result<(), Failed> {
    crate::simulator::serve(*listen, Behaviour::default(), &mut std::io::stdout())
        .await
        .map_err(|error| Failed::new(Exit::Failed, format!("cannot serve on {listen}: {error}")))
}

/// `demo`.
pub async fn run(printer: &Printer) -> Result<(), Failed> {
    let failed = |what: &str, error: &dyn std::fmt::Display| {
        Failed::new(Exit::Failed, format!("{what}: {error}"))
    };
    let behaviour: Behaviour = serde_json::from_value(json!({
        "visible_after": 2500, "flaps_until": 5000, "lingers": 1500,
        "last_used_granularity": 1000,
    }))
    .map_err(|error| failed("the demo's behaviour", &error))?;
    let simulator = Arc::new(Mutex::new(Simulator::new(behaviour)));
    let clock = SystemClock::new();
    let wall = move || clock.now().wall;
    let server = Server::start(Arc::clone(&simulator), wall.clone(), ([127, 0, 0, 1], 0).into())
        .await
        .map_err(|error| failed("cannot start the simulator", &error))?;
    let url = server.endpoint_url();
    let control = |command: serde_json::Value| -> Result<serde_json::Value, Failed> {
        let command: Command =
            serde_json::from_value(command).map_err(|error| failed("the simulator", &error))?;
        let mut simulator = simulator.lock().map_err(|error| failed("the simulator", &error))?;
        simulator.control(wall(), command).map_err(|error| failed("the simulator", &error))
    };
    control(json!({"op": "create-user", "user": "deploy-bot"}))?;
    let key = control(json!({"op": "create-key", "user": "deploy-bot"}))?;
    // The first key is an old one by the time that we come.
    tokio::time::sleep(std::time::Duration::from_millis(5200)).await;

    let home = std::env::temp_dir().join(format!("rotakey-demo-{}", std::process::id()));
    let result = walk(
        printer,
        &home,
        &url,
        &key,
        &control,
        InProcess::new(Arc::clone(&simulator), wall.clone()),
    )
    .await;
    server.stop().await;
    disk::remove_demo_dir(&home).map_err(|error| failed("cannot clean up", &error))?;
    result
}

async fn walk(
    printer: &Printer,
    home: &Path,
    url: &str,
    key: &serde_json::Value,
    control: &impl Fn(serde_json::Value) -> Result<serde_json::Value, Failed>,
    service: InProcess,
) -> Result<(), Failed> {
    let io =
        |error: std::io::Error| Failed::new(Exit::Failed, format!("the demo's folder: {error}"));
    disk::create_private_dir(home).map_err(io)?;
    disk::replace(&home.join("passphrase"), b"for the demo only").map_err(io)?;
    let config = format!(
        "[store]\nkind = \"file\"\npassphrase_file = \"{}\"\n",
        home.join("passphrase").display()
    );
    disk::replace(&home.join("config.toml"), config.as_bytes()).map_err(io)?;
    let text = |name: &str| key[name].as_str().unwrap_or_default().to_owned();

    printer.data("An IAM and STS simulator is up. The user deploy-bot has one access key.");
    let id = text("access_key_id");
    let args = ["add", "deploy", "--access-key-id", &id, "--secret-stdin", "--endpoint-url", url];
    rotakey(printer, home, &args, Some(&text("secret_access_key"))).await?;
    let mut config = config + "\n[profile.deploy]\nuser = \"deploy-bot\"\n";
    config.push_str(&format!(
        "endpoint_url = \"{url}\"\nunsafe_durations = true\nlease = \"3s\"\nsoak = \"4s\"\n"
    ));
    config.push_str("probe = { successes = 3, spacing = \"1s\" }\n");
    disk::replace(&home.join("config.toml"), config.as_bytes()).map_err(io)?;

    printer.data("A program now asks rotakey for its key again and again, and calls STS with it.");
    let client = Client::start(home.to_owned(), service);
    rotakey(printer, home, &["keys"], None).await?;
    rotakey(printer, home, &["rotate", "deploy", "--dry-run"], None).await?;
    rotakey(printer, home, &["rotate", "deploy"], None).await?;
    rotakey(printer, home, &["status"], None).await?;
    rotakey(printer, home, &["resume", "deploy", "--wait", "deleted"], None).await?;
    rotakey(printer, home, &["history", "deploy"], None).await?;
    rotakey(printer, home, &["keys"], None).await?;
    let (calls, refused) = client.stop().await;
    let left = control(json!({"op": "keys", "user": "deploy-bot"}))?;
    let left = left["keys"].as_array().map_or(0, Vec::len);
    printer.data(&format!(
        "\nThe program made {calls} calls during all this; {refused} were refused. The user has {left} key."
    ));
    if refused > 0 || calls == 0 || left != 1 {
        return Err(Failed::new(Exit::Failed, "the demo did not end as it should"));
    }
    Ok(())
}

/// Runs this program, shown as a person would type it.
async fn rotakey(
    printer: &Printer,
    home: &Path,
    args: &[&str],
    stdin: Option<&str>,
) -> Result<(), Failed> {
    use tokio::io::AsyncWriteExt;
    let broken =
        |error: std::io::Error| Failed::new(Exit::Failed, format!("cannot run rotakey: {error}"));
    printer.data(&format!("\n$ rotakey {}", args.join(" ")));
    let mut child = command(home)?
        .args(args)
        .env("AWS_PROFILE", "deploy")
        .stdin(if stdin.is_some() { Stdio::piped() } else { Stdio::null() })
        .spawn()
        .map_err(broken)?;
    if let (Some(text), Some(mut pipe)) = (stdin, child.stdin.take()) {
        pipe.write_all(text.as_bytes()).await.map_err(broken)?;
    }
    let status = child.wait().await.map_err(broken)?;
    if status.success() {
        return Ok(());
    }
    Err(Failed::new(Exit::Failed, format!("rotakey {} ended with {status}", args.join(" "))))
}

fn command(home: &Path) -> Result<tokio::process::Command, Failed> {
    let program = std::env::current_exe()
        .map_err(|error| Failed::new(Exit::Failed, format!("cannot find myself: {error}")))?;
    let mut command = tokio::process::Command::new(program);
    command.env("ROTAKEY_HOME", home).kill_on_drop(true);
    Ok(command)
}

/// A program that lives through the rotation.
struct Client {
    stop: Arc<AtomicBool>,
    task: tokio::task::JoinHandle<()>,
    calls: Arc<AtomicU64>,
    refused: Arc<AtomicU64>,
}

impl Client {
    fn start(home: std::path::PathBuf, service: InProcess) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (calls, refused) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let shared = (Arc::clone(&stop), Arc::clone(&calls), Arc::clone(&refused));
        let task = tokio::spawn(async move {
            let (stop, calls, refused) = shared;
            while !stop.load(Ordering::Relaxed) {
                let Ok(mut command) = command(&home) else { break };
                let output =
                    command.args(["credential-process", "--profile", "deploy"]).output().await;
                let credentials = output.ok().and_then(|o| crate::sources::parse(&o.stdout).ok());
                let accepted = match credentials {
                    None => false,
                    Some(credentials) => matches!(
                        service.caller_identity(&credentials, "us-east-1").await,
                        rotakey_core::iam::Outcome::Done(_)
                    ),
                };
                calls.fetch_add(1, Ordering::Relaxed);
                refused.fetch_add(u64::from(!accepted), Ordering::Relaxed);
                tokio::time::sleep(std::time::Duration::from_millis(200)).await;
            }
        });
        Self { stop, task, calls, refused }
    }

    async fn stop(self) -> (u64, u64) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.task.await;
        (self.calls.load(Ordering::Relaxed), self.refused.load(Ordering::Relaxed))
    }
}
