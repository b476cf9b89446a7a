//! Requests that are nobody's of ours: they are sent on as they are, to the host that they name, and to no other.
//!
//! A program that goes through the proxy with all its connections has more to ask of AWS than what we sign: objects that
//! anybody may read, what a role was given for a web identity's token, sessions from elsewhere.

use http::request::Parts;
use http::uri::{Authority, Scheme};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, Uri, Version, header};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::time::timeout;

use super::body::Patient;
use super::trial::ANSWER_TIMEOUT;
use super::{Download, Proxy, answer};
use crate::proxy::connect::host::{self, Kind};
use crate::proxy::keys::Keys;
use crate::proxy::pool::{Upload, Whose};
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
        screen::check(head)?;
        if !host::is_same(screen::host(head)?, named) {
            return Err(Refusal::OtherHost);
        }
        // What is a customer's is reached by who is allowed to, and this one is nobody.
        if host::kind(named) != Kind::Aws {
            return Err(Refusal::Unsigned);
        }
        let (request, whose) = self.as_it_is(head, body, named)?;
        let sent = timeout(ANSWER_TIMEOUT, self.pool.send(request, whose, false)).await;
        let response = sent.map_err(|_| Refusal::Unreachable)?;
        let response = response.map_err(|_| Refusal::Unreachable)?;
        self.keys.passed(named, response.status().as_u16(), caller);
        let (mut head, body) = response.into_parts();
        answer::drop_hop_by_hop(&mut head.headers);
        head.version = Version::default();
        head.extensions = http::Extensions::new();
        Ok(Response::from_parts(head, body.map_err(Into::into).boxed_unsync()))
    }

    fn as_it_is(
        &self,
        head: &Parts,
        body: Incoming,
        named: &str,
    ) -> Result<(Request<Upload>, Whose), Refusal> {
        let endpoint = self.keys.connecting().and_then(|way| way.endpoint.clone());
        let mut uri = http::uri::Parts::default();
        let whose = if endpoint.is_some() { Whose::Own } else { Whose::Named };
        let (scheme, authority, prefix) = match endpoint {
            Some(endpoint) => (endpoint.scheme, endpoint.authority, endpoint.prefix),
            None => {
                let named = named.parse::<Authority>().map_err(|_| Refusal::BadHead)?;
                (Scheme::HTTPS, named, String::new())
            }
        };
        let target = head.uri.path_and_query().ok_or(Refusal::BadHead)?;
        let target = format!("{prefix}{target}").parse().map_err(|_| Refusal::BadHead)?;
        (uri.scheme, uri.authority) = (Some(scheme), Some(authority));
        uri.path_and_query = Some(target);
        let mut request = Request::new(Patient::new(body).boxed_unsync());
        *request.method_mut() = head.method.clone();
        *request.uri_mut() = Uri::from_parts(uri).map_err(|_| Refusal::BadHead)?;
        *request.headers_mut() = headers(head)?;
        Ok((request, whose))
    }
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
