//! What IAM and STS can answer, in the words the engine decides by.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::credential::{AccessKeyId, Credentials, KeyStatus};

/// What became of a call to AWS.
///
/// A lost reply is not a failure: the call may have been carried out, so it means *look before acting*.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome<T> {
    /// The service did it and said so.
    Done(T),
    /// The service said no; nothing was changed.
    Refused(Refusal),
    /// Nobody knows whether it was done.
    Unknown(Doubt),
}

impl<T> Outcome<T> {
    /// The same outcome around another value.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Outcome<U> {
        match self {
            Self::Done(value) => Outcome::Done(f(value)),
            Self::Refused(refusal) => Outcome::Refused(refusal),
            Self::Unknown(doubt) => Outcome::Unknown(doubt),
        }
    }
}

/// A "no" from AWS.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct Refusal {
    /// What the engine goes by.
    pub class: RefusalClass,
    /// AWS's own error code, such as `InvalidClientTokenId`.
    pub code: String,
    /// AWS's own words.
    pub message: String,
}

/// The kinds of "no" between which the engine tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RefusalClass {
    /// The key is unknown, inactive, or not yet known everywhere. AWS gives all three the same error.
    KeyUnknown,
    /// The signature does not match: the secret is wrong.
    WrongSecret,
    /// The signature's time is off: a clock is wrong.
    Clock,
    /// Temporary credentials are over.
    Expired,
    /// Authenticated, but not allowed.
    Permission,
    /// Not allowed because AWS quarantined the user: the key leaked.
    Quarantine,
    /// Too many calls; come again later.
    Throttled,
    /// The user has as many keys as IAM allows.
    Quota,
    /// No such user or key.
    NoSuchEntity,
    /// Another change is under way; come again later.
    Conflict,
    /// The request itself is wrong.
    Invalid,
}

impl RefusalClass {
    /// Whether the caller was recognised: the signature was right and the key is alive.
    pub fn is_authenticated(self) -> bool {
        matches!(
            self,
            Self::Permission | Self::Quarantine | Self::Quota | Self::NoSuchEntity | Self::Conflict
        )
    }

    /// Whether the signer is what is wrong. A server that does not know a call says nothing of its signer.
    pub fn is_about_the_signer(self) -> bool {
        matches!(self, Self::KeyUnknown | Self::WrongSecret | Self::Clock | Self::Expired)
    }

    /// Whether the same call may succeed later without anybody doing anything.
    pub fn is_transient(self) -> bool {
        matches!(self, Self::Throttled | Self::Conflict)
    }
}

/// Why nobody knows what became of a call.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Doubt {
    /// False only if the request provably never left this machine (the connection was refused, say).
    pub sent: bool,
    /// What was seen, for people.
    pub reason: String,
}

/// A key just made: the only time that its secret is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewKey {
    /// Both halves.
    pub credentials: Credentials,
    /// `CreateDate`, by the server's clock, whole seconds.
    pub created: Timestamp,
}

/// One line of `ListAccessKeys`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ListedKey {
    /// Which key.
    pub access_key_id: AccessKeyId,
    /// Its state, as the control plane has it; a data plane may lag by seconds.
    pub status: KeyStatus,
    /// `CreateDate`, by the server's clock, whole seconds.
    pub created: Timestamp,
}

/// The answer to `ListAccessKeys`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyList {
    /// All keys of the user (pages already joined).
    pub keys: Vec<ListedKey>,
    /// The server's `Date` header; the local clock's time if it sent none.
    pub server_time: Timestamp,
}

impl KeyList {
    /// The line of one key.
    pub fn find(&self, id: &AccessKeyId) -> Option<&ListedKey> {
        self.keys.iter().find(|key| &key.access_key_id == id)
    }
}

/// The answer to `GetAccessKeyLastUsed`, if the key was ever used.
///
/// Its granularity is 15 minutes and it lags by up to hours (AWS credential report documentation): it can
/// prove a use, never the absence of one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LastUsed {
    /// `LastUsedDate`.
    pub at: Timestamp,
    /// The service called, such as `s3`.
    pub service: String,
    /// The region called.
    pub region: String,
}

/// The answer to `GetCallerIdentity`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallerIdentity {
    /// The account's twelve digits.
    pub account_id: String,
    /// Who signed, such as `arn:aws:iam::123456789012:user/path/name`.
    pub arn: String,
}

impl CallerIdentity {
    /// The IAM user's name, without its path, if the ARN is a user's (of any partition).
    pub fn user_name(&self) -> Option<&str> {
        let resource = self.arn.splitn(6, ':').nth(5)?;
        let name = resource.strip_prefix("user/")?.rsplit('/').next()?;
        (!name.is_empty()).then_some(name)
    }

    /// Whether the signer is a session of a role, `arn:aws:iam::123456789012:role/path/name`. STS names the role
    /// without its path: `arn:aws:sts::123456789012:assumed-role/name/session`.
    pub fn is_session_of(&self, role_arn: &str) -> bool {
        let name = |arn: &str, service: &str, kind: &str| {
            let parts: Vec<&str> = arn.splitn(6, ':').collect();
            let [_, partition, of, _, account, resource] = parts[..] else { return None };
            let resource = resource.strip_prefix(kind).filter(|_| of == service)?;
            Some((partition.to_owned(), account.to_owned(), resource.to_owned()))
        };
        let role = name(role_arn, "iam", "role/");
        let role = role.map(|(p, a, path)| (p, a, path.rsplit('/').next().map(str::to_owned)));
        let ours = name(&self.arn, "sts", "assumed-role/");
        let ours = ours.map(|(p, a, rest)| (p, a, rest.split('/').next().map(str::to_owned)));
        role.is_some() && role == ours
    }

    /// Whether the signer is the account's root user, whose keys rotakey does not rotate.
    pub fn is_root(&self) -> bool {
        self.arn.ends_with(":root")
    }
}

/// Where a new key must be accepted before anything is published.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Vantage {
    /// `GetCallerIdentity` at the STS of one region.
    Sts(String),
    /// `ListAccessKeys` at IAM.
    Iam,
}

impl std::fmt::Display for Vantage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Sts(region) => write!(f, "sts {region}"),
            Self::Iam => f.write_str("iam"),
        }
    }
}

#[cfg(test)]
mod tests;
