//! `env`: the variables by which a program's SDK finds rotakey, printed.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;

use zeroize::Zeroizing;

use super::{mfa, through_proxy};
use crate::app::App;
use crate::cli::args::{EnvArgs, EnvFormat, ExecSource};
use crate::config::{ProfileSettings, Serve};
use crate::control::Agent;
use crate::failure::{Exit, Failed};
use crate::local_http::escape;
use crate::serving::token;
use crate::store::disk;

/// What would lead an SDK past rotakey, or to another account: removed. `AWS_CA_BUNDLE`, `AWS_PAGER`, retry modes and the
/// like stay.
pub const STALE: [&str; 24] = [
    "AWS_ACCESS_KEY",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_KEY",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_SECURITY_TOKEN",
    "AWS_CREDENTIAL_EXPIRATION",
    "AWS_CREDENTIAL_FILE",
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_VAULT",
    "AWS_CONFIG_FILE",
    "AWS_SHARED_CREDENTIALS_FILE",
    "AWS_ROLE_ARN",
    "AWS_ROLE_SESSION_NAME",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "AWS_EC2_METADATA_SERVICE_ENDPOINT",
    "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE",
    "AWS_EC2_METADATA_DISABLED",
    "AWS_SDK_LOAD_CONFIG",
];

/// Values may be secrets: the container token is one.
pub type Variables = BTreeMap<&'static str, Zeroizing<String>>;

/// Runs it.
pub async fn run(app: &App, args: &EnvArgs) -> Result<(), Failed> {
    let settings = app.config.settings(&app.profile, &app.env)?;
    let source = source(app, args.source, &settings)?;
    mfa::ask_ahead(app, &settings, false).await?;
    let nobody = |what: &str| {
        let message = format!("no agent runs, so nobody serves the {what}");
        Failed::new(Exit::Unreachable, message)
            .hint("start it: `rotakey agent`; or use --source process; `rotakey exec` serves its child itself")
    };
    let variables = match source {
        ExecSource::Process => variables(app, &settings, None)?,
        ExecSource::Container => {
            let at = listening(app)?.ok_or_else(|| nobody("container endpoint"))?;
            variables(app, &settings, Some(at))?
        }
        ExecSource::Proxy | ExecSource::Connect => {
            let at = through_proxy::listening(app, &settings)?.ok_or_else(|| nobody("proxy"))?;
            through_proxy::variables(app, &settings, at, "env", source)?
        }
    };
    let unset = unset(&variables, through_proxy::stale(app, source));
    let text = match args.format {
        EnvFormat::Sh => {
            let set =
                variables.iter().map(|(name, value)| format!("export {name}={}", quoted(value)));
            lines(std::iter::once(format!("unset {}", unset.join(" "))).chain(set))
        }
        EnvFormat::Fish => {
            let set =
                variables.iter().map(|(name, value)| format!("set -gx {name} {}", fish(value)));
            lines(unset.iter().map(|name| format!("set -e {name}")).chain(set))
        }
        EnvFormat::Systemd => {
            lines(variables.iter().map(|(name, value)| format!("{name}={}", systemd(value))))
        }
        EnvFormat::Json => {
            let flat: BTreeMap<_, _> =
                variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
            let json = serde_json::to_string(&flat);
            Zeroizing::new(
                json.map_err(|error| Failed::new(Exit::Failed, error.to_string()))? + "\n",
            )
        }
    };
    app.printer
        .data_whole(&text)
        .map_err(|error| Failed::new(Exit::Failed, format!("cannot write: {error}")))
}

/// The source to use: what was asked for, or `process` if that gives the key, which can do the most.
pub fn source(
    app: &App,
    asked: Option<ExecSource>,
    settings: &ProfileSettings,
) -> Result<ExecSource, Failed> {
    app.key_profile()?;
    let source = asked.unwrap_or(ExecSource::Process);
    if source == ExecSource::Container && settings.serve != Serve::Role {
        app.printer.say(
            "warning: the container endpoint gives a session, which IAM and most of STS refuse (AWS's rule for GetSessionToken)",
        );
    }
    Ok(source)
}

/// Where a running agent serves programs over HTTP; `None` if none runs.
pub fn listening(app: &App) -> Result<Option<SocketAddr>, Failed> {
    let Some(status) = Agent::at(app.paths.socket()).status()? else { return Ok(None) };
    let listen = status["listen"].as_str().and_then(|at| at.parse().ok());
    let listen =
        listen.filter(|_| status["profiles"][&app.profile]["sources"]["container"]["on"] == true);
    listen.map(Some).ok_or_else(|| {
        Failed::new(
            Exit::Usage,
            format!("the agent does not serve {} by the container endpoint", app.profile),
        )
        .hint("add \"container\" to sources under [agent] in config.toml; then start the agent again (`rotakey service install`, where it is a service)")
    })
}

/// The variables of the container endpoint at an address, or of `process`.
pub fn variables(
    app: &App,
    settings: &ProfileSettings,
    container: Option<SocketAddr>,
) -> Result<Variables, Failed> {
    let mut variables = Variables::new();
    let mut set = |name, value: &str| {
        variables.insert(name, Zeroizing::new(value.to_owned()));
    };
    // The CLI v1 knows only the second.
    set("AWS_REGION", &settings.region);
    set("AWS_DEFAULT_REGION", &settings.region);
    for (name, url) in [
        ("AWS_ENDPOINT_URL_IAM", &settings.endpoints.iam),
        ("AWS_ENDPOINT_URL_STS", &settings.endpoints.sts),
    ] {
        if let Some(url) = url {
            set(name, url);
        }
    }
    // botocore sends IMDS requests through HTTP_PROXY otherwise; both spellings are in use.
    for name in ["NO_PROXY", "no_proxy"] {
        set(name, &no_proxy(app.env.get(name)));
    }
    set("AWS_EC2_METADATA_DISABLED", "true");
    set("AWS_SHARED_CREDENTIALS_FILE", "/dev/null");
    let profile = &app.profile;
    let mut config = format!(
        "# Made by rotakey for `rotakey env` and `exec`.\n[default]\nregion = {}\n",
        settings.region
    );
    if let Some(at) = container {
        let path = token::path(&app.paths.state, profile);
        let value = token::load_or_make(&app.paths.state, profile)?;
        set(
            "AWS_CONTAINER_CREDENTIALS_FULL_URI",
            &format!("http://{at}/credentials/{}", escape(profile)),
        );
        // Some SDKs know only the one, some only the other.
        set("AWS_CONTAINER_AUTHORIZATION_TOKEN", value.expose());
        set("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", utf8(&path)?);
    } else {
        let line = credential_process(profile)?;
        config += &format!("{line}\n[profile {profile}]\nregion = {}\n{line}\n", settings.region);
        set("AWS_PROFILE", profile);
        // Go v1 reads the config file only then.
        set("AWS_SDK_LOAD_CONFIG", "1");
    }
    let kind = if container.is_some() { "container" } else { "process" };
    set("AWS_CONFIG_FILE", &write_aws_config(app, kind, &config)?);
    Ok(variables)
}

/// Writes a configuration file for SDKs, and says where.
pub(super) fn write_aws_config(app: &App, kind: &str, config: &str) -> Result<String, Failed> {
    let path = app.paths.run.join(format!("{}.{kind}.aws-config", app.profile));
    let written = disk::create_private_dir(&app.paths.run)
        .and_then(|()| disk::replace_unlocked(&path, config.as_bytes()));
    written.map_err(|error| {
        Failed::new(Exit::Failed, format!("cannot write {}: {error}", path.display()))
            .hint("make the folder writable for you, or set ROTAKEY_HOME")
    })?;
    utf8(&path).map(str::to_owned)
}

/// The line for an AWS configuration file. SDKs split it by different rules (`shlex`, `sh -c`): it must mean the same to all.
pub fn credential_process(profile: &str) -> Result<String, Failed> {
    let program = crate::proc::own_program()
        .map_err(|error| Failed::new(Exit::Failed, format!("cannot find myself: {error}")))?;
    let path = utf8(&program)?;
    if path.contains(['"', '\\', '$', '`', '\'', '\n', '!']) {
        return Err(Failed::new(
            Exit::Failed,
            format!("{path} cannot stand in an AWS configuration file"),
        )
        .hint("move rotakey to a path without quotes, backslashes or $"));
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+@".contains(c);
    let path = if path.chars().all(plain) { path.to_owned() } else { format!("\"{path}\"") };
    Ok(format!("credential_process = {path} credential-process --profile {profile}"))
}

pub(super) fn utf8(path: &Path) -> Result<&str, Failed> {
    path.to_str().ok_or_else(|| {
        Failed::new(Exit::Failed, format!("{} is not UTF-8", path.display()))
            .hint("set ROTAKEY_HOME to a folder with a plain name")
    })
}

pub(super) fn no_proxy(before: Option<&str>) -> String {
    let mut hosts: Vec<&str> = before.unwrap_or_default().split(',').map(str::trim).collect();
    hosts.retain(|host| !host.is_empty());
    for host in ["127.0.0.1", "localhost"] {
        if !hosts.contains(&host) {
            hosts.push(host);
        }
    }
    hosts.join(",")
}

fn unset(variables: &Variables, more: Vec<String>) -> Vec<String> {
    let stale = STALE.into_iter().filter(|name| !variables.contains_key(name));
    stale.map(str::to_owned).chain(more).collect()
}

fn lines(lines: impl Iterator<Item = String>) -> Zeroizing<String> {
    Zeroizing::new(lines.fold(String::new(), |text, line| text + &line + "\n"))
}

/// For `sh`: in single quotes.
fn quoted(value: &str) -> String {
    format!("'{}'", value.replace('\'', "'\\''"))
}

/// For fish, whose single quotes know two escapes.
fn fish(value: &str) -> String {
    format!("'{}'", value.replace('\\', "\\\\").replace('\'', "\\'"))
}

/// For an `EnvironmentFile` (systemd.exec(5)): in double quotes.
fn systemd(value: &str) -> String {
    let escaped = value.replace('\\', "\\\\").replace('"', "\\\"").replace('$', "\\$");
    format!("\"{}\"", escaped.replace('`', "\\`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_quoted_for_who_reads_them() {
        let value = "a'b\\c\"d $e";
        assert_eq!(quoted(value), "'a'\\''b\\c\"d $e'");
        assert_eq!(fish(value), "'a\\'b\\\\c\"d $e'");
        assert_eq!(systemd(value), "\"a'b\\\\c\\\"d \\$e\"");
    }

    #[test]
    fn hosts_that_need_no_proxy_are_added_to_those_there_are() {
        assert_eq!(no_proxy(None), "127.0.0.1,localhost");
        assert_eq!(no_proxy(Some("corp, localhost")), "corp,localhost,127.0.0.1");
    }
}
