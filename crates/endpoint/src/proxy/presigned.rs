//! Signatures in URLs, of either version.

use std::borrow::Cow;

use jiff::{SignedDuration, Timestamp};

use super::claim::{Claim, Place};
use super::date::parse_basic;
use super::grammar::{scoped, signature, signed_headers};
use super::key::{ALGORITHM, Scope};
use super::refusal::Refusal;
use super::uri::{is_version_4_parameter, pairs};

/// The longest life of a presigned URL, in seconds: 7 days (IAM user guide, "Create a signed request").
pub(super) const EXPIRES_SECONDS_MAX: i64 = 604_800;

/// What stands in a URL, if it carries a signature.
#[derive(Default)]
pub(super) struct Parameters {
    version_4: Vec<(String, String)>,
    version_2: Vec<(String, String)>,
}

impl Parameters {
    /// `None` if there is no signature.
    pub(super) fn read(query: &str) -> Result<Option<Self>, Refusal> {
        let mut found = Self::default();
        for (name, value) in pairs(query.as_bytes()) {
            let Ok(name) = String::from_utf8(name) else { continue };
            let is_version_2 = matches!(&*name, "AWSAccessKeyId" | "Signature" | "Expires");
            let is_version_4 = is_version_4_parameter(name.as_bytes());
            let place = match () {
                () if is_version_4 => &mut found.version_4,
                () if is_version_2 => &mut found.version_2,
                () => continue,
            };
            if place.iter().any(|(other, _)| other.eq_ignore_ascii_case(&name)) {
                return Err(Refusal::Malformed);
            }
            place.push((name, String::from_utf8(value).map_err(|_| Refusal::Malformed)?));
        }
        Ok((found.is_version_4() || found.is_version_2()).then_some(found))
    }

    fn is_version_4(&self) -> bool {
        self.version_4.iter().any(|(name, _)| name.eq_ignore_ascii_case("X-Amz-Signature"))
    }

    fn is_version_2(&self) -> bool {
        self.version_2.iter().any(|(name, _)| name == "AWSAccessKeyId" || name == "Signature")
    }

    pub(super) fn claim(self, version_2_region: Option<&str>) -> Result<Claim<'static>, Refusal> {
        match (self.is_version_4(), self.is_version_2()) {
            (true, false) => self.version_4(),
            (false, _) => self.version_2(version_2_region.ok_or(Refusal::Version2)?),
            (true, true) => Err(Refusal::SignedTwice),
        }
    }

    fn version_4(&self) -> Result<Claim<'static>, Refusal> {
        let find = |name: &str| {
            self.version_4.iter().find(|(own, _)| own == name).map(|(_, value)| &**value)
        };
        let get = |name: &str| find(name).ok_or(Refusal::Malformed);
        match get("X-Amz-Algorithm")? {
            ALGORITHM => {}
            "AWS4-ECDSA-P256-SHA256" => return Err(Refusal::Asymmetric),
            _ => return Err(Refusal::Malformed),
        }
        let (key_id, scope) = scoped(get("X-Amz-Credential")?)?;
        let date = get("X-Amz-Date")?;
        let seconds = digits(get("X-Amz-Expires")?)?;
        if !(1..=EXPIRES_SECONDS_MAX).contains(&seconds) {
            return Err(Refusal::Malformed);
        }
        Ok(Claim {
            key_id: Cow::Owned(key_id.to_owned()),
            scope,
            signed_headers: Cow::Owned(signed_headers(get("X-Amz-SignedHeaders")?)?.to_owned()),
            signature: Cow::Owned(signature(get("X-Amz-Signature")?)?.to_owned()),
            at: parse_basic(date).ok_or(Refusal::Malformed)?,
            date: Cow::Owned(date.to_owned()),
            place: Place::Url {
                life: SignedDuration::from_secs(seconds),
                content_sha256: find("X-Amz-Content-Sha256").map(str::to_owned),
                token: find("X-Amz-Security-Token").map(str::to_owned),
            },
        })
    }

    fn version_2(&self, region: &str) -> Result<Claim<'static>, Refusal> {
        let find = |name: &str| {
            self.version_2.iter().find(|(own, _)| own == name).map(|(_, value)| &**value)
        };
        let get = |name: &str| find(name).ok_or(Refusal::Malformed);
        let expires = get("Expires")?;
        let at = Timestamp::from_second(digits(expires)?).map_err(|_| Refusal::Malformed)?;
        Ok(Claim {
            key_id: Cow::Owned(get("AWSAccessKeyId")?.to_owned()),
            scope: Scope {
                day: String::new(),
                region: region.to_owned(),
                service: "s3".to_owned(),
            },
            signed_headers: Cow::Borrowed(""),
            signature: Cow::Owned(get("Signature")?.to_owned()),
            at,
            date: Cow::Borrowed(""),
            place: Place::UrlVersion2 { expires: expires.to_owned() },
        })
    }
}

fn digits(text: &str) -> Result<i64, Refusal> {
    let is_number =
        (1..=10).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().ok()).flatten().ok_or(Refusal::Malformed)
}
