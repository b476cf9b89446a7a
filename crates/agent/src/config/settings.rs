//! What a profile's table amounts to: defaults, floors, and what follows from both.

use std::time::Duration;

use rotakey_core::iam::Vantage;
use rotakey_core::policy::{OnStraggler, Policy};
use rotakey_endpoint::proxy::grants::VIRTUAL;
use rotakey_endpoint::proxy::upstream::{Hosts, is_region};

use super::quiet::{self, QuietHours};
use super::reader::Reader;
use super::session::{self, MfaSettings, Serve, SessionSettings};
use super::{ConfigError, Env};
use crate::iam::aws::{CALL_TIMEOUT, Endpoints};
use crate::placeholder::is_placeholder;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

/// Where secrets are kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoreSettings {
    /// Which kind of keystore.
    pub kind: StoreKind,
    /// A file with the passphrase.
    pub passphrase_file: Option<String>,
    /// A command that prints it.
    pub passphrase_command: Option<String>,
    /// The systemd credential that holds it.
    pub passphrase_credential: Option<String>,
}

/// The kinds of keystore.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StoreKind {
    /// The OS keyring.
    #[default]
    Keyring,
    /// The encrypted file.
    File,
}

/// The settings of one profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProfileSettings {
    /// The home region.
    pub region: String,
    /// The IAM user's name, if given.
    pub user: Option<String>,
    /// Servers other than AWS's.
    pub endpoints: Endpoints,
    /// When to rotate.
    pub max_age: Duration,
    /// When to leave the keys as they are.
    pub quiet_hours: QuietHours,
    /// How to rotate.
    pub policy: Policy,
    /// What programs are given.
    pub serve: Serve,
    /// Sessions and roles.
    pub session: SessionSettings,
    /// This profile is the one that IMDS serves.
    pub imds: bool,
    /// IMDSv1 is answered too.
    pub imds_v1: bool,
    /// The only programs that are served, by their absolute paths; all of the owner's, if empty.
    pub executables: Vec<String>,
    /// Where requests through the proxy go, if not to AWS.
    pub endpoint_url: Option<String>,
    /// The signing names that programs may call through the proxy; `None` for all.
    pub services: Option<Vec<String>>,
    /// The regions, likewise.
    pub regions: Option<Vec<String>>,
    /// Programs may connect through the proxy.
    pub proxy_connect: bool,
    /// The operations of STS whose answers the proxy virtualises.
    pub virtual_sessions: Vec<String>,
    /// The proxy takes URLs that are presigned with signature version 2.
    pub presigned_v2: bool,
    /// Hosts that the proxy knows beside those of its table.
    pub proxy_hosts: Hosts,
    /// The floors are lifted.
    pub unsafe_durations: bool,
}

pub(super) fn store(table: &toml::Table) -> Result<StoreSettings, ConfigError> {
    let read = Reader { at: "[store]".to_owned(), table };
    let kind = match read.text("kind")?.unwrap_or("keyring") {
        "keyring" => StoreKind::Keyring,
        "file" => StoreKind::File,
        other => return Err(read.wrong("kind", &format!("{other:?}"), "`keyring` or `file`")),
    };
    let text = |name| read.text(name).map(|value| value.map(str::to_owned));
    let passphrase_file = text("passphrase_file")?;
    if let Some(path) = passphrase_file.as_deref().filter(|path| path.starts_with('~')) {
        let wanted = "a whole path, from / on: no shell reads it";
        return Err(read.wrong("passphrase_file", &format!("{path:?}"), wanted));
    }
    Ok(StoreSettings {
        kind,
        passphrase_file,
        passphrase_command: text("passphrase_command")?,
        passphrase_credential: text("passphrase_credential")?,
    })
}

fn regions(read: &Reader<'_>) -> Result<Option<Vec<String>>, ConfigError> {
    let regions = read.list("regions")?;
    match regions.iter().flatten().find(|region| !is_region(region)) {
        Some(odd) => Err(read.wrong("regions", &format!("{odd:?}"), "a list of regions")),
        None => Ok(regions),
    }
}

/// Role profiles of SDKs work by this; sessions of the user himself would have all that his key has.
fn virtual_sessions(read: &Reader<'_>) -> Result<Vec<String>, ConfigError> {
    let wanted = format!("a list of {}", VIRTUAL.map(|name| format!("`{name}`")).join(", "));
    let named = read.get("virtual_sessions", &wanted, |value| {
        let names = value.as_array()?.iter().map(|one| {
            let text = one.as_str()?;
            VIRTUAL.contains(&text).then(|| text.to_owned())
        });
        names.collect::<Option<Vec<_>>>()
    })?;
    Ok(named.unwrap_or_else(|| vec![VIRTUAL[0].to_owned()]))
}

fn proxy_hosts(read: &Reader<'_>) -> Result<Hosts, ConfigError> {
    let wanted = "a table of signing names and hosts";
    let table = read.get("proxy_hosts", wanted, toml::Value::as_table)?;
    let mut hosts = Hosts::default();
    for (service, host) in table.into_iter().flatten() {
        let text = host.as_str().unwrap_or_default();
        hosts.add(service, text).map_err(|why| {
            ConfigError::new(
                format!("{}: proxy_hosts.{service} is {host}", read.at),
                why.to_string(),
            )
        })?;
    }
    Ok(hosts)
}

/// The durations and counts, with their floors, which `unsafe_durations` lifts.
fn policy(
    name: &str,
    read: &Reader<'_>,
    region: &str,
    lifted: bool,
) -> Result<Policy, ConfigError> {
    let none = toml::Table::new();
    let probe = read.table.get("probe").and_then(toml::Value::as_table).unwrap_or(&none);
    let probe = Reader { at: format!("[profile.{name}.probe]"), table: probe };
    let on_straggler = match read.text("on_straggler")?.unwrap_or("hold") {
        "hold" => OnStraggler::Hold,
        "proceed" => OnStraggler::Proceed,
        other => {
            return Err(read.wrong("on_straggler", &format!("{other:?}"), "`hold` or `proceed`"));
        }
    };
    let floor = |floor| if lifted { Duration::ZERO } else { floor };
    let lease = read.duration("lease", 60 * MINUTE, floor(30 * MINUTE))?.max(SECOND);
    let soak = read.duration("soak", 7 * DAY, floor(HOUR))?;
    let window = if lifted { lease.min(15 * MINUTE) } else { 15 * MINUTE };
    Ok(Policy {
        successes: probe.count("successes", 5, if lifted { 1 } else { 3 })?,
        spacing: probe.duration("spacing", 2 * SECOND, floor(SECOND))?,
        settle: probe.duration("settle", floor(30 * SECOND), floor(10 * SECOND))?,
        deadline: probe.duration("deadline", 5 * MINUTE, floor(30 * SECOND))?,
        vantages: probe
            .list("regions")?
            .unwrap_or_else(|| vec![region.to_owned()])
            .into_iter()
            .map(Vantage::Sts)
            .chain([Vantage::Iam])
            .collect(),
        lease,
        client_backoff: window,
        signature_window: window,
        presigned_ttl: read.duration("presigned_ttl", Duration::ZERO, Duration::ZERO)?,
        observe: read.duration("observe", floor(4 * HOUR), Duration::ZERO)?,
        soak,
        orphan_wait: read.duration(
            "orphan_wait",
            if lifted { soak } else { HOUR },
            floor(10 * MINUTE),
        )?,
        on_straggler,
        create_timeout: CALL_TIMEOUT,
        lost_reply_wait: 30 * SECOND,
    })
}

pub(super) fn profile(
    name: &str,
    table: &toml::Table,
    env: &Env,
    inherited_mfa: Option<MfaSettings>,
) -> Result<ProfileSettings, ConfigError> {
    let read = Reader { at: format!("[profile.{name}]"), table };
    let lifted = read.flag("unsafe_durations")?.unwrap_or(false);

    let serve = session::serve(&read)?;
    let region = read
        .text("region")?
        .or_else(|| env.get("AWS_REGION"))
        .or_else(|| env.get("AWS_DEFAULT_REGION"))
        .unwrap_or("us-east-1")
        .to_owned();
    let policy = policy(name, &read, &region, lifted)?;
    let own = read.url("endpoint_url")?;
    // With a placeholder beside it, it is our own proxy, and the environment that of a program of ours.
    let is_program = env.get("AWS_ACCESS_KEY_ID").is_some_and(is_placeholder);
    let nothing = Env::default();
    let env = if is_program { &nothing } else { env };
    let anywhere = own.or_else(|| env.get("AWS_ENDPOINT_URL"));
    let endpoint = |key: &str, variable: &str| {
        let named = read.url(key)?.or(own).or_else(|| env.get(variable));
        Ok(named.or(anywhere).map(str::to_owned))
    };
    Ok(ProfileSettings {
        endpoints: Endpoints {
            iam: endpoint("endpoint_url_iam", "AWS_ENDPOINT_URL_IAM")?,
            sts: endpoint("endpoint_url_sts", "AWS_ENDPOINT_URL_STS")?,
        },
        region,
        user: read.text("user")?.map(str::to_owned),
        max_age: read.duration("max_age", 30 * DAY, if lifted { Duration::ZERO } else { DAY })?,
        quiet_hours: quiet::read(&read)?,
        policy,
        serve,
        session: session::settings(name, &read, lifted, inherited_mfa)?,
        imds: read.flag("imds")?.unwrap_or(false),
        imds_v1: read.flag("imds_v1")?.unwrap_or(false),
        executables: session::executables(&read)?,
        endpoint_url: anywhere.map(str::to_owned),
        services: read.list("services")?,
        regions: regions(&read)?,
        proxy_hosts: proxy_hosts(&read)?,
        proxy_connect: read.flag("proxy_connect")?.unwrap_or(false),
        virtual_sessions: virtual_sessions(&read)?,
        presigned_v2: read.flag("presigned_v2")?.unwrap_or(false),
        unsafe_durations: lifted,
    })
}
