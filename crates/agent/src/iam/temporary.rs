//! What STS is asked for, and what it hands out for a while.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use rotakey_core::credential::{Credentials, SecretAccessKey, SessionToken};
use zeroize::Zeroizing;

/// Temporary credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Temporary {
    /// All three parts; the token is there, and not empty.
    pub credentials: Credentials,
    /// When AWS ends them, whole seconds.
    pub expires: Timestamp,
}

impl Temporary {
    /// Takes an answer of STS over. `None` if a part is missing or empty, the token above all: SDKs would sign an
    /// empty one, which AWS refuses.
    pub fn whole(id: &str, secret: &str, token: &str, expires: Timestamp) -> Option<Self> {
        let access_key_id = id.parse().ok()?;
        (!secret.is_empty() && !token.is_empty()).then(|| Self {
            credentials: Credentials {
                access_key_id,
                secret_access_key: SecretAccessKey::new(secret.to_owned()),
                session_token: Some(SessionToken::new(token.to_owned())),
            },
            expires,
        })
    }
}

/// A one-time code of an MFA device: digits, redacted when printed, wiped when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct MfaCode(Zeroizing<String>);

/// Why a text is not a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an MFA code: expected six digits")]
pub struct NotACode;

impl MfaCode {
    /// Takes a code, without the blanks around and within it that people and programs write.
    pub fn new(text: &str) -> Result<Self, NotACode> {
        let digits: Zeroizing<String> =
            Zeroizing::new(text.chars().filter(|c| !c.is_whitespace()).collect());
        // STS, `TokenCode`: `[\d]*`, six characters.
        let is_code = digits.len() == 6 && digits.bytes().all(|byte| byte.is_ascii_digit());
        if is_code { Ok(Self(digits)) } else { Err(NotACode) }
    }

    /// The digits.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for MfaCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// Proof that a person, or what stands in for one, has the MFA device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mfa {
    /// The device: the ARN of a virtual one, or the number on a piece of hardware.
    pub serial: String,
    /// What it shows. AWS takes each only once.
    pub code: MfaCode,
}

/// What `AssumeRole` is asked with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssumeRole {
    /// Which role.
    pub role_arn: String,
    /// What CloudTrail and the session's ARN call it.
    pub session_name: String,
    /// What the role's owner asks third parties to say.
    pub external_id: Option<String>,
    /// How long, in whole seconds: 15 minutes up to what the role allows; 1 hour if a role's session signs.
    pub duration: Duration,
    /// If the role's trust policy asks for MFA, and the signer is a long-term key.
    pub mfa: Option<Mfa>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_without_a_token_is_no_session() {
        let at = Timestamp::UNIX_EPOCH;
        assert!(Temporary::whole("ASIAEXAMPLE", "s", "t", at).is_some());
        for (id, secret, token) in
            [("", "s", "t"), ("ASIAEXAMPLE", "", "t"), ("ASIAEXAMPLE", "s", "")]
        {
            assert_eq!(Temporary::whole(id, secret, token, at), None, "{id} {secret} {token}");
        }
    }

    #[test]
    fn a_code_is_six_digits_and_never_prints() {
        for good in ["123456", " 123456\n", "123 456"] {
            let code = MfaCode::new(good).expect(good);
            assert_eq!((code.expose(), format!("{code:?}").as_str()), ("123456", "[redacted]"));
        }
        for bad in ["", "12345", "1234567", "12345a", "\u{661}23456"] {
            assert_eq!(MfaCode::new(bad), Err(NotACode), "{bad}");
        }
    }
}
