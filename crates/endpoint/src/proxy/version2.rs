//! URLs presigned with signature version 2, as boto3 makes them where an endpoint is set. Only for S3, only if asked for, and
//! only on the way in: AWS gets version 4.
//!
//! "Signing and authenticating REST requests", Amazon S3 user guide.

use std::collections::BTreeMap;

use data_encoding::BASE64;
use hmac::{Hmac, KeyInit, Mac};
use http::request::Parts;
use rotakey_core::credential::SecretAccessKey;
use sha1::Sha1;
use subtle::ConstantTimeEq;

use super::refusal::Refusal;
use super::uri::pairs;

/// The parts of a query that version 2 signs. All others could be changed by anybody, and are refused.
const SIGNED: [&str; 31] = [
    "accelerate",
    "acl",
    "analytics",
    "cors",
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
