//! One `credential-process`, from its being started to its end, with an agent that runs.

use std::process::{Command, Stdio};
use std::time::Instant;

use crate::pairs::Pairs;
use crate::table::{Goal, Table};
use crate::world::{Error, World, sibling};

const PAIRS: usize = 400;
const CLI_PAIRS: usize = 7;

/// Debian's AWS CLI is version 2; version 1 has no `export-credentials`.
const AWS: &str = "/usr/bin/aws";

/// Measures it against a minimal program, and against the AWS CLI.
pub(crate) fn measure(table: &mut Table) -> Result<(), Error> {
    let world = World::new(false)?;
    world.add("app", "")?;
    let agent = world.agent()?;
    agent.settled(Instant::now(), 1)?;
    let mut ours = world.rotakey(&["credential-process", "--profile", "app"])?;
    let mut minimal = Command::new(sibling("rotakey-bench-roundtrip")?);
    minimal.env_clear().arg(agent.socket()).arg("/credential-process/app");
    if ours.output()?.stdout != minimal.output()?.stdout {
        // `Expiration` counts seconds.
        if ours.output()?.stdout != minimal.output()?.stdout {
            return Err("the two do not print the same".into());
        }
    }
    let pairs = Pairs::measure(PAIRS, || run(&mut ours), || run(&mut minimal))?;
    table.pairs("credential-process against a minimal program, ms", &pairs, Goal::AtMost(1.2));

    if !is_version_2() {
        table.note("not measured: `aws configure export-credentials`, which AWS CLI 2 has (apt-get install awscli)");
        return Ok(());
    }
    let mut cli = Command::new(AWS);
    cli.env_clear()
        .envs([("PATH", "/usr/bin:/bin"), ("AWS_EC2_METADATA_DISABLED", "true")])
        .envs([("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE"), ("AWS_SECRET_ACCESS_KEY", "none")])
        .args(["configure", "export-credentials"]);
    let pairs = Pairs::measure(CLI_PAIRS, || run(&mut ours), || run(&mut cli))?;
    table.pairs("credential-process against the AWS CLI, ms", &pairs, Goal::AtMost(1.0 / 300.0));
    Ok(())
}

/// Runs it, and says how many milliseconds that took.
fn run(command: &mut Command) -> Result<f64, Error> {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let began = Instant::now();
    let status = command.status()?;
    let took = began.elapsed();
    if status.success() {
        Ok(took.as_secs_f64() * 1e3)
    } else {
        Err(format!("{command:?}: {status}").into())
    }
}

fn is_version_2() -> bool {
    let said = Command::new(AWS).arg("--version").env_clear().output();
    said.is_ok_and(|said| said.stdout.starts_with(b"aws-cli/2."))
}
