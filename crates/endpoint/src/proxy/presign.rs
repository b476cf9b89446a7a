//! Presigned URLs for others: what is signed here is good at AWS, and needs no proxy.
//!
//! "Authenticating requests: using query parameters (AWS Signature Version 4)", Amazon S3 API reference.

use http::Uri;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::uri::Scheme;
use jiff::{SignedDuration, Timestamp};
use rotakey_core::credential::Credentials;

use super::canonical::Canonical;
use super::date::format_basic;
use super::key::{ALGORITHM, Scope, SigningKey, SigningKeys};
use super::keys::Endpoint;
use super::payload::Payload;
use super::refusal::Refusal;
use super::upstream::{self, Asked, Hosts};
use super::uri::{PathStyle, canonical_query, encode, outbound_query, pairs};
use super::verify::{self, Placeholders, Policy, sign_head};
use super::version2;

/// The longest life of a URL, in seconds: 7 days.
pub const EXPIRES_SECONDS_MAX: u64 = super::presigned::EXPIRES_SECONDS_MAX.cast_unsigned();

/// A request to S3 that somebody is to be able to make.
#[derive(Clone, Copy, Debug)]
pub struct Presign<'a> {
    /// `GET`, `PUT`, `HEAD` or `DELETE`.
    pub method: &'a str,
    /// `/bucket/key`, percent-encoded in any way.
    pub path: &'a str,
    /// What else is asked for, such as `versionId=...`; may be empty.
    pub query: &'a str,
    /// The bucket's.
    pub region: &'a str,
    /// A `Content-Type` that has to be sent.
    pub content_type: Option<&'a str>,
    /// From when, and for how many seconds.
    pub at: Timestamp,
    /// At most [`EXPIRES_SECONDS_MAX`].
    pub expires_seconds: u64,
}

/// Makes the URL, at AWS or at the server that takes its place: `endpoint`, or the one of `hosts`. Regions that the table
/// does not know are good if `more_regions` names them.
///
/// # Errors
///
/// If the region is none that there is, or the path or the content type can be in no request.
pub fn presign(
    asked: &Presign<'_>,
    endpoint: Option<&Endpoint>,
    more_regions: &[String],
    hosts: &Hosts,
    with: &Credentials,
) -> Result<String, Refusal> {
    let (origin, host, path) = place(asked, endpoint, more_regions, hosts)?;
    let date = format_basic(asked.at);
    let day = date.get(..8).unwrap_or_default().to_owned();
    let (region, service) = (asked.region.to_owned(), "s3".to_owned());
    let scope = Scope { day, region, service };
    let mut headers = HeaderMap::new();
    let value = |text| HeaderValue::from_str(text).map_err(|_| Refusal::CannotSign);
    headers.insert(header::HOST, value(&host)?);
    let mut names = "host";
    if let Some(kind) = asked.content_type {
        headers.insert(header::CONTENT_TYPE, value(kind)?);
        names = "content-type;host";
    }
    let credential = format!("{}/{scope}", with.access_key_id);
    let life = asked.expires_seconds.to_string();
    let mut query = outbound_query(asked.query.as_bytes(), true);
    let mut add = |name: &str, value: &str| {
        if !query.is_empty() {
            query.push(b'&');
        }
        query.extend_from_slice(name.as_bytes());
        query.push(b'=');
        query.extend_from_slice(&encode(value.as_bytes()));
    };
    add("X-Amz-Algorithm", ALGORITHM);
    add("X-Amz-Credential", &credential);
    add("X-Amz-Date", &date);
    add("X-Amz-Expires", &life);
    add("X-Amz-SignedHeaders", names);
    if let Some(token) = &with.session_token {
        add("X-Amz-Security-Token", token.expose());
    }
    let canonical = Canonical {
        method: asked.method,
        path: path.as_bytes(),
        style: PathStyle::Once,
        query: &query,
        headers: &headers,
        authority: None,
        signed_headers: names,
        payload: "UNSIGNED-PAYLOAD",
    };
    let key = SigningKey::derive(&with.secret_access_key, &scope);
    let signature = sign_head(&key, &date, &scope, &canonical.hash_digits());
    let [query, signature] = [canonical_query(&query), signature.to_vec()].map(text);
    Ok(format!("{origin}{path}?{query}&X-Amz-Signature={signature}"))
}

/// A URL that a program presigned with its placeholder, for the proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Local {
    /// The region that it is for.
    pub region: String,
    /// The path, as it was sent.
    pub path: String,
    /// What else is asked for.
    pub query: String,
    /// The content type that was signed.
    pub content_type: Option<String>,
    /// When it ends.
    pub ends: Timestamp,
}

/// Verifies such a URL, for a request of this method.
///
/// # Errors
///
/// As a request by it would be refused; and if it signs more than can be told from a URL.
pub fn verify_local(
    method: &str,
    url: &Uri,
    content_type: Option<&str>,
    policy: &Policy<'_>,
    placeholders: &impl Placeholders,
) -> Result<Local, Refusal> {
    let target = url.path_and_query().ok_or(Refusal::BadHead)?.as_str();
    let host = url.authority().ok_or(Refusal::BadHead)?.as_str();
    let mut request =
        http::Request::builder().method(method).uri(target).header(header::HOST, host);
    if let Some(kind) = content_type {
        request = request.header(header::CONTENT_TYPE, kind);
    }
    let mut head = request.body(()).map_err(|_| Refusal::BadHead)?.into_parts().0;
    if policy.version_2_region.is_some() && version2::key_id(&head).is_some() {
        version2::settle(&mut head)?;
    }
    let admitted = verify::admit(&head, policy, placeholders)?;
    if admitted.payload() != Payload::Unsigned {
        return Err(Refusal::PayloadMode);
    }
    let verified = admitted.verify(&head, None, &SigningKeys::new())?;
    // Else a URL could not say it, and whoever has that could leave it out.
    let is_sayable = |name: &HeaderName| *name == header::HOST || *name == header::CONTENT_TYPE;
    if verified.scope().service != "s3" || !head.headers.keys().all(is_sayable) {
        return Err(Refusal::CannotSign);
    }
    let content_type = head.headers.get(header::CONTENT_TYPE);
    let content_type = content_type.map(|kind| kind.to_str().map_err(|_| Refusal::CannotSign));
    let query = head.uri.query().unwrap_or_default();
    let find = |(name, value): (Vec<u8>, Vec<u8>)| (name == b"X-Amz-Expires").then_some(value);
    let life = pairs(query.as_bytes()).find_map(find).and_then(|life| {
        std::str::from_utf8(&life).ok()?.parse().ok().map(SignedDuration::from_secs)
    });
    // Version 2 says the end itself.
    let ends = verified.signed_at().saturating_add(life.unwrap_or_default());
    Ok(Local {
        region: verified.scope().region.clone(),
        path: head.uri.path().to_owned(),
        query: text(outbound_query(query.as_bytes(), true)),
        content_type: content_type.transpose()?.map(str::to_owned),
        ends: ends.map_err(|_| Refusal::Malformed)?,
    })
}

/// Scheme and host, the host alone, and the path in its canonical form.
fn place(
    asked: &Presign<'_>,
    endpoint: Option<&Endpoint>,
    more_regions: &[String],
    hosts: &Hosts,
) -> Result<(String, String, String), Refusal> {
    let path = text(PathStyle::Once.canonical(asked.path.as_bytes()).into_owned());
    // Without the slash it would go on where the host ends.
    let rest = path.strip_prefix('/').ok_or(Refusal::NoBucket)?;
    if let Some(Endpoint { scheme, authority, prefix }) = endpoint {
        let prefix = text(PathStyle::Once.canonical(prefix.as_bytes()).into_owned());
        return Ok((format!("{scheme}://{authority}"), authority.to_string(), prefix + &path));
    }
    let question = Asked {
        service: "s3",
        region: asked.region,
        method: asked.method,
        path: asked.path,
        query: asked.query,
        ..Asked::default()
    };
    let route = upstream::route_with(&question, more_regions, hosts);
    let route = route.map_err(|_| Refusal::RegionUnknown)?;
    if hosts.has(question.service) {
        // As the proxy asks there: by path.
        return Ok((format!("{}://{}", Scheme::HTTPS, route.host), route.host, path));
    }
    let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
    if bucket.is_empty() {
        return Err(Refusal::NoBucket);
    }
    // Path style is on its way out at AWS, but a name with dots is no host that a certificate could be for.
    let (host, path) = match is_label(bucket) {
        true => (format!("{bucket}.{}", route.host), format!("/{key}")),
        false => (route.host, path),
    };
    Ok((format!("{}://{host}", Scheme::HTTPS), host, path))
}

/// Whether a bucket's name can be a label of a host's.
fn is_label(bucket: &str) -> bool {
    let is_char = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    (3..=63).contains(&bucket.len())
        && bucket.bytes().all(is_char)
        && !bucket.starts_with('-')
        && !bucket.ends_with('-')
}

fn text(ascii: Vec<u8>) -> String {
    String::from_utf8_lossy(&ascii).into_owned()
}

#[cfg(test)]
mod tests;
