//! URLs presigned with signature version 2, as boto3 makes them where an endpoint is set. Only for S3, only if asked for, and
//! only on the way in: AWS gets version 4.
//!
//! "Signing and authenticating REST requests", Amazon S3 user guide.

use std::collections::BTreeMap;

use data_encoding::BASE64;
use hmac::{Hmac, KeyInit, Mac};
use http::Uri;
use http::header::{self, HeaderName, HeaderValue};
use http::request::Parts;
use rotakey_core::credential::SecretAccessKey;
use sha1::Sha1;
use subtle::ConstantTimeEq;

use super::refusal::Refusal;
use super::uri::{is_version_4_parameter, pairs};

/// The parts of a query that version 2 signs. All others could be changed by anybody, and are refused.
const SIGNED: [&str; 35] = [
    "accelerate",
    "acl",
    "analytics",
    "cors",
    "defaultObjectAcl",
    "delete",
    "inventory",
    "lifecycle",
    "location",
    "logging",
    "metrics",
    "notification",
    "object-lock",
    "partNumber",
    "policy",
    "replication",
    "requestPayment",
    "response-cache-control",
    "response-content-disposition",
    "response-content-encoding",
    "response-content-language",
    "response-content-type",
    "response-expires",
    "restore",
    "select",
    "select-type",
    "storageClass",
    "tagging",
    "torrent",
    "uploadId",
    "uploads",
    "versionId",
    "versioning",
    "versions",
    "website",
];

/// What the signature itself consists of.
const AUTH: [&str; 3] = ["AWSAccessKeyId", "Expires", "Signature"];

/// The key id of a URL that is signed with version 2, if a request is one.
pub(super) fn key_id(head: &Parts) -> Option<String> {
    if head.headers.contains_key(header::AUTHORIZATION) {
        return None;
    }
    let query = head.uri.query()?.as_bytes();
    let id = pairs(query).find(|(name, _)| name == b"AWSAccessKeyId")?;
    String::from_utf8(id.1).ok()
}

/// Gives such a URL its one form. boto3 and the AWS CLI write headers that version 2 signs into the query
/// (`HmacV1QueryAuth`), and S3 takes them from there: from here on they are headers.
pub(super) fn settle(head: &mut Parts) -> Result<(), Refusal> {
    let query = head.uri.query().unwrap_or_default().to_owned();
    let (mut kept, mut moved) = (Vec::new(), BTreeMap::new());
    for pair in query.split('&') {
        let Some((name, value)) = pairs(pair.as_bytes()).next() else { continue };
        let name = name.to_ascii_lowercase();
        let is_token = name == b"x-amz-security-token";
        let is_header = name.starts_with(b"x-amz-") && !is_version_4_parameter(&name);
        if is_token || is_header || matches!(&*name, b"content-type" | b"content-md5") {
            let name = HeaderName::from_bytes(&name).map_err(|_| Refusal::Malformed)?;
            let value = HeaderValue::from_bytes(&value).map_err(|_| Refusal::Malformed)?;
            if moved.insert(name.as_str().to_owned(), (name, value)).is_some() {
                return Err(Refusal::Duplicate);
            }
        } else {
            kept.push(pair);
        }
    }
    if moved.is_empty() {
        return Ok(());
    }
    for (name, value) in moved.into_values() {
        match head.headers.get(&name) {
            Some(other) if *other != value => return Err(Refusal::Duplicate),
            _ => head.headers.insert(name, value),
        };
    }
    let target = format!("{}?{}", head.uri.path(), kept.join("&"));
    let mut parts = std::mem::take(&mut head.uri).into_parts();
    parts.path_and_query = Some(target.parse().map_err(|_| Refusal::Malformed)?);
    head.uri = Uri::from_parts(parts).map_err(|_| Refusal::Malformed)?;
    Ok(())
}

pub(super) fn verify(
    head: &Parts,
    secret: &SecretAccessKey,
    expires: &str,
    given: &str,
) -> Result<(), Refusal> {
    let text = string_to_sign(head, expires)?;
    let mac = Hmac::<Sha1>::new_from_slice(secret.expose().as_bytes())
        .expect("HMAC takes keys of any length");
    let right = BASE64.encode(&mac.chain_update(text).finalize().into_bytes());
    let is_right: bool = right.as_bytes().ct_eq(given.as_bytes()).into();
    is_right.then_some(()).ok_or(Refusal::WrongSignature)
}

fn string_to_sign(head: &Parts, expires: &str) -> Result<Vec<u8>, Refusal> {
    let get = |name: &str| head.headers.get(name).map_or(&b""[..], |value| value.as_bytes());
    let mut text = Vec::with_capacity(256);
    let md5 = get("content-md5");
    for line in [head.method.as_str().as_bytes(), md5, get("content-type"), expires.as_bytes()] {
        text.extend_from_slice(line);
        text.push(b'\n');
    }
    let mut amz: BTreeMap<&str, Vec<&[u8]>> = BTreeMap::new();
    for (name, value) in &head.headers {
        if name.as_str().starts_with("x-amz-") {
            amz.entry(name.as_str()).or_default().push(value.as_bytes());
        }
    }
    for (name, values) in amz {
        text.extend_from_slice(name.as_bytes());
        text.push(b':');
        text.extend(values.join(&b','));
        text.push(b'\n');
    }
    text.extend_from_slice(head.uri.path().as_bytes());
    text.extend(resource_query(head.uri.query().unwrap_or_default())?);
    Ok(text)
}

fn resource_query(query: &str) -> Result<Vec<u8>, Refusal> {
    let mut signed = Vec::new();
    for (name, value) in pairs(query.as_bytes()) {
        let name = String::from_utf8(name).map_err(|_| Refusal::Malformed)?;
        if SIGNED.contains(&&*name) {
            signed.push((name, value));
        } else if !AUTH.contains(&&*name) {
            return Err(Refusal::WrongSignature);
        }
    }
    signed.sort();
    let mut text = Vec::new();
    for (at, (name, value)) in signed.into_iter().enumerate() {
        text.push(if at == 0 { b'?' } else { b'&' });
        text.extend(name.into_bytes());
        if !value.is_empty() {
            text.push(b'=');
            text.extend(value);
        }
    }
    Ok(text)
}
