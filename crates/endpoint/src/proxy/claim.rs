//! What a request says of its signer, in the `Authorization` header or in its URL; not yet believed.

use std::borrow::Cow;
use std::fmt;

use http::header;
use http::request::Parts;
use jiff::{SignedDuration, Timestamp};

use super::date::{format_basic, parse_basic, parse_http};
use super::grammar::{self, cut, scoped, signature, signed_headers};
use super::key::{ALGORITHM, Scope};
use super::names::{AMZ_DATE, text};
use super::presigned::Parameters;
use super::refusal::Refusal;

/// In a header it is not copied from there.
#[derive(Clone)]
pub(super) struct Claim<'a> {
    pub(super) key_id: Cow<'a, str>,
    pub(super) scope: Scope,
    /// In small letters, in order, each once, with `;` between them.
    pub(super) signed_headers: Cow<'a, str>,
    /// 64 hexadecimal digits in small letters, or of version 2: Base64.
    pub(super) signature: Cow<'a, str>,
    pub(super) at: Timestamp,
    /// The date as it is signed.
    pub(super) date: Cow<'a, str>,
    pub(super) place: Place,
}

/// Where the signature stands.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Place {
    Header,
    /// What the URL says of the body and the token, and how long it is good for.
    Url {
        life: SignedDuration,
        content_sha256: Option<String>,
        token: Option<String>,
    },
    /// Version 2, in the URL.
    UrlVersion2 {
        expires: String,
    },
}

/// Without signature and token: they are as good as the request, for some minutes.
impl fmt::Debug for Claim<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.key_id, self.scope)
    }
}

impl<'a> Claim<'a> {
    /// Reads it from either place. `version_2_region` is the region to take for URLs of signature version 2, which have none.
    pub(super) fn read(head: &'a Parts, version_2_region: Option<&str>) -> Result<Self, Refusal> {
        let query = head.uri.query().unwrap_or_default();
        let in_url = Parameters::read(query)?;
        match (head.headers.get(header::AUTHORIZATION), in_url) {
            (Some(_), Some(_)) => Err(Refusal::SignedTwice),
            (Some(header), None) => {
                let header = text(header).ok_or(Refusal::Malformed)?;
                let (at, date) = date_of(head)?;
                Self::in_header(header, at, date)
            }
            (None, Some(parameters)) => parameters.claim(version_2_region),
            (None, None) => Err(Refusal::Unsigned),
        }
    }

    fn in_header(text: &'a str, at: Timestamp, date: Cow<'a, str>) -> Result<Self, Refusal> {
        let authorization = Authorization::parse(text)?;
        Ok(Self {
            key_id: authorization.key_id.into(),
            scope: authorization.scope,
            signed_headers: signed_headers(authorization.signed_headers)?.into(),
            signature: signature(authorization.signature)?.into(),
            at,
            date,
            place: Place::Header,
        })
    }

    pub(super) fn covers(&self, name: &str) -> bool {
        has_name(&self.signed_headers, name)
    }
}

/// Whether a header is among names with `;` between them.
pub(super) fn has_name(names: &str, name: &str) -> bool {
    grammar::names(names).any(|own| own == name)
}

/// The parts of an `Authorization` header.
struct Authorization<'a> {
    key_id: &'a str,
    scope: Scope,
    signed_headers: &'a str,
    signature: &'a str,
}

impl<'a> Authorization<'a> {
    /// The three fields in any order, each once, with commas between them and spaces where SDKs put them.
    fn parse(text: &'a str) -> Result<Self, Refusal> {
        let (algorithm, fields) = cut(text, b' ');
        match algorithm {
            ALGORITHM => {}
            "AWS4-ECDSA-P256-SHA256" => return Err(Refusal::Asymmetric),
            "AWS" => return Err(Refusal::Version2),
            _ => return Err(Refusal::Malformed),
        }
        let (mut credential, mut headers, mut signature) = (None, None, None);
        let mut rest = Some(fields.unwrap_or_default());
        while let Some(fields) = rest {
            let (field, behind) = cut(fields, b',');
            rest = behind;
            let (name, value) = cut(field.trim_matches(' '), b'=');
            let value = value.ok_or(Refusal::Malformed)?;
            let place = match name {
                "Credential" => &mut credential,
                "SignedHeaders" => &mut headers,
                "Signature" => &mut signature,
                _ => return Err(Refusal::Malformed),
            };
            if place.replace(value).is_some() {
                return Err(Refusal::Malformed);
            }
        }
        let all = credential.zip(headers).zip(signature).ok_or(Refusal::Malformed)?;
        let ((credential, signed_headers), signature) = all;
        let (key_id, scope) = scoped(credential)?;
        Ok(Self { key_id, scope, signed_headers, signature })
    }
}

/// `X-Amz-Date`, or else `Date`, which is signed in the form of the other.
fn date_of(head: &Parts) -> Result<(Timestamp, Cow<'_, str>), Refusal> {
    let of = |name| head.headers.get(name).map(|value| text(value).ok_or(Refusal::Malformed));
    if let Some(date) = of(AMZ_DATE).transpose()? {
        return Ok((parse_basic(date).ok_or(Refusal::Malformed)?, date.into()));
    }
    let date = of(header::DATE).transpose()?.ok_or(Refusal::Malformed)?;
    let at = parse_http(date).ok_or(Refusal::Malformed)?;
    Ok((at, format_basic(at).into()))
}
