//! The AWS CLI as a real client: one process for each call, which fetches its credential anew.

use std::process::Command;

use super::agent::Agent;
use super::{Run, World, venv};

/// A call that needs no permission but that of the key.
pub const LIST: [&str; 2] = ["s3api", "list-buckets"];

fn cli(world: &World) -> Command {
    let mut command = Command::new(venv().join("bin/aws"));
    command
        .env_clear()
        .env("PATH", std::env::var("PATH").unwrap())
        .env("AWS_DEFAULT_REGION", "us-east-1")
        .env("AWS_CONFIG_FILE", "/dev/null")
        .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .args(["--endpoint-url", &world.url]);
    command
}

fn run(mut command: Command, args: &[&str]) -> Run {
    command.args(args).output().expect("the AWS CLI starts").into()
}

/// By `credential_process`.
pub fn by_process(world: &World, args: &[&str]) -> Run {
    let line = format!(
        "[profile app]\nregion = us-east-1\ncredential_process = {} credential-process --profile app\n",
        env!("CARGO_BIN_EXE_rotakey")
    );
    world.write("aws-config", &line);
    let mut command = cli(world);
    command
        .env("ROTAKEY_HOME", world.home.path())
        .env("AWS_CONFIG_FILE", world.home.path().join("aws-config"))
        .args(["--profile", "app"]);
    run(command, args)
}

/// By the container endpoint.
pub fn by_container(world: &World, agent: &Agent, args: &[&str]) -> Run {
    let token = std::fs::read_to_string(world.state().join("token")).expect("there");
    let mut command = cli(world);
    command
        .env(
            "AWS_CONTAINER_CREDENTIALS_FULL_URI",
            format!("http://{}/credentials/app", agent.listen()),
        )
        .env("AWS_CONTAINER_AUTHORIZATION_TOKEN", token);
    run(command, args)
}

/// By IMDS.
pub fn by_imds(world: &World, agent: &Agent, args: &[&str]) -> Run {
    let mut command = cli(world);
    command
        .env_remove("AWS_EC2_METADATA_DISABLED")
        .env("AWS_EC2_METADATA_SERVICE_ENDPOINT", format!("http://{}/", agent.listen()));
    run(command, args)
}

/// With a credential in its hands: id, secret, and a session's token.
pub fn by_hand(world: &World, id: &str, secret: &str, token: Option<&str>, args: &[&str]) -> Run {
    let mut command = cli(world);
    command.env("AWS_ACCESS_KEY_ID", id).env("AWS_SECRET_ACCESS_KEY", secret);
    if let Some(token) = token {
        command.env("AWS_SESSION_TOKEN", token);
    }
    run(command, args)
}
