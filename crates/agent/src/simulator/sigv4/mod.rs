//! Signature version 4 from the server's side: reads what a request says of its signer, and makes the signature
//! again to see whether that is true.

mod canonical;
pub(super) mod chunked;
mod form;

use std::collections::BTreeMap;
use std::time::SystemTime;

use aws_sigv4::sign::v4::{calculate_signature, generate_signing_key};
use http::request::Parts;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use rotakey_core::credential::SessionToken;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

pub(super) use self::canonical::encode;
pub(super) use self::form::{decode, pairs};
use super::message::Signature;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const TOKEN: &str = "x-amz-security-token";

/// How a service makes a path canonical.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PathStyle {
    /// Taken as it was sent; the paths of query and JSON services are `/`.
    Sent,
    /// Decoded and encoded again, once: S3.
    EncodedOnce,
}

/// What a request says of its signer, in the `Authorization` header or in the URL; not yet believed.
pub(super) struct Claim {
    pub(super) key: String,
    pub(super) region: String,
    pub(super) service: String,
    /// `X-Amz-Date`, and the day of the scope.
    time: String,
    day: String,
    signed_headers: String,
    pub(super) signature: String,
    token: Option<SessionToken>,
    /// If the signature is in the URL: how long it is good for.
    pub(super) expires_seconds: Option<u32>,
}

impl Claim {
    pub(super) fn read(parts: &Parts) -> Option<Self> {
        match header(parts, "authorization") {
            Some(authorization) => Self::in_header(parts, authorization),
            None => Self::in_url(&pairs(parts.uri.query().unwrap_or_default())),
        }
    }

    fn in_header(parts: &Parts, authorization: &str) -> Option<Self> {
        let fields: BTreeMap<&str, &str> = authorization
            .strip_prefix(ALGORITHM)?
            .split(',')
            .filter_map(|field| field.trim().split_once('='))
            .collect();
        let mut claim = Self::scoped(fields.get("Credential")?)?;
        claim.time = header(parts, "x-amz-date").unwrap_or_default().to_owned();
        claim.signed_headers = (*fields.get("SignedHeaders")?).to_owned();
        claim.signature = (*fields.get("Signature")?).to_owned();
        claim.token = header(parts, TOKEN).map(|token| SessionToken::new(token.to_owned()));
        Some(claim)
    }

    fn in_url(query: &[(String, String)]) -> Option<Self> {
        let get = |name: &str| query.iter().find(|(own, _)| own == name).map(|(_, value)| value);
        if get("X-Amz-Algorithm")? != ALGORITHM {
            return None;
        }
        let mut claim = Self::scoped(get("X-Amz-Credential")?)?;
        claim.time = get("X-Amz-Date")?.clone();
        claim.signed_headers = get("X-Amz-SignedHeaders")?.clone();
        claim.signature = get("X-Amz-Signature")?.clone();
        claim.token = get("X-Amz-Security-Token").cloned().map(SessionToken::new);
        // STS takes URLs without it and gives them fifteen minutes.
        claim.expires_seconds =
            Some(get("X-Amz-Expires").and_then(|text| text.parse().ok()).unwrap_or(900));
        Some(claim)
    }

    fn scoped(credential: &str) -> Option<Self> {
        let scope: Vec<&str> = credential.split('/').collect();
        let [key, day, region, service, "aws4_request"] = scope[..] else { return None };
        Some(Self {
            key: key.to_owned(),
            region: region.to_owned(),
            service: service.to_owned(),
            time: String::new(),
            day: day.to_owned(),
            signed_headers: String::new(),
            signature: String::new(),
            token: None,
            expires_seconds: None,
        })
    }

    /// What it comes to, once it is known whether it is true.
    pub(super) fn judged(&self, is_right: bool) -> Signature {
        // In a URL everything but the signature is signed.
        let token_signed = self.expires_seconds.is_some() || self.covers(TOKEN);
        Signature {
            signer: self.key.clone(),
            token: self.token.clone(),
            token_signed,
            region: self.region.clone(),
            is_right,
            signed_at: parse_date(&self.time),
            expires_seconds: self.expires_seconds,
        }
    }

    /// The key that this claim would be signed with, if it is the one of `secret`.
    pub(super) fn key_of(&self, secret: &str) -> Option<SigningKey> {
        let at = SystemTime::from(parse_date(&self.time)?);
        let key = generate_signing_key(secret, at, &self.region, &self.service);
        let scope = format!("{}/{}/{}/aws4_request", self.day, self.region, self.service);
        Some(SigningKey { key: key.as_ref().to_vec(), time: self.time.clone(), scope })
    }

    /// Whether the head was signed with this key, for a body of this hash.
    pub(super) fn is_signed(
        &self,
        parts: &Parts,
        body_hash: &str,
        style: PathStyle,
        key: &SigningKey,
    ) -> bool {
        // A signature that leaves these out could be moved to another server or time.
        let dated = self.expires_seconds.is_some() || self.covers("x-amz-date");
        if !self.covers("host") || !dated || !self.time.starts_with(&self.day) {
            return false;
        }
        let canonical = canonical::request(parts, &self.signed_headers, body_hash, style);
        let right = key.sign(ALGORITHM, &hex::encode(Sha256::digest(canonical)));
        right.as_bytes().ct_eq(self.signature.as_bytes()).into()
    }

    fn covers(&self, name: &str) -> bool {
        self.signed_headers.split(';').any(|signed| signed == name)
    }
}

/// A day's key for one region and service, with what else goes into every text that is signed.
pub(super) struct SigningKey {
    key: Vec<u8>,
    time: String,
    scope: String,
}

impl SigningKey {
    /// Signs what comes after algorithm, time and scope.
    pub(super) fn sign(&self, algorithm: &str, rest: &str) -> String {
        let text = format!("{algorithm}\n{}\n{}\n{rest}", self.time, self.scope);
        calculate_signature(&self.key, text.as_bytes())
    }
}

fn parse_date(text: &str) -> Option<Timestamp> {
    let time = DateTime::strptime("%Y%m%dT%H%M%SZ", text).ok()?;
    Some(time.to_zoned(TimeZone::UTC).ok()?.timestamp())
}

pub(super) fn header<'a>(parts: &'a Parts, name: &str) -> Option<&'a str> {
    parts.headers.get(name)?.to_str().ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read() {
        let date = parse_date("20261123T111314Z").unwrap();
        assert_eq!(date.to_string(), "2026-11-23T11:13:14Z");
        assert!(parse_date("now").is_none());
    }
}
