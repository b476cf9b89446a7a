//! Every key of `config.toml`, in one table: what is not in it is refused by name.

use super::ConfigError;

/// A key: its table, its name, its default as written, and what it means.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// `agent`, `store`, `profile.<name>` or `profile.<name>.probe`.
    pub table: &'static str,
    /// The key.
    pub name: &'static str,
    /// Its default; empty if there is none.
    pub default: &'static str,
    /// What it means.
    pub meaning: &'static str,
}

const fn key(
    table: &'static str,
    name: &'static str,
    default: &'static str,
    meaning: &'static str,
) -> Key {
    Key { table, name, default, meaning }
}

const PROFILE: &str = "profile.<name>";
const PROBE: &str = "profile.<name>.probe";

/// The keys that this version acts on. docs/configuration.md is checked against it.
pub const KEYS: &[Key] = &[
    key(
        "agent",
        "listen",
        "\"127.0.0.1:(21000 + uid % 4000)\"",
        "where the agent answers container and IMDS requests: an address of this machine alone; port 0 is a free one",
    ),
    key(
        "agent",
        "proxy_listen",
        "\"127.0.0.1:(25000 + uid % 4000)\"",
        "where the re-signing proxy listens; setting it turns the proxy on, unless `sources` leaves it out",
    ),
    key(
        "agent",
        "proxy_other_hosts",
        "\"refuse\"",
        "what programs of `proxy_connect` get that connect to hosts which are not AWS's: `refuse`, or `tunnel`: they are passed on unseen",
    ),
    key(
        "agent",
        "sources",
        "all but proxy",
        "a list of what the agent offers: `process` (always), `container`, `imds`, `proxy`",
    ),
    key(
        "agent",
        "on_event",
        "",
        "a command (`sh -c`) that is run with each event as one JSON object on its standard input: rotated, held, stuck, failed, quarantine, …",
    ),
    key(
        "agent",
        "desktop",
        "true; false with on_event",
        "whether events are shown as desktop notifications, if there is a desktop",
    ),
    key(
        "agent",
        "metrics",
        "true",
        "whether the agent answers `GET /metrics` (Prometheus) on its Unix socket",
    ),
    key(
        "agent",
        "log",
        "\"auto\"",
        "the form of the log: `text`, `json`, `journald`, or `auto`: `journald` if systemd's journal reads it, else `text`. ROTAKEY_LOG_FORMAT goes before it",
    ),
    key(
        "store",
        "kind",
        "\"keyring\"",
        "where secrets are kept: `keyring` (the OS keyring) or `file` (encrypted)",
    ),
    key(
        "store",
        "passphrase_file",
        "",
        "the whole path of a file (mode 0600) that holds the key file's passphrase",
    ),
    key("store", "passphrase_command", "", "a command that prints the key file's passphrase"),
    key(
        "store",
        "passphrase_credential",
        "",
        "the systemd credential that holds the key file's passphrase",
    ),
    key(
        PROFILE,
        "region",
        "AWS_REGION, AWS_DEFAULT_REGION, us-east-1",
        "the home region; it also decides the partition",
    ),
    key(PROFILE, "user", "from GetCallerIdentity", "the IAM user's name"),
    key(
        PROFILE,
        "endpoint_url",
        "AWS_ENDPOINT_URL_IAM and _STS, AWS_ENDPOINT_URL",
        "the URL of an IAM- and STS-compatible server",
    ),
    key(PROFILE, "endpoint_url_iam", "endpoint_url", "the same, of IAM alone"),
    key(PROFILE, "endpoint_url_sts", "endpoint_url", "the same, of STS alone"),
    key(
        PROFILE,
        "serve",
        "\"key\"",
        "what `process` gives to programs: `key`, `session` (GetSessionToken) or `role` (AssumeRole). `container` and `imds` never give the bare key: a session instead",
    ),
    key(
        PROFILE,
        "source_profile",
        "",
        "the profile whose key this one uses; if that has a role, the one whose role assumes this one's",
    ),
    key(PROFILE, "role_arn", "", "the role that is served, with `serve = \"role\"`"),
    key(PROFILE, "external_id", "", "what the role's owner asks for"),
    key(
        PROFILE,
        "session_name",
        "\"rotakey-<profile>\"",
        "what CloudTrail calls the role's sessions",
    ),
    key(
        PROFILE,
        "duration",
        "\"1h\"",
        "the life of a role's session (15m to 12h; at most 1h if another role assumes it)",
    ),
    key(
        PROFILE,
        "session_duration",
        "\"1h\", \"12h\" with MFA",
        "the life of a GetSessionToken session (15m to 36h)",
    ),
    key(
        PROFILE,
        "mfa_serial",
        "",
        "the MFA device of the user (ARN or serial number): sessions, and the IAM calls of a rotation, are made with it",
    ),
    key(
        PROFILE,
        "mfa_process",
        "",
        "a command, run by `sh -c`, that prints a code of the device within 30s",
    ),
    key(PROFILE, "imds", "false", "serve this profile by IMDS; one profile at most"),
    key(PROFILE, "imds_v1", "false", "answer IMDSv1 too, which knows no token"),
    key(
        PROFILE,
        "executables",
        "any",
        "a list of whole paths: the only programs that the agent serves. It stops accidents, not a hostile program of yours",
    ),
    key(
        PROFILE,
        "services",
        "any",
        "a list of signing names, such as `s3`: what programs may call through the proxy",
    ),
    key(
        PROFILE,
        "regions",
        "any",
        "a list of regions that programs may call through the proxy; one that is newer than this version is named here",
    ),
    key(
        PROFILE,
        "proxy_connect",
        "false",
        "programs may use the proxy as HTTPS_PROXY, too, and sign for AWS's own hosts; makes a certificate authority for that",
    ),
    key(
        PROFILE,
        "virtual_sessions",
        "[\"AssumeRole\"]",
        "the operations of STS that programs may ask for through the proxy, which gives them local credentials in the place of the real ones: `AssumeRole`, `GetFederationToken`, `GetSessionToken`; `[]` for none",
    ),
    key(
        PROFILE,
        "presigned_v2",
        "false",
        "whether the proxy takes URLs that are presigned with signature version 2 (boto3's default where an endpoint is set), for S3 in the profile's `region`",
    ),
    key(
        PROFILE,
        "proxy_hosts",
        "",
        "a table, signing name = host: where the proxy sends what its table of AWS does not tell, such as `execute-api = \"abc123.execute-api.{region}.amazonaws.com\"`. HTTPS at a public name, never an address",
    ),
    key(PROFILE, "max_age", "\"30d\"", "rotate when the key is this old (floor 1d)"),
    key(PROFILE, "lease", "\"60m\"", "the life of a served credential (floor 30m)"),
    key(
        PROFILE,
        "observe",
        "\"4h\"",
        "extra time before a key with unknown holders is deactivated",
    ),
    key(PROFILE, "soak", "\"7d\"", "time between deactivate and delete (floor 1h)"),
    key(
        PROFILE,
        "orphan_wait",
        "\"1h\"",
        "time between deactivating and deleting an orphan (floor 10m)",
    ),
    key(
        PROFILE,
        "on_straggler",
        "\"hold\"",
        "`hold` or `proceed`, when the old key is still used from outside",
    ),
    key(
        PROFILE,
        "quiet_hours",
        "",
        "hours of the day, local time, or a list: \"08:00-18:00\", \"22:00-06:00\". The agent makes, deactivates and deletes no key in them",
    ),
    key(
        PROFILE,
        "presigned_ttl",
        "\"0s\"",
        "the life of presigned URLs that programs hand out; those of `rotakey presign` are counted by themselves",
    ),
    key(PROFILE, "unsafe_durations", "false", "lift the floors (tests, demos)"),
    key(PROFILE, "probe", "", "a table: how a new key is verified"),
    key(PROBE, "successes", "5", "accepted calls in a row, at every vantage (floor 3)"),
    key(PROBE, "spacing", "\"2s\"", "between two rounds (floor 1s)"),
    key(PROBE, "settle", "\"30s\"", "between the last success and publishing (floor 10s)"),
    key(
        PROBE,
        "deadline",
        "\"5m\"",
        "the longest a key may take to be accepted, or refused (floor 30s)",
    ),
    key(PROBE, "regions", "[region]", "the regions whose STS must accept the key"),
];

pub(super) fn check(table: &toml::Table) -> Result<(), ConfigError> {
    for (name, value) in table {
        match name.as_str() {
            "agent" => check_table(value, "agent", "agent")?,
            "store" => check_table(value, "store", "store")?,
            "profile" => {
                let profiles = expect_table(value, "profile")?;
                for (profile, value) in profiles {
                    let at = format!("profile.{profile}");
                    check_table(value, PROFILE, &at)?;
                    if let Some(probe) = value.get("probe") {
                        check_table(probe, PROBE, &format!("{at}.probe"))?;
                    }
                }
            }
            other => return Err(unknown(other, "the file", &["agent", "store", "profile"])),
        }
    }
    Ok(())
}

fn check_table(value: &toml::Value, kind: &str, at: &str) -> Result<(), ConfigError> {
    let known: Vec<_> = KEYS.iter().filter(|key| key.table == kind).map(|key| key.name).collect();
    for name in expect_table(value, at)?.keys() {
        if !known.contains(&name.as_str()) {
            return Err(unknown(name, &format!("[{at}]"), &known));
        }
    }
    Ok(())
}

fn expect_table<'a>(value: &'a toml::Value, at: &str) -> Result<&'a toml::Table, ConfigError> {
    value.as_table().ok_or_else(|| {
        ConfigError::new(
            format!("{at} is not a table"),
            format!("write [{at}] on a line of its own"),
        )
    })
}

fn unknown(name: &str, place: &str, known: &[&str]) -> ConfigError {
    let nearest = known.iter().map(|key| (strsim::damerau_levenshtein(name, key), *key)).min();
    let hint = match nearest {
        Some((distance, key)) if distance <= name.len().max(3) / 2 => {
            format!("did you mean `{key}`?")
        }
        _ => format!("known here: {}", known.join(", ")),
    };
    ConfigError::new(format!("unknown key `{name}` in {place}"), hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// docs/configuration.md is this table; `UPDATE=1 cargo test` writes it anew.
    #[test]
    fn the_document_is_made_from_the_table() {
        let mut text = String::from(
            "# Configuration\n\n`$ROTAKEY_HOME/config.toml`, else `~/.config/rotakey/config.toml` (XDG). Mode 0600. An unknown key is\nan error. Durations are written like `30d`, `4h`, `90s` or `1h30m`.\n\n| table | key | default | meaning |\n| --- | --- | --- | --- |\n",
        );
        for key in KEYS {
            let default = if key.default.is_empty() { "" } else { &format!("`{}`", key.default) };
            text.push_str(&format!(
                "| `[{}]` | `{}` | {default} | {} |\n",
                key.table, key.name, key.meaning
            ));
        }
        let path = std::path::Path::new(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../docs/configuration.md"
        ));
        if std::env::vars_os().any(|(name, _)| name == "UPDATE") {
            crate::store::disk::replace(path, text.as_bytes()).expect("writable");
        }
        let document = crate::store::disk::read(path).expect("readable").unwrap_or_default();
        assert_eq!(
            String::from_utf8_lossy(&document),
            text,
            "run: UPDATE=1 cargo test the_document"
        );
    }
}
