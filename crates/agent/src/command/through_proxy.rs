//! The variables of a program that goes through the proxy: a placeholder, and where the proxy is.

use std::net::SocketAddr;
use std::path::Path;

use jiff::tz::TimeZone;
use zeroize::Zeroizing;

use super::env::{Variables, no_proxy, utf8, write_aws_config};
use crate::app::App;
use crate::cli::args::ExecSource;
use crate::config::ProfileSettings;
use crate::control::Agent;
use crate::failure::{Exit, Failed};
use crate::placeholder::is_placeholder;
use crate::serving::authority::{self, Authorities};
use crate::serving::placeholders;

/// What leads a program to the proxy by `CONNECT`, and to trust it.
const CONNECT: [&str; 7] = [
    "HTTPS_PROXY",
    "https_proxy",
    // botocore, and other SDKs.
    "AWS_CA_BUNDLE",
    "REQUESTS_CA_BUNDLE",
    // Go, and what is made of rustls or OpenSSL.
    "SSL_CERT_FILE",
    "CURL_CA_BUNDLE",
    // It trusts its own roots besides.
    "NODE_EXTRA_CA_CERTS",
];

/// The hosts of AWS, as NO_PROXY would exempt them.
const AWS: [&str; 4] = ["amazonaws.com", "amazonaws.com.cn", "api.aws", "on.aws"];

/// Where a running agent has its proxy; `None` if none runs.
pub(super) fn listening(
    app: &App,
    settings: &ProfileSettings,
) -> Result<Option<SocketAddr>, Failed> {
    let Some(status) = Agent::at(app.paths.socket()).status()? else { return Ok(None) };
    let listen = status["proxy_listen"].as_str().and_then(|at| at.parse().ok());
    let listen =
        listen.filter(|_| status["profiles"][&app.profile]["sources"]["proxy"]["on"] == true);
    let Some(listen) = listen else {
        let message = format!("the agent has no proxy for {}", app.profile);
        return Err(Failed::new(Exit::Usage, message).hint(
            "`sources = [\"container\", \"imds\", \"proxy\"]` under [agent] in config.toml turns it on; then start the agent again (`rotakey service install`, where it is a service)",
        ));
    };
    let now = app.clock.wall();
    let own = match settings.proxy_connect {
        true => Some(Authorities::load_or_make(&app.paths.state, now)?),
        false => None,
    };
    let signer = own.as_ref().and_then(|own| own.signer(now.to_zoned(TimeZone::UTC).date()));
    if signer.is_some_and(|own| status["proxy_authority"] != own.name.as_str()) {
        let message = format!("the agent does not go by proxy_connect of {} yet", app.profile);
        let pid = status["pid"].as_u64().unwrap_or_default();
        return Err(Failed::new(Exit::Usage, message)
            .hint(format!("it reads its configuration again: kill -HUP {pid}")));
    }
    Ok(Some(listen))
}

/// The variables of a program, whose placeholder the agent is told of.
pub(super) fn variables(
    app: &App,
    settings: &ProfileSettings,
    at: SocketAddr,
    program: &str,
    source: ExecSource,
) -> Result<Variables, Failed> {
    if source == ExecSource::Connect && !settings.proxy_connect {
        let message = format!("programs of {} may not connect through the proxy", app.profile);
        return Err(Failed::new(Exit::Usage, message)
            .hint(format!("proxy_connect = true under [profile.{}]", app.profile)));
    }
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
    if source != ExecSource::Connect {
        // An address, not a name: SDKs then put the bucket into the path.
        set("AWS_ENDPOINT_URL", &format!("http://{at}"));
        // The Rust crate object_store wants to be asked twice.
        set("AWS_ALLOW_HTTP", "true");
    }
    if settings.proxy_connect {
        connect(app, at, &mut set)?;
    }
    set("AWS_REGION", &settings.region);
    set("AWS_DEFAULT_REGION", &settings.region);
    // boto3 and reqwest send requests to 127.0.0.1 to HTTP_PROXY otherwise.
    for name in ["NO_PROXY", "no_proxy"] {
        let own = no_proxy(app.env.get(name));
        set(name, if settings.proxy_connect { without_aws(&own) } else { own }.as_str());
    }
    set("AWS_EC2_METADATA_DISABLED", "true");
    set("AWS_SHARED_CREDENTIALS_FILE", "/dev/null");
    let config = format!("[default]\nregion = {}\n", settings.region);
    set("AWS_CONFIG_FILE", &write_aws_config(app, "proxy", &config)?);
    Ok(variables)
}

/// The proxy as one, and whom to trust.
fn connect(
    app: &App,
    at: SocketAddr,
    set: &mut impl FnMut(&'static str, &str),
) -> Result<(), Failed> {
    let state = &app.paths.state;
    // Made anew each time: the roots of this machine change.
    Authorities::load_or_make(state, app.clock.wall())?;
    let (bundle, own) = (authority::bundle_path(state), authority::pem_path(state));
    for name in CONNECT {
        match name {
            "HTTPS_PROXY" | "https_proxy" => set(name, &format!("http://{at}")),
            "NODE_EXTRA_CA_CERTS" => set(name, utf8(&own)?),
            _ => set(name, utf8(&bundle)?),
        }
    }
    Ok(())
}

/// Hosts that need no proxy, without those that need ours.
fn without_aws(hosts: &str) -> String {
    let covers = |host: &str| {
        let host = host.trim_start_matches('*').trim_start_matches('.').to_ascii_lowercase();
        host.is_empty() || AWS.iter().any(|aws| host == *aws || host.ends_with(&format!(".{aws}")))
    };
    hosts.split(',').filter(|host| !covers(host)).collect::<Vec<_>>().join(",")
}

/// What is removed from the environment besides [`STALE`](super::env::STALE): endpoints that would lead past the proxy, or
/// into it.
pub(super) fn stale(app: &App, source: ExecSource) -> Vec<String> {
    let is_program = app.env.get("AWS_ACCESS_KEY_ID").is_some_and(is_placeholder);
    let bundle = authority::bundle_path(&app.paths.state);
    let connects = app.env.get("AWS_CA_BUNDLE").is_some_and(|own| Path::new(own) == bundle);
    let is_ours = |name: &&str| match source {
        ExecSource::Proxy | ExecSource::Connect => {
            let is_one = *name == "AWS_ENDPOINT_URL" && source == ExecSource::Connect;
            is_one
                || name.starts_with("AWS_ENDPOINT_URL_")
                || *name == "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"
        }
        ExecSource::Process | ExecSource::Container => is_program && *name == "AWS_ENDPOINT_URL",
    };
    let is_stale = |name: &&str| is_ours(name) || (connects && CONNECT.contains(name));
    app.env.iter().map(|(name, _)| name.as_str()).filter(is_stale).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_host_of_aws_is_exempt() {
        let without = |hosts| without_aws(hosts);
        assert_eq!(
            without("corp,.amazonaws.com,s3.eu-west-1.amazonaws.com,*,127.0.0.1"),
            "corp,127.0.0.1"
        );
        assert_eq!(without("*.api.aws,on.aws.example,localhost"), "on.aws.example,localhost");
    }
}
