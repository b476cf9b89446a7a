//! The variables of a program that goes through the proxy: a placeholder, and where the proxy is.

use std::net::SocketAddr;

use zeroize::Zeroizing;

use super::App;
use super::env::{Variables, no_proxy, write_aws_config};
use crate::cli::args::ExecSource;
use crate::cli::failure::{Exit, Failed};
use crate::config::ProfileSettings;
use crate::control::Agent;
use crate::serving::placeholders::{self, is_placeholder};

/// Where a running agent has its proxy; `None` if none runs.
pub(super) fn listening(app: &App) -> Result<Option<SocketAddr>, Failed> {
    let Some(status) = Agent::at(app.paths.socket()).status()? else { return Ok(None) };
    let listen = status["proxy_listen"].as_str().and_then(|at| at.parse().ok());
    let listen =
        listen.filter(|_| status["profiles"][&app.profile]["sources"]["proxy"]["on"] == true);
    listen.map(Some).ok_or_else(|| {
        let message = format!("the agent has no proxy for {}", app.profile);
        Failed::new(Exit::Usage, message).hint(
            "add \"proxy\" to sources under [agent], and the profile to config.toml; then restart it",
        )
    })
}

/// The variables of a program, whose placeholder the agent is told of.
pub(super) fn variables(
    app: &App,
    settings: &ProfileSettings,
    at: SocketAddr,
    program: &str,
) -> Result<Variables, Failed> {
    let (pair, _) = placeholders::load_or_make(&app.paths.state, &app.profile, program)?;
    // Whoever serves without an agent has read it already, or reads it when it begins.
    Agent::at(app.paths.socket()).order(&app.profile, "placeholders", b"")?;
    let Some(credentials) = pair.credentials() else {
        return Err(Failed::new(Exit::Failed, "the placeholder is damaged")
            .hint("`rotakey revoke` makes new ones"));
    };
    let mut variables = Variables::new();
    let mut set = |name, value: &str| {
        variables.insert(name, Zeroizing::new(value.to_owned()));
    };
    set("AWS_ACCESS_KEY_ID", credentials.access_key_id.as_str());
    set("AWS_SECRET_ACCESS_KEY", credentials.secret_access_key.expose());
    // An address, not a name: SDKs then put the bucket into the path.
    set("AWS_ENDPOINT_URL", &format!("http://{at}"));
    set("AWS_REGION", &settings.region);
    set("AWS_DEFAULT_REGION", &settings.region);
    // boto3 and reqwest send requests to 127.0.0.1 to HTTP_PROXY otherwise.
    for name in ["NO_PROXY", "no_proxy"] {
        set(name, &no_proxy(app.env.get(name)));
    }
    set("AWS_EC2_METADATA_DISABLED", "true");
    // The Rust crate object_store wants to be asked twice.
    set("AWS_ALLOW_HTTP", "true");
    set("AWS_SHARED_CREDENTIALS_FILE", "/dev/null");
    let config = format!("[default]\nregion = {}\n", settings.region);
    set("AWS_CONFIG_FILE", &write_aws_config(app, "proxy", &config)?);
    Ok(variables)
}

/// What is removed from the environment besides [`STALE`](super::env::STALE): endpoints that would lead past the proxy, or
/// into it.
pub(super) fn stale(app: &App, source: ExecSource) -> Vec<String> {
    let is_program = app.env.get("AWS_ACCESS_KEY_ID").is_some_and(is_placeholder);
    let is_stale = |name: &&str| match source {
        ExecSource::Proxy => {
            name.starts_with("AWS_ENDPOINT_URL_") || *name == "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"
        }
        ExecSource::Process | ExecSource::Container => is_program && *name == "AWS_ENDPOINT_URL",
    };
    app.env.iter().map(|(name, _)| name.as_str()).filter(is_stale).map(str::to_owned).collect()
}
