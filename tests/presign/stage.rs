//! Programs as `rotakey exec app --source proxy` runs them, and curl.

use std::path::Path;
use std::process::{Command, Output};

use crate::support::agent::Agent;
use crate::support::moto::Moto;
use crate::support::{Run, World, moto, venv};

const PROXY: &str = "[agent]\nlisten = \"127.0.0.1:0\"\nproxy_listen = \"127.0.0.1:0\"\n";

/// moto, which checks every signature, and an agent with its proxy in front of it.
pub(crate) fn at_moto(profile: &str) -> (Moto, World, Agent) {
    let moto = Moto::start(&["--everything"]);
    let world = moto::world(&moto);
    world.configure_agent(PROXY, profile);
    let agent = world.agent();
    (moto, world, agent)
}

/// The simulator, likewise; the user may take on the role `worker`.
pub(crate) fn at_simulator(profile: &str) -> (World, Agent) {
    let world = World::added();
    let trust = ["arn:aws:iam::123456789012:user/app"];
    world.control(serde_json::json!({"op": "create-role", "role": "worker", "trust": trust}));
    world.configure_agent(PROXY, profile);
    let agent = world.agent();
    (world, agent)
}

/// Runs a scenario of `clients.py`, which has the expectations. What it writes to standard output is given back.
pub(crate) fn scenario(world: &World, name: &str, more: &[(&str, &str)]) -> String {
    let mut command = scenario_command(world, name);
    command.envs(more.iter().copied());
    let run: Run = output(command).into();
    assert_eq!(run.code, 0, "{name}: {}", run.stderr);
    for real in ["ASIA", &world.id, &world.secret] {
        assert!(!run.stdout.contains(real), "{name} saw {real}: {}", run.stdout);
    }
    run.stdout
}

/// What runs it.
pub(crate) fn scenario_command(world: &World, name: &str) -> Command {
    let python = venv().join("bin/python");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/presign/clients.py");
    let mut command = world.command();
    command
        .args(["exec", "app", "--source", "proxy", "--"])
        .arg(python)
        .args([script.as_os_str(), name.as_ref()])
        .env("HOME", world.home.path())
        .env("AWS", venv().join("bin/aws"))
        .env("UPSTREAM", &world.url)
        .env("PYTHONDONTWRITEBYTECODE", "1");
    command
}

fn output(mut command: Command) -> Output {
    command.output().expect("it starts")
}

/// The status and the body of what curl got.
pub(crate) fn curl(url: &str, arguments: &[&str]) -> (u16, String) {
    let mut command = Command::new("curl");
    command.args(["-sS", "--noproxy", "*", "--path-as-is", "-w", "\n%{http_code}"]);
    command.args(arguments).arg(url);
    let run: Run = output(command).into();
    assert_eq!(run.code, 0, "{run:?}");
    let (body, status) = run.stdout.rsplit_once('\n').expect("a status");
    (status.parse().expect("a number"), body.to_owned())
}
