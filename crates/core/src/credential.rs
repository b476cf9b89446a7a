//! Access keys: their ids, their secrets and their states.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// The id of an IAM access key, such as `AKIAIOSFODNN7EXAMPLE`.
///
/// Ids need not begin with `AKIA`: servers other than AWS make their own. IAM's own pattern is
/// `[\w]+`, 16 to 128 characters (IAM API reference, `AccessKey`); shorter ids are accepted, since
/// compatible servers hand them out.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AccessKeyId(String);

/// Why a text is not an access key id.
#[derive(Debug, thiserror::Error)]
#[error("not an access key id: expected 3 to 128 letters, digits, '_', '-' or '.'")]
pub struct InvalidAccessKeyId;

impl AccessKeyId {
    /// The id as text. Ids are not secret.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for AccessKeyId {
    type Err = InvalidAccessKeyId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        if (3..=128).contains(&text.len()) && text.chars().all(allowed) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidAccessKeyId)
        }
    }
}

impl TryFrom<String> for AccessKeyId {
    type Error = InvalidAccessKeyId;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<AccessKeyId> for String {
    fn from(id: AccessKeyId) -> Self {
        id.0
    }
}

impl fmt::Display for AccessKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for AccessKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The secret half of an access key: redacted when printed, wiped when dropped, never serialised.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretAccessKey(Zeroizing<String>);

impl SecretAccessKey {
    /// Takes a secret over. The caller's own copy is the caller's to wipe.
    pub fn new(secret: String) -> Self {
        Self(Zeroizing::new(secret))
    }

    /// The secret itself. Every call of this is a place where it could leak.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretAccessKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// What proves that temporary credentials come from STS: redacted when printed, wiped when dropped, never
/// serialised.
#[derive(Clone, PartialEq, Eq)]
pub struct SessionToken(Zeroizing<String>);

impl SessionToken {
    /// Takes a token over. The caller's own copy is the caller's to wipe.
    pub fn new(token: String) -> Self {
        Self(Zeroizing::new(token))
    }

    /// The token itself. Every call of this is a place where it could leak.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SessionToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// An access key whole, or temporary credentials: what signs a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// Names the key.
    pub access_key_id: AccessKeyId,
    /// Signs with it.
    pub secret_access_key: SecretAccessKey,
    /// Goes with the signature of temporary credentials; `None` for a long-term key. Never empty: several SDKs
    /// sign an empty one, which AWS refuses.
    pub session_token: Option<SessionToken>,
}

impl Credentials {
    /// An IAM user's key.
    pub fn long_term(access_key_id: AccessKeyId, secret_access_key: SecretAccessKey) -> Self {
        Self { access_key_id, secret_access_key, session_token: None }
    }
}

/// Whether IAM lets a key sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum KeyStatus {
    /// Requests signed with the key are accepted.
    Active,
    /// They are refused, with the same error as for a key that does not exist.
    Inactive,
}

impl fmt::Display for KeyStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Active => "Active",
            Self::Inactive => "Inactive",
        })
    }
}

/// Counts the credentials a profile has published: each publish is one more.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Generation(pub u64);

impl Generation {
    /// The generation after this one.
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_other_servers_are_taken_and_nonsense_is_not() {
        for good in ["AKIAIOSFODNN7EXAMPLE", "minio-user.1", "abc", "LSIA_x"] {
            assert!(good.parse::<AccessKeyId>().is_ok(), "{good}");
        }
        for bad in ["", "ab", "a b c", "AKIA/../x", "AKIA\n", &"x".repeat(129)] {
            assert!(bad.parse::<AccessKeyId>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_secret_never_prints() {
        let credentials = Credentials {
            access_key_id: "AKIAEXAMPLE".parse().expect("an id"),
            secret_access_key: SecretAccessKey::new("hunter2".to_owned()),
            session_token: Some(SessionToken::new("hunter3".to_owned())),
        };
        assert!(!format!("{credentials:?}{credentials:#?}").contains("hunter"));
    }

    #[test]
    fn an_id_is_one_text_however_it_is_read_or_written() {
        let text = "AKIAIOSFODNN7EXAMPLE";
        let id: AccessKeyId = text.parse().expect("an id");
        assert_eq!(id.as_str(), text);
        assert_eq!((id.to_string(), format!("{id:?}")), (text.to_owned(), text.to_owned()));
        assert_eq!(format!("{id:>22}"), "  AKIAIOSFODNN7EXAMPLE");
        let json = serde_json::to_string(&id).expect("text");
        assert_eq!(json, format!("{text:?}"));
        assert_eq!(serde_json::from_str::<AccessKeyId>(&json).expect("the same id"), id);
        assert!(serde_json::from_str::<AccessKeyId>("\"a b\"").is_err());
        assert!("x".repeat(128).parse::<AccessKeyId>().is_ok());
    }

    #[test]
    fn a_secret_is_told_only_when_it_is_asked_for() {
        let secret = SecretAccessKey::new("hunter2".to_owned());
        assert_eq!((secret.expose(), format!("{secret:?}").as_str()), ("hunter2", "[redacted]"));
        let token = SessionToken::new("hunter3".to_owned());
        assert_eq!((token.expose(), format!("{token:?}").as_str()), ("hunter3", "[redacted]"));
    }

    #[test]
    fn a_status_is_written_as_iam_writes_it_and_a_generation_as_its_number() {
        assert_eq!(format!("{:>9}", KeyStatus::Active), "   Active");
        assert_eq!(KeyStatus::Inactive.to_string(), "Inactive");
        let third = Generation::default().next().next().next();
        assert_eq!((third, third.to_string().as_str()), (Generation(3), "3"));
    }
}
