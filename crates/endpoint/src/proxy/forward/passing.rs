//! Requests that are nobody's of ours: they are sent on as they are, to the host that they name, and to no other.
//!
//! A program that goes through the proxy with all its connections has more to ask of AWS than what we sign: objects that
//! anybody may read, what a role was given for a web identity's token, sessions from elsewhere.

use http::request::Parts;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, Version, header};
use http_body_util::BodyExt;
use hyper::body::Incoming;

use super::body::{Patient, STREAM_STALL};
use super::{Download, Proxy, answer};
use crate::proxy::canonical::AUTHORITY;
use crate::proxy::claim::has_name;
use crate::proxy::connect::host;
use crate::proxy::keys::{Endpoint, Keys};
use crate::proxy::payload::Payload;
use crate::proxy::pool::{Server, Upload, Whose};
use crate::proxy::refusal::Refusal;
use crate::proxy::verify::Placeholders;
use crate::proxy::{screen, uri};
use crate::table::Caller;

/// What ids of temporary credentials begin with. Long-term keys are refused: no program should have one.
const TEMPORARY: &str = "ASIA";

/// Whether a request is signed with temporary credentials that we did not make, or not at all.
pub(super) fn is_nobodys(head: &Parts, keys: &(impl Placeholders + ?Sized)) -> bool {
    let mut signers = signers(head).peekable();
    let is_foreign = |id: String| id.starts_with(TEMPORARY) && keys.placeholder(&id).is_none();
    signers.peek().is_none() || signers.all(is_foreign)
}

/// The ids of the keys that it says it is signed with, in a header or in its URL. One that cannot be read is empty.
fn signers(head: &Parts) -> impl Iterator<Item = String> {
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let in_headers = head.headers.get_all(header::AUTHORIZATION).iter().map(text);
    // Others, such as `Bearer`, are signatures of other kinds.
    let in_headers = in_headers.filter(|value| value.starts_with("AWS")).map(|value| {
        let id = match value.split_once("Credential=") {
            Some((_, credential)) => credential.split(['/', ',']).next(),
            None => value.strip_prefix("AWS ").and_then(|rest| rest.split(':').next()),
        };
        id.unwrap_or_default().to_owned()
    });
    let query = head.uri.query().unwrap_or_default().as_bytes();
    let in_url = uri::pairs(query).filter_map(|(name, value)| {
        let value = String::from_utf8_lossy(&value).into_owned();
        match name.to_ascii_lowercase().as_slice() {
            b"x-amz-credential" => Some(value.split('/').next().unwrap_or_default().to_owned()),
            b"awsaccesskeyid" => Some(value),
            _ => None,
        }
    });
    in_headers.chain(in_url)
}

impl<K: Keys> Proxy<K> {
    /// Sends a request on as it is.
    pub(super) async fn pass(
        &self,
        caller: &Caller,
        head: &Parts,
        body: Incoming,
        named: &str,
    ) -> Result<Response<Download>, Refusal> {
        if !host::is_same(screen::check(head)?, named) {
            return Err(Refusal::OtherHost);
        }
        // A tunnel may be older than the configuration.
        let connecting = self.keys.connecting().filter(|way| way.takes(named));
        let connecting = connecting.ok_or(Refusal::ConnectNotAllowed)?;
        let over_http2 = needs_http2(head);
        let body = match is_events(head) {
            true => Patient::with(body, STREAM_STALL),
            false => Patient::new(body),
        };
        let (mut request, to) = as_it_is(head, body, named, connecting.endpoint.clone())?;
        if over_http2 {
            // It has it as `:authority`.
            request.headers_mut().remove(header::HOST);
        }
        let sent = self.pool.send(request, &to, over_http2).await;
        let response = sent.map_err(|_| Refusal::Unreachable)?;
        self.keys.passed(named, response.status().as_u16(), caller);
        let (mut head, body) = response.into_parts();
        answer::drop_hop_by_hop(&mut head.headers);
        head.version = Version::default();
        head.extensions = http::Extensions::new();
        Ok(Response::from_parts(head, body.map_err(Into::into).boxed_unsync()))
    }
}

/// Whether a request that came over HTTP/2 means nothing over HTTP/1.1: its signature holds for what only HTTP/2 has, or it is
/// a stream of events.
fn needs_http2(head: &Parts) -> bool {
    head.version == Version::HTTP_2 && (signs_authority(head) || is_events(head))
}

fn is_events(head: &Parts) -> bool {
    let payload = head.headers.get("x-amz-content-sha256");
    payload.is_some_and(|text| text.as_bytes() == Payload::Events.text().as_bytes())
}

/// Whether `:authority` is among the names of signed headers, in a header or in the URL.
fn signs_authority(head: &Parts) -> bool {
    let is_in_header = |value: &HeaderValue| {
        let text = String::from_utf8_lossy(value.as_bytes());
        let names = text.split_once("SignedHeaders=").map(|(_, names)| names);
        names
            .and_then(|names| names.split([',', ' ']).next())
            .is_some_and(|names| has_name(names, AUTHORITY))
    };
    let query = head.uri.query().unwrap_or_default().as_bytes();
    let is_in_url = |(name, value): (Vec<u8>, Vec<u8>)| {
        name.eq_ignore_ascii_case(b"x-amz-signedheaders")
            && has_name(&String::from_utf8_lossy(&value), AUTHORITY)
    };
    head.headers.get_all(header::AUTHORIZATION).iter().any(is_in_header)
        || uri::pairs(query).any(is_in_url)
}

/// The request for the host that it names, or for the server that takes its place.
fn as_it_is(
    head: &Parts,
    body: Patient,
    named: &str,
    endpoint: Option<Endpoint>,
) -> Result<(Request<Upload>, Server), Refusal> {
    let whose = if endpoint.is_some() { Whose::Own } else { Whose::Named };
    let (scheme, authority, prefix) = match endpoint {
        Some(endpoint) => (endpoint.scheme, endpoint.authority, endpoint.prefix),
        None => {
            let named = named.parse::<Authority>().map_err(|_| Refusal::BadHead)?;
            (Scheme::HTTPS, named, String::new())
        }
    };
    let target = head.uri.path_and_query().ok_or(Refusal::BadHead)?;
    let target = format!("{prefix}{target}").parse::<PathAndQuery>();
    let mut request = Request::new(body.boxed_unsync());
    *request.method_mut() = head.method.clone();
    *request.uri_mut() = target.map_err(|_| Refusal::BadHead)?.into();
    *request.headers_mut() = headers(head)?;
    Ok((request, Server { whose, scheme, authority }))
}

/// All but those of this connection. `Host` is as it was signed, port and all.
fn headers(head: &Parts) -> Result<HeaderMap, Refusal> {
    let mut headers = head.headers.clone();
    answer::drop_hop_by_hop(&mut headers);
    headers.remove(header::PROXY_AUTHORIZATION);
    headers.remove(header::EXPECT);
    headers.remove(HeaderName::from_static("http2-settings"));
    let host = HeaderValue::from_str(screen::host(head)?).map_err(|_| Refusal::BadHead)?;
    headers.insert(header::HOST, host);
    Ok(headers)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::proxy::verify::Placeholder;

    /// Knows one placeholder, which could be one of a session.
    struct One;

    impl Placeholders for One {
        fn placeholder(&self, id: &str) -> Option<Arc<Placeholder>> {
            let secret = rotakey_core::credential::SecretAccessKey::new("s".to_owned());
            (id == "ASIAOURS").then(|| {
                Arc::new(Placeholder {
                    id: id.parse().expect("an id"),
                    secret,
                    token: None,
                    profile: "p".to_owned(),
                    services: None,
                    regions: None,
                })
            })
        }
    }

    #[test]
    fn only_what_is_signed_by_nobody_of_ours_goes_on_as_it_is() {
        let is_nobodys = |target: &str, authorization: Option<&str>| {
            let mut request = http::Request::builder().uri(target);
            if let Some(value) = authorization {
                request = request.header("authorization", value);
            }
            is_nobodys(&request.body(()).expect("a request").into_parts().0, &One)
        };
        for (target, authorization) in [
            ("/", None),
            ("/?x-id=GetObject", None),
            ("/", Some("Bearer x")),
            (
                "/",
                Some(
                    "AWS4-HMAC-SHA256 Credential=ASIATHEIRS/20261125/r/s3/aws4_request, Signature=0",
                ),
            ),
            ("/", Some("AWS4-ECDSA-P256-SHA256 Credential=ASIATHEIRS/20261125/s3/aws4_request")),
            ("/", Some("AWS ASIATHEIRS:c2ln")),
            ("/?X-Amz-Credential=ASIATHEIRS%2F20261125", None),
            ("/?AWSAccessKeyId=ASIATHEIRS&Signature=x", None),
        ] {
            assert!(is_nobodys(target, authorization), "{target} {authorization:?}");
        }
        for (target, authorization) in [
            ("/", Some("AWS4-HMAC-SHA256 Credential=AKIAREAL/20261125/r/s3/aws4_request")),
            ("/", Some("AWS4-HMAC-SHA256 Credential=ROTAKEYX/20261125/r/s3/aws4_request")),
            ("/", Some("AWS4-HMAC-SHA256 Credential=ASIAOURS/20261125/r/s3/aws4_request")),
            ("/", Some("AWS4-HMAC-SHA256 nonsense")),
            ("/", Some("AWS AKIAREAL:c2ln")),
            ("/?X-Amz-Credential=AKIAREAL%2F20261125", None),
            ("/?%58-amz-credential=AKIAREAL", None),
            ("/?X-Amz-Credential=ASIATHEIRS&x-amz-credential=ROTAKEYX", None),
            ("/?AWSAccessKeyId=AKIAREAL", None),
            ("/?X-Amz-Credential=ROTAKEYX", Some("AWS ASIATHEIRS:c2ln")),
        ] {
            assert!(!is_nobodys(target, authorization), "{target} {authorization:?}");
        }
    }

    #[test]
    fn what_only_http2_can_say_goes_on_over_http2() {
        let signed = |names: &str| {
            format!(
                "AWS4-HMAC-SHA256 Credential=ASIAX/20261125/r/s3/aws4_request, SignedHeaders={names}, Signature=0"
            )
        };
        let events = "STREAMING-AWS4-HMAC-SHA256-EVENTS";
        let needs = |version, target: &str, names: &str, payload: &str| {
            let request = http::Request::builder()
                .version(version)
                .uri(target)
                .header("authorization", signed(names))
                .header("x-amz-content-sha256", payload);
            needs_http2(&request.body(()).expect("a request").into_parts().0)
        };
        let (one, two) = (Version::HTTP_11, Version::HTTP_2);
        assert!(needs(two, "/", ":authority;x-amz-date", "UNSIGNED-PAYLOAD"));
        assert!(needs(two, "/?X-Amz-SignedHeaders=%3Aauthority%3Bx", "host", "UNSIGNED-PAYLOAD"));
        assert!(needs(two, "/", "host;x-amz-date", events));
        assert!(!needs(two, "/?x=:authority", "host;x-authority", "UNSIGNED-PAYLOAD"));
        assert!(!needs(one, "/", ":authority;x-amz-date", events));
    }
}
