//! Sessions, roles and MFA in a profile's table.

use std::time::Duration;

use super::ConfigError;
use super::reader::Reader;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// What STS gives at least (STS API reference, `DurationSeconds`).
const LEAST: Duration = Duration::from_secs(900);

/// What programs are given by `process`. The other sources never serve the bare key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Serve {
    /// The key itself.
    #[default]
    Key,
    /// A session of the key's user, from GetSessionToken.
    Session,
    /// A session of a role, from AssumeRole.
    Role,
}

/// The sessions of one profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionSettings {
    /// The life of a GetSessionToken session.
    pub duration: Duration,
    /// The role that this very profile adds; what it is assumed with comes from `source_profile`.
    pub role: Option<RoleSettings>,
    /// The MFA device of the user, of this profile or of the nearest one that `source_profile` leads to.
    pub mfa: Option<MfaSettings>,
}

/// A role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleSettings {
    /// Its ARN.
    pub role_arn: String,
    /// What its owner asks third parties to say.
    pub external_id: Option<String>,
    /// What CloudTrail calls the session.
    pub session_name: String,
    /// The life of a session; `None` if the profile does not say.
    pub duration: Option<Duration>,
}

impl RoleSettings {
    /// The life of a session if the profile does not say, and the longest if the session of another role signs.
    pub const CHAINED_AT_MOST: Duration = HOUR;

    /// The life of a session.
    pub fn duration(&self) -> Duration {
        self.duration.unwrap_or(HOUR)
    }
}

/// An MFA device, and where its codes come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MfaSettings {
    /// The profile it stands in: the one that `rotakey mfa` is given, and that names the seed in the keystore.
    pub profile: String,
    /// The device's ARN or serial number.
    pub serial: String,
    /// A command that prints a code.
    pub process: Option<String>,
}

pub(super) fn serve(read: &Reader<'_>) -> Result<Serve, ConfigError> {
    match read.text("serve")?.unwrap_or("key") {
        "key" => Ok(Serve::Key),
        "session" => Ok(Serve::Session),
        "role" => Ok(Serve::Role),
        other => Err(read.wrong("serve", &format!("{other:?}"), "`key`, `session` or `role`")),
    }
}

pub(super) fn settings(
    profile: &str,
    read: &Reader<'_>,
    lifted: bool,
    inherited_mfa: Option<MfaSettings>,
) -> Result<SessionSettings, ConfigError> {
    let mfa = mfa(profile, read)?.or(inherited_mfa);
    let default = if mfa.is_some() { 12 * HOUR } else { HOUR };
    let floor = if lifted { Duration::ZERO } else { LEAST };
    let ceiling = (36 * HOUR, "GetSessionToken gives no longer ones");
    Ok(SessionSettings {
        duration: read.bounded("session_duration", default, floor, ceiling)?.max(MINUTE / 60),
        role: role(profile, read, floor)?,
        mfa,
    })
}

/// The MFA device that stands in this very table.
pub(super) fn mfa(profile: &str, read: &Reader<'_>) -> Result<Option<MfaSettings>, ConfigError> {
    let process = read.text("mfa_process")?.map(str::to_owned);
    match read.text("mfa_serial")? {
        Some(serial) => {
            let (profile, serial) = (profile.to_owned(), serial.to_owned());
            Ok(Some(MfaSettings { profile, serial, process }))
        }
        None if process.is_some() => Err(read.lonely(
            "mfa_process",
            "mfa_serial",
            "name the device: mfa_serial = \"arn:aws:iam::123456789012:mfa/NAME\"",
        )),
        None => Ok(None),
    }
}

fn role(
    profile: &str,
    read: &Reader<'_>,
    floor: Duration,
) -> Result<Option<RoleSettings>, ConfigError> {
    let wanted = "the ARN of a role, such as \"arn:aws:iam::123456789012:role/deploy\"";
    let role_arn =
        read.get("role_arn", wanted, |value| value.as_str().filter(|arn| is_role_arn(arn)))?;
    let Some(role_arn) = role_arn else {
        let parts = ["external_id", "session_name", "duration"];
        let lonely = parts.into_iter().find(|key| read.table.contains_key(*key));
        return match lonely {
            Some("duration") => Err(read.lonely(
                "duration",
                "role_arn",
                "the life of a GetSessionToken session is session_duration",
            )),
            Some(key) => Err(read.lonely(key, "role_arn", "add role_arn, or remove it")),
            None => Ok(None),
        };
    };
    if serve(read)? != Serve::Role {
        return Err(ConfigError::new(
            format!("{}: role_arn is set, and serve is not \"role\"", read.at),
            "set serve = \"role\" to serve the role, or remove role_arn",
        ));
    }
    let wanted = "2 to 64 letters, digits and _ + = , . @ -";
    let name = read
        .get("session_name", wanted, |value| value.as_str().filter(|name| is_session_name(name)))?;
    let wanted = "2 to 1224 letters, digits and _ + = , . @ : / -";
    let external_id =
        read.get("external_id", wanted, |value| value.as_str().filter(|id| is_external_id(id)))?;
    let duration = match read.table.contains_key("duration") {
        true => {
            Some(read.bounded("duration", HOUR, floor, (12 * HOUR, "AWS gives no longer ones"))?)
        }
        false => None,
    };
    Ok(Some(RoleSettings {
        role_arn: role_arn.to_owned(),
        external_id: external_id.map(str::to_owned),
        session_name: name.map_or_else(|| default_session_name(profile), str::to_owned),
        duration: duration.map(|duration| duration.max(MINUTE / 60)),
    }))
}

/// `rotakey-<profile>`, cut to what AWS takes. Names of profiles have no other characters.
fn default_session_name(profile: &str) -> String {
    format!("rotakey-{profile}").chars().take(64).collect()
}

/// `arn:<partition>:iam::<account>:role/<path and name>`.
fn is_role_arn(arn: &str) -> bool {
    let parts: Vec<&str> = arn.splitn(6, ':').collect();
    let [scheme, partition, service, region, account, resource] = parts[..] else { return false };
    scheme == "arn"
        && !partition.is_empty()
        && service == "iam"
        && region.is_empty()
        && account.bytes().all(|byte| byte.is_ascii_digit())
        && resource.strip_prefix("role/").is_some_and(|name| !name.is_empty())
        && !arn.contains(char::is_whitespace)
}

/// STS API reference, `RoleSessionName`: `[\w+=,.@-]*`, 2 to 64.
fn is_session_name(name: &str) -> bool {
    (2..=64).contains(&name.len()) && name.chars().all(|c| is_word(c) || "+=,.@-".contains(c))
}

/// STS API reference, `ExternalId`: `[\w+=,.@:\/-]*`, 2 to 1224.
fn is_external_id(id: &str) -> bool {
    (2..=1224).contains(&id.len()) && id.chars().all(|c| is_word(c) || "+=,.@:/-".contains(c))
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

pub(super) fn executables(read: &Reader<'_>) -> Result<Vec<String>, ConfigError> {
    let programs = read.list("executables")?.unwrap_or_default();
    match programs.iter().find(|path| !path.starts_with('/')) {
        Some(path) => Err(ConfigError::new(
            format!("{}: executables names {path:?}", read.at),
            "give whole paths, such as \"/usr/bin/aws\"",
        )),
        None => Ok(programs),
    }
}
