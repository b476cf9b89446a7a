//! What goes to AWS: the headers that are dropped, set and signed.
//!
//! The canonical request is [`Canonical`]'s, for the reasons that stand there. What was verified is what is signed: the body's
//! hash or mode, every header that AWS acts on, and the path and the query in the one form that cannot be misread.

use std::borrow::Cow;

use bytes::Bytes;
use http::Method;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;
use http::uri::PathAndQuery;
use jiff::{SignedDuration, Timestamp};
use rotakey_core::credential::Credentials;

use super::canonical::Canonical;
use super::claim::has_name;
use super::date::Basic;
use super::key::{ALGORITHM, Scope, SigningKeys};
use super::names::{AMZ_DATE, CONTENT_SHA256, TOKEN};
use super::payload::{ChunkSigner, Payload};
use super::refusal::Refusal;
use super::uri::{PathStyle, is_s3, outbound_query};
use super::verify::{Verified, sign_head};

/// More than the rest of `Authorization` has beside the names of headers.
const AUTHORIZATION_BYTES: usize = 256;

/// Where a request goes to, and what it is signed for there.
#[derive(Clone, Copy, Debug)]
pub struct Destination<'a> {
    /// The `Host` of the service, with its port if it is not the usual one.
    pub host: &'a str,
    /// The region to sign for. Global services have one of their own.
    pub region: &'a str,
    /// The signing name.
    pub service: &'a str,
    /// The path, if it is not the client's: without a prefix, say.
    pub path: Option<&'a str>,
}

/// When a request is signed: now, and how far AWS's clock is ahead.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// The clock of this machine.
    pub now: Timestamp,
    /// What AWS's answers say of theirs.
    pub upstream_offset: SignedDuration,
}

/// A head that is ready to go out. The body follows by [`Outgoing`](super::payload::Outgoing).
#[derive(Debug)]
pub struct Signed {
    /// The client's.
    pub method: Method,
    /// Path and query.
    pub target: PathAndQuery,
    /// All headers, `Host` among them; without those of the framing, but with `Content-Length` if the client gave one.
    pub headers: HeaderMap,
    /// Signs the chunks of the body; `None` if it has none.
    pub chunks: Option<ChunkSigner>,
}

/// Signs a verified request for AWS. It can be done again with another key, as long as the body was not sent.
pub fn sign(
    head: &Parts,
    verified: &Verified,
    to: &Destination<'_>,
    with: &Credentials,
    keys: &SigningKeys,
    clock: Clock,
) -> Result<Signed, Refusal> {
    let at = clock.now.saturating_add(clock.upstream_offset).map_err(|_| Refusal::CannotSign)?;
    let date = Basic::of(at);
    let date = date.as_str();
    let scope = scope(date, verified, to);
    let mut headers = kept(&head.headers);
    headers.insert(header::HOST, value(to.host)?);
    headers.insert(AMZ_DATE, value(date)?);
    if let Some(token) = &with.session_token {
        headers.insert(TOKEN, secret(token.expose().to_owned())?);
    }
    // A mode that was said in the URL has to be said here too.
    let is_mode = !matches!(verified.payload, Payload::Implicit | Payload::Hash(_));
    let is_said = headers.get(CONTENT_SHA256).is_some_and(|said| said == &*verified.payload_text);
    if (is_s3(to.service) || is_mode) && !is_said {
        headers.insert(CONTENT_SHA256, value(&verified.payload_text)?);
    }
    let target = target(head, verified, to)?;
    let names = signed_headers(&headers, verified);
    let canonical = Canonical {
        method: head.method.as_str(),
        path: target.path().as_bytes(),
        style: PathStyle::of(to.service),
        query: target.query().unwrap_or_default().as_bytes(),
        headers: &headers,
        authority: None,
        signed_headers: &names,
        payload: &verified.payload_text,
    };
    let key = keys.key(&with.access_key_id, &with.secret_access_key, &scope);
    let signature = sign_head(&key, date, &scope, &canonical.hash_digits());
    let text = std::str::from_utf8(&signature).map_err(|_| Refusal::CannotSign)?;
    let Scope { day, region, service } = &*scope;
    let credential =
        [" Credential=", with.access_key_id.as_str(), "/", day, "/", region, "/", service];
    let rest = ["/aws4_request, SignedHeaders=", &names, ", Signature=", text];
    let mut authorization = String::with_capacity(AUTHORIZATION_BYTES + names.len());
    authorization.push_str(ALGORITHM);
    credential.into_iter().chain(rest).for_each(|part| authorization.push_str(part));
    headers.insert(header::AUTHORIZATION, secret(authorization)?);
    let chunks = verified.payload.has_signer().then(|| {
        let chunks = ChunkSigner::new(key, date, &scope, signature);
        match verified.payload {
            Payload::Events => {
                chunks.for_events(keys, (&with.access_key_id, &with.secret_access_key), &scope)
            }
            _ => chunks,
        }
    });
    Ok(Signed { method: head.method.clone(), target, headers, chunks })
}

/// What it is signed for: mostly what it was signed for before.
fn scope<'a>(date: &str, verified: &'a Verified, to: &Destination<'_>) -> Cow<'a, Scope> {
    let day = date.get(..8).unwrap_or_default();
    let own = &verified.scope;
    if own.day == day && own.region == to.region && own.service == to.service {
        return Cow::Borrowed(own);
    }
    let [day, region, service] = [day, to.region, to.service].map(str::to_owned);
    Cow::Owned(Scope { day, region, service })
}

/// The headers that go on as they are; `Host` and the date are overwritten.
fn kept(headers: &HeaderMap) -> HeaderMap {
    // To copy all takes less than to put each in its place again.
    let mut kept = headers.clone();
    let is_set = |name: &HeaderName| *name == header::HOST || *name == AMZ_DATE;
    for name in headers.keys().filter(|name| is_dropped(name.as_str()) && !is_set(name)) {
        kept.remove(name);
    }
    kept
}

/// What is of this connection alone, what the old signature was, and what proxies add. What is left stays byte for byte.
fn is_dropped(name: &str) -> bool {
    let is_of_this_connection = matches!(
        name,
        "connection"
            | "expect"
            | "host"
            | "http2-settings"
            | "keep-alive"
            | "proxy-authenticate"
            | "proxy-authorization"
            | "proxy-connection"
            | "te"
            | "trailer"
            | "transfer-encoding"
            | "upgrade"
    );
    let is_of_the_signature =
        matches!(name, "authorization" | "date" | "x-amz-date" | "x-amz-security-token");
    let is_of_a_proxy = matches!(name, "forwarded" | "via" | "x-real-ip" | "x-forwarded");
    is_of_this_connection
        || is_of_the_signature
        || is_of_a_proxy
        || name.starts_with("x-forwarded-")
}

/// S3: the canonical path, so that what is sent is what is signed. The others take paths as clients write them.
fn target(
    head: &Parts,
    verified: &Verified,
    to: &Destination<'_>,
) -> Result<PathAndQuery, Refusal> {
    let path = to.path.unwrap_or(head.uri.path()).as_bytes();
    let query = head.uri.query().unwrap_or_default().as_bytes();
    let mut target = match PathStyle::of(to.service) {
        PathStyle::Once => PathStyle::Once.canonical(path),
        _ => Cow::Borrowed(path),
    };
    let query = outbound_query(query, verified.is_presigned);
    if !query.is_empty() {
        let target = target.to_mut();
        target.push(b'?');
        target.extend(query);
    }
    // Most are as they should be.
    match head.uri.path_and_query() {
        Some(own) if own.as_str().as_bytes() == &*target => Ok(own.clone()),
        _ => PathAndQuery::from_maybe_shared(Bytes::from(target.into_owned()))
            .map_err(|_| Refusal::CannotSign),
    }
}

/// In order, with `;` between them.
fn signed_headers(headers: &HeaderMap, verified: &Verified) -> String {
    let is_signed = |name: &&str| {
        let by_client = || has_name(&verified.signed_headers, name);
        !is_never_signed(name) && (is_always_signed(name) || by_client())
    };
    let mut names: Vec<_> = headers.keys().map(HeaderName::as_str).filter(is_signed).collect();
    names.sort_unstable();
    names.join(";")
}

/// Signed whether or not the client did so.
fn is_always_signed(name: &str) -> bool {
    name.starts_with("x-amz-") || matches!(name, "content-md5" | "content-type" | "host" | "range")
}

/// They change on their way, or AWS is known to leave them out.
fn is_never_signed(name: &str) -> bool {
    matches!(
        name,
        "accept-encoding"
            | "content-length"
            | "transfer-encoding"
            | "user-agent"
            | "x-amzn-trace-id"
    )
}

fn value(text: &str) -> Result<HeaderValue, Refusal> {
    HeaderValue::from_str(text).map_err(|_| Refusal::CannotSign)
}

/// One that must not be printed, nor remembered by HPACK.
fn secret(text: String) -> Result<HeaderValue, Refusal> {
    let value = HeaderValue::from_maybe_shared(Bytes::from(text));
    let mut value = value.map_err(|_| Refusal::CannotSign)?;
    value.set_sensitive(true);
    Ok(value)
}
