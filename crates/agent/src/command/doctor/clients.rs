//! `--run-clients`: the AWS CLI and boto3 of PATH are run, and say themselves where they find which key.

use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use super::check::Check;
use super::scene::Scene;
use crate::config::Env;

/// A client that asks IMDS where there is none takes some seconds.
const TIMEOUT: Duration = Duration::from_secs(30);

const BOTO3: &str = "import boto3\nc = boto3.Session().get_credentials()\n\
print(c.access_key if c else '-', c.method if c else 'none')";

/// The method by which each says that it ran `credential_process`, or asked an endpoint.
const METHODS: [&str; 4] = ["custom-process", "container-role", "iam-role", "process"];

/// Runs each that is there.
pub(super) async fn checks(scene: &Scene<'_>, profile: &str) -> Vec<Check> {
    let env = scene.env_for(profile);
    let mut checks = Vec::new();
    if let Some(text) = output(&env, "aws", &["configure", "list"]).await {
        checks.push(judge(profile, "AWS CLI", text.map(|text| cli(&text))));
    }
    if let Some(text) = output(&env, "python3", &["-c", BOTO3]).await {
        let words = |text: String| {
            let mut words = text.split_whitespace().map(str::to_owned);
            Some((words.next()?, words.next()?))
        };
        checks.push(judge(profile, "boto3", text.map(words)));
    }
    if checks.is_empty() {
        checks.push(Check::warning("clients", "neither the AWS CLI nor boto3 is in PATH"));
    }
    checks
}

/// What a program prints; `None` if it is not there.
async fn output(env: &Env, program: &str, args: &[&str]) -> Option<Result<String, String>> {
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::null()).kill_on_drop(true).env_clear();
    command.envs(env.iter()).env("AWS_PAGER", "");
    let output = match tokio::time::timeout(TIMEOUT, command.output()).await {
        Err(_) => return Some(Err("it did not end within 30 s".to_owned())),
        Ok(Err(_)) => return None,
        Ok(Ok(output)) => output,
    };
    let said = String::from_utf8_lossy(&output.stderr);
    if said.contains("No module named 'boto3'") {
        return None;
    }
    Some(match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => Err(said.trim().lines().last().unwrap_or("it failed").to_owned()),
    })
}

/// The row of the access key: `access_key ****************ABCD custom-process`.
fn cli(text: &str) -> Option<(String, String)> {
    let row = text.lines().find(|line| line.trim_start().starts_with("access_key"))?;
    let mut words = row.split_whitespace().skip_while(|word| !word.starts_with('*'));
    Some((words.next()?.to_owned(), words.next()?.to_owned()))
}

fn judge(profile: &str, client: &str, said: Result<Option<(String, String)>, String>) -> Check {
    let check = match said {
        Err(why) => Check::bad("clients", format!("it fails: {why}")),
        Ok(None) => Check::bad("clients", "it finds no credentials"),
        Ok(Some((key, method))) if METHODS.contains(&method.as_str()) => {
            Check::ok("clients", format!("{key}, by {method}"))
        }
        Ok(Some((key, method))) => {
            Check::bad("clients", format!("{key}, by {method}, not by rotakey"))
                .hint(format!("`rotakey doctor {profile}` says above where that is"))
        }
    };
    check.of(client)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_the_cli_is_read() {
        let text = "      Name                    Value             Type    Location\n\
                    access_key     ****************ABCD custom-process\n";
        let read = cli(text).expect("a row");
        assert_eq!(read, ("****************ABCD".to_owned(), "custom-process".to_owned()));
        assert_eq!(cli("access_key  <not set>  None None"), None);
    }
}
