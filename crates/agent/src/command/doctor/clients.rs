//! `--run-clients`: the AWS CLI and boto3 of PATH are run, and say themselves where they find which key.

use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use super::check::Check;
use super::scene::Scene;
use crate::config::Env;
use crate::control::Agent;

/// A client that asks IMDS where there is none takes some seconds.
const TIMEOUT: Duration = Duration::from_secs(30);

const BOTO3: &str = "import boto3\nc = boto3.Session().get_credentials()\n\
print(c.access_key if c else '-', c.method if c else 'none')";

/// The methods by which each says that it ran `credential_process`, or asked an endpoint: not yet whose that was.
const METHODS: [&str; 4] = ["custom-process", "container-role", "iam-role", "process"];

/// Runs each that is there.
pub(super) async fn checks(scene: &Scene<'_>, profile: &str) -> Vec<Check> {
    let env = scene.env_for(profile);
    let mut checks = Vec::new();
    if let Some(text) = output(&env, "aws", &["configure", "list"]).await {
        let served = served(scene, profile).await;
        checks.push(judge(profile, "AWS CLI", text.map(|text| cli(&text)), &served));
    }
    if let Some(text) = output(&env, "python3", &["-c", BOTO3]).await {
        let words = |text: String| {
            let mut words = text.split_whitespace().map(str::to_owned);
            Some((words.next()?, words.next()?))
        };
        let served = served(scene, profile).await;
        checks.push(judge(profile, "boto3", text.map(words), &served));
    }
    if checks.is_empty() {
        checks.push(Check::warning("clients", "neither the AWS CLI nor boto3 is in PATH"));
    }
    checks
}

/// What rotakey serves of a profile, by id.
#[derive(Debug, Default)]
struct Served {
    /// The key, and the agent's sessions: that of the beginning, and that of now.
    ids: Vec<String>,
    /// Without an agent, each program is given a session of its own, which nobody else knows.
    has_unknown_sessions: bool,
}

async fn served(scene: &Scene<'_>, profile: &str) -> Served {
    let mut ids = Vec::new();
    if let Ok(status) = scene.app.for_profile(profile).status() {
        let open = status.rotation.as_ref().map(|open| open.survivor());
        ids.extend(open.or(status.current.as_ref()).map(|key| key.id.as_str().to_owned()));
    }
    let (agent, name) = (Agent::at(scene.app.paths.socket()), profile.to_owned());
    let now = tokio::task::spawn_blocking(move || agent.profile(&name)).await;
    let now = now.ok().and_then(Result::ok).flatten();
    let before = scene.says().map(|says| &says["profiles"][profile]);
    for view in before.into_iter().chain(&now) {
        ids.extend(view["temporary"]["access_key_id"].as_str().map(str::to_owned));
    }
    Served { ids, has_unknown_sessions: now.is_none() }
}

impl Served {
    /// Whether a client's key is one of them. The AWS CLI shows no more of it than the last four characters.
    fn has(&self, shown: &str) -> bool {
        let end = shown.trim_start_matches('*');
        let is_masked = end.len() < shown.len();
        self.ids.iter().any(|id| id == shown || (is_masked && id.ends_with(end)))
    }
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

fn judge(
    profile: &str,
    client: &str,
    said: Result<Option<(String, String)>, String>,
    served: &Served,
) -> Check {
    let check = match said {
        Err(why) => Check::bad("clients", format!("it fails: {why}")),
        Ok(None) => Check::bad("clients", "it finds no credentials"),
        Ok(Some((key, method))) if !METHODS.contains(&method.as_str()) => {
            Check::bad("clients", format!("{key}, by {method}, not by rotakey"))
                .hint(format!("`rotakey doctor {profile}` says above where that is"))
        }
        Ok(Some((key, method))) if served.has(&key) => {
            Check::ok("clients", format!("{key}, by {method}"))
        }
        Ok(Some((key, method))) if served.has_unknown_sessions && !key.starts_with("AKIA") => {
            let found = format!("{key}, by {method}: no agent runs that would know that session");
            Check::warning("clients", found).hint("start the agent: `rotakey agent`")
        }
        Ok(Some((key, method))) => {
            Check::bad("clients", format!("{key}, by {method}, which is not what rotakey serves"))
                .hint(format!("`rotakey doctor {profile}` says above whom it asks"))
        }
    };
    check.of(client)
}

#[cfg(test)]
mod tests {
    use super::super::check::Verdict;
    use super::*;

    #[test]
    fn the_table_of_the_cli_is_read() {
        let text = "      Name                    Value             Type    Location\n\
                    access_key     ****************ABCD custom-process\n";
        let read = cli(text).expect("a row");
        assert_eq!(read, ("****************ABCD".to_owned(), "custom-process".to_owned()));
        assert_eq!(cli("access_key  <not set>  None None"), None);
    }

    #[test]
    fn the_method_alone_proves_nothing() {
        let verdict = |key: &str, method: &str, has_unknown_sessions| {
            let served = Served { ids: vec!["AKIASERVEDAAAABCD".to_owned()], has_unknown_sessions };
            judge("p", "x", Ok(Some((key.to_owned(), method.to_owned()))), &served).verdict
        };
        assert_eq!(verdict("AKIASERVEDAAAABCD", "custom-process", false), Verdict::Ok);
        assert_eq!(verdict("****************ABCD", "iam-role", false), Verdict::Ok);
        assert_eq!(verdict("****************XXXX", "iam-role", false), Verdict::Bad);
        assert_eq!(verdict("ASIAOTHER", "container-role", false), Verdict::Bad);
        assert_eq!(verdict("AKIAOTHER", "custom-process", true), Verdict::Bad);
        assert_eq!(verdict("ASIAOTHER", "custom-process", true), Verdict::Warning);
        assert_eq!(verdict("AKIASERVEDAAAABCD", "shared-credentials-file", false), Verdict::Bad);
    }
}
