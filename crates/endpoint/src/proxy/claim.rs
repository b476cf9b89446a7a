//! What a request says of its signer, in the `Authorization` header or in its URL; not yet believed.

use http::request::Parts;
use jiff::{SignedDuration, Timestamp};

use super::date::{format_basic, parse_basic, parse_http};
use super::key::{ALGORITHM, Scope};
use super::refusal::Refusal;
use super::uri::{is_version_4_parameter, pairs};

/// The longest life of a presigned URL, in seconds: 7 days (IAM user guide, "Create a signed request").
const EXPIRES_SECONDS_MAX: i64 = 604_800;

/// Names of headers and their number, longer than any SDK's.
const SIGNED_HEADERS_CHARS_MAX: usize = 8192;

#[derive(Clone, Debug)]
pub(super) struct Claim {
    pub(super) key_id: String,
    pub(super) scope: Scope,
    /// In small letters, in order, each once, with `;` between them.
    pub(super) signed_headers: String,
    /// 64 hexadecimal digits in small letters, or of version 2: Base64.
    pub(super) signature: String,
    pub(super) at: Timestamp,
    /// The date as it is signed.
    pub(super) date: String,
    pub(super) place: Place,
}

/// Where the signature stands.
#[derive(Clone, Debug, PartialEq, Eq)]
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

impl Claim {
    /// Reads it from either place. `version_2_region` is the region to take for URLs of signature version 2, which have none.
    pub(super) fn read(head: &Parts, version_2_region: Option<&str>) -> Result<Self, Refusal> {
        let query = head.uri.query().unwrap_or_default();
        let in_url = Parameters::read(query)?;
        match (head.headers.get("authorization"), in_url) {
            (Some(_), Some(_)) => Err(Refusal::SignedTwice),
            (Some(header), None) => {
                let text = header.to_str().map_err(|_| Refusal::Malformed)?;
                let (at, date) = date_of(head)?;
                Self::in_header(text, at, date)
            }
            (None, Some(parameters)) => parameters.claim(version_2_region),
            (None, None) => Err(Refusal::Unsigned),
        }
    }

    fn in_header(text: &str, at: Timestamp, date: String) -> Result<Self, Refusal> {
        let authorization = Authorization::parse(text)?;
        Ok(Self {
            key_id: authorization.key_id.to_owned(),
            scope: authorization.scope,
            signed_headers: signed_headers(authorization.signed_headers)?,
            signature: signature(authorization.signature)?,
            at,
            date,
            place: Place::Header,
        })
    }

    pub(super) fn covers(&self, name: &str) -> bool {
        self.signed_headers.split(';').any(|signed| signed == name)
    }
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
        let (algorithm, fields) = text.split_once(' ').unwrap_or((text, ""));
        match algorithm {
            ALGORITHM => {}
            "AWS4-ECDSA-P256-SHA256" => return Err(Refusal::Asymmetric),
            "AWS" => return Err(Refusal::Version2),
            _ => return Err(Refusal::Malformed),
        }
        let (mut credential, mut headers, mut signature) = (None, None, None);
        for field in fields.split(',') {
            let (name, value) =
                field.trim_matches(' ').split_once('=').ok_or(Refusal::Malformed)?;
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

/// `AKID/20130524/us-east-1/s3/aws4_request`
fn scoped(credential: &str) -> Result<(&str, Scope), Refusal> {
    let mut parts = credential.split('/');
    let mut next = || parts.next().ok_or(Refusal::Malformed);
    let (key_id, day, region, service, end) = (next()?, next()?, next()?, next()?, next()?);
    if end != "aws4_request" || parts.next().is_some() {
        return Err(Refusal::Malformed);
    }
    let is_id = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    if !(3..=128).contains(&key_id.len()) || !key_id.chars().all(is_id) {
        return Err(Refusal::UnknownKey);
    }
    let is_day = day.len() == 8 && day.bytes().all(|byte| byte.is_ascii_digit());
    if !is_day || !is_region(region) || !is_service(service) {
        return Err(Refusal::BadScope);
    }
    let [day, region, service] = [day, region, service].map(str::to_owned);
    Ok((key_id, Scope { day, region, service }))
}

/// `^[a-z]{2,4}(-[a-z]+)+-\d{1,2}$`, as all regions of AWS are: a part of a host's name will be made from it.
pub(super) fn is_region(text: &str) -> bool {
    let mut parts = text.split('-');
    let is_word =
        |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase());
    let first = parts.next().is_some_and(|part| is_word(part) && (2..=4).contains(&part.len()));
    let last = parts.next_back();
    let last = last.is_some_and(|part| {
        (1..=2).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit())
    });
    let words: Vec<_> = parts.collect();
    text.len() <= 32 && first && last && !words.is_empty() && words.into_iter().all(is_word)
}

/// A signing name: letters, digits and `-`.
fn is_service(text: &str) -> bool {
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    (1..=64).contains(&text.len()) && text.bytes().all(is_name) && !text.starts_with('-')
}

fn signature(text: &str) -> Result<String, Refusal> {
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    let is_good = text.len() == 64 && text.bytes().all(is_digit);
    is_good.then(|| text.to_owned()).ok_or(Refusal::Malformed)
}

/// Names in small letters and in order, each once. AWS wants them so, and all SDKs send them so.
fn signed_headers(text: &str) -> Result<String, Refusal> {
    let is_char = |byte: u8| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.!#$%&'*+^`|~".contains(&byte)
    };
    let is_name = |name: &str| !name.is_empty() && name.bytes().all(is_char);
    let names: Vec<_> = text.split(';').collect();
    let is_good = text.len() <= SIGNED_HEADERS_CHARS_MAX
        && names.iter().all(|name| is_name(name.strip_prefix(':').unwrap_or(name)))
        && names.iter().all(|name| !name.starts_with(':') || *name == ":authority")
        && names.is_sorted_by(|one, next| one < next);
    is_good.then(|| text.to_owned()).ok_or(Refusal::Malformed)
}

/// `X-Amz-Date`, or else `Date`, which is signed in the form of the other.
fn date_of(head: &Parts) -> Result<(Timestamp, String), Refusal> {
    let text =
        |name| head.headers.get(name).map(|value| value.to_str().map_err(|_| Refusal::Malformed));
    if let Some(date) = text("x-amz-date").transpose()? {
        return Ok((parse_basic(date).ok_or(Refusal::Malformed)?, date.to_owned()));
    }
    let date = text("date").transpose()?.ok_or(Refusal::Malformed)?;
    let at = parse_http(date).ok_or(Refusal::Malformed)?;
    Ok((at, format_basic(at)))
}

/// What stands in a URL, if it carries a signature.
#[derive(Default)]
struct Parameters {
    version_4: Vec<(String, String)>,
    version_2: Vec<(String, String)>,
}

impl Parameters {
    fn read(query: &str) -> Result<Option<Self>, Refusal> {
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

    fn claim(self, version_2_region: Option<&str>) -> Result<Claim, Refusal> {
        match (self.is_version_4(), self.is_version_2()) {
            (true, false) => self.version_4(),
            (false, _) => self.version_2(version_2_region.ok_or(Refusal::Version2)?),
            (true, true) => Err(Refusal::SignedTwice),
        }
    }

    fn version_4(&self) -> Result<Claim, Refusal> {
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
            key_id: key_id.to_owned(),
            scope,
            signed_headers: signed_headers(get("X-Amz-SignedHeaders")?)?,
            signature: signature(get("X-Amz-Signature")?)?,
            at: parse_basic(date).ok_or(Refusal::Malformed)?,
            date: date.to_owned(),
            place: Place::Url {
                life: SignedDuration::from_secs(seconds),
                content_sha256: find("X-Amz-Content-Sha256").map(str::to_owned),
                token: find("X-Amz-Security-Token").map(str::to_owned),
            },
        })
    }

    fn version_2(&self, region: &str) -> Result<Claim, Refusal> {
        let find = |name: &str| {
            self.version_2.iter().find(|(own, _)| own == name).map(|(_, value)| &**value)
        };
        let get = |name: &str| find(name).ok_or(Refusal::Malformed);
        let expires = get("Expires")?;
        let at = Timestamp::from_second(digits(expires)?).map_err(|_| Refusal::Malformed)?;
        Ok(Claim {
            key_id: get("AWSAccessKeyId")?.to_owned(),
            scope: Scope {
                day: String::new(),
                region: region.to_owned(),
                service: "s3".to_owned(),
            },
            signed_headers: String::new(),
            signature: get("Signature")?.to_owned(),
            at,
            date: String::new(),
            place: Place::UrlVersion2 { expires: expires.to_owned() },
        })
    }
}

fn digits(text: &str) -> Result<i64, Refusal> {
    let is_number =
        (1..=10).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().ok()).flatten().ok_or(Refusal::Malformed)
}
