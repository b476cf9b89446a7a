//! Reads a signed query request, and checks its signature by making it again.

use std::collections::BTreeMap;
use std::time::SystemTime;

use aws_sigv4::sign::v4::{calculate_signature, generate_signing_key};
use http::request::Parts;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::message::Request;

/// What the `Authorization` header says.
struct Authorization<'a> {
    key: &'a str,
    date: &'a str,
    region: &'a str,
    service: &'a str,
    signed_headers: &'a str,
    signature: &'a str,
}

impl<'a> Authorization<'a> {
    fn parse(header: &'a str) -> Option<Self> {
        let fields: BTreeMap<&str, &str> = header
            .strip_prefix("AWS4-HMAC-SHA256")?
            .split(',')
            .filter_map(|field| field.trim().split_once('='))
            .collect();
        let scope: Vec<&str> = fields.get("Credential")?.split('/').collect();
        let [key, date, region, service, "aws4_request"] = scope[..] else { return None };
        let (signed_headers, signature) = (fields.get("SignedHeaders")?, fields.get("Signature")?);
        Some(Self { key, date, region, service, signed_headers, signature })
    }
}

/// Understands a request; `secret_of` gives the secret of the key that it names.
pub(super) fn read(
    parts: &Parts,
    body: &[u8],
    secret_of: impl FnOnce(&str) -> Option<String>,
) -> Request {
    let mut params = form(body);
    let action = params.remove("Action").unwrap_or_default();
    let fallback = if action == "GetCallerIdentity" { "sts" } else { "iam" };
    let mut request = Request {
        action,
        params,
        signer: None,
        region: String::new(),
        service: fallback.to_owned(),
        signature_ok: false,
        signed_at: None,
        user_agent: header(parts, "user-agent").unwrap_or_default().to_owned(),
    };
    let Some(authorization) = header(parts, "authorization").and_then(Authorization::parse) else {
        return request;
    };
    request.region = authorization.region.to_owned();
    request.service = authorization.service.to_owned();
    request.signed_at = header(parts, "x-amz-date").and_then(parse_date);
    // Only long-term keys live here: a session token makes any key unknown.
    let has_token = parts.headers.contains_key("x-amz-security-token");
    let key = if has_token { "" } else { authorization.key };
    request.signer = Some(key.to_owned());
    if let (Some(secret), Some(at)) = (secret_of(key), request.signed_at) {
        request.signature_ok = is_right(parts, body, &authorization, &secret, at);
    }
    request
}

fn is_right(
    parts: &Parts,
    body: &[u8],
    authorization: &Authorization<'_>,
    secret: &str,
    at: Timestamp,
) -> bool {
    let Authorization { date, region, service, signed_headers, .. } = authorization;
    let names: Vec<&str> = signed_headers.split(';').collect();
    let amz_date = header(parts, "x-amz-date").unwrap_or_default();
    // A signature that leaves these out could be moved to another server or time.
    if !names.contains(&"host") || !names.contains(&"x-amz-date") || !amz_date.starts_with(date) {
        return false;
    }
    let mut canonical = format!("{}\n{}\n", parts.method, parts.uri.path());
    canonical += &canonical_query(parts.uri.query().unwrap_or_default());
    canonical.push('\n');
    for name in names {
        let values = parts.headers.get_all(name).iter();
        let values: Vec<String> = values
            .map(|value| {
                let text = String::from_utf8_lossy(value.as_bytes());
                text.split_whitespace().collect::<Vec<_>>().join(" ")
            })
            .collect();
        canonical += &format!("{name}:{}\n", values.join(","));
    }
    canonical += &format!("\n{signed_headers}\n{}", hex::encode(Sha256::digest(body)));
    let hash = hex::encode(Sha256::digest(canonical));
    let scope = format!("{date}/{region}/{service}/aws4_request");
    let to_sign = format!("AWS4-HMAC-SHA256\n{amz_date}\n{scope}\n{hash}");
    let key = generate_signing_key(secret, SystemTime::from(at), region, service);
    let right = calculate_signature(key, to_sign.as_bytes());
    right.as_bytes().ct_eq(authorization.signature.as_bytes()).into()
}

fn canonical_query(query: &str) -> String {
    let mut pairs: Vec<String> = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| if pair.contains('=') { pair.to_owned() } else { format!("{pair}=") })
        .collect();
    pairs.sort();
    pairs.join("&")
}

fn parse_date(text: &str) -> Option<Timestamp> {
    let time = DateTime::strptime("%Y%m%dT%H%M%SZ", text).ok()?;
    Some(time.to_zoned(TimeZone::UTC).ok()?.timestamp())
}

fn header<'a>(parts: &'a Parts, name: &str) -> Option<&'a str> {
    parts.headers.get(name)?.to_str().ok()
}

fn form(body: &[u8]) -> BTreeMap<String, String> {
    let text = String::from_utf8_lossy(body);
    let pairs = text.split('&').filter_map(|pair| pair.split_once('='));
    pairs.map(|(name, value)| (decode(name), decode(value))).collect()
}

fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let (mut decoded, mut at) = (Vec::with_capacity(bytes.len()), 0);
    while let Some(&byte) = bytes.get(at) {
        let escaped = bytes.get(at + 1..at + 3).filter(|_| byte == b'%');
        let escaped = escaped.and_then(|digits| hex::decode(digits).ok());
        match escaped {
            Some(escaped) => {
                decoded.extend(escaped);
                at += 3;
            }
            None => {
                decoded.push(if byte == b'+' { b' ' } else { byte });
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn forms_are_decoded() {
        let form = form(b"Action=TagUser&Tags.member.1.Value=a%2Fb+c%&x=%zz");
        assert_eq!(form["Tags.member.1.Value"], "a/b c%");
        assert_eq!(form["x"], "%zz");
    }

    #[test]
    fn dates_are_read() {
        let date = parse_date("20261123T111314Z").unwrap();
        assert_eq!(date.to_string(), "2026-11-23T11:13:14Z");
        assert!(parse_date("now").is_none());
    }
}
