//! A request as it goes out: signed anew, with a body for one try.

use http::uri::{Authority, Scheme};
use http::{HeaderValue, Request, StatusCode, header};
use http_body_util::BodyExt;
use jiff::SignedDuration;

use super::Proxy;
use super::body::{Latch, Until};
use super::request::Asked;
use super::stream::sending;
use crate::proxy::keys::Keys;
use crate::proxy::payload::{ChunkSigner, Outgoing, Payload, Verdict};
use crate::proxy::pool::{Broken, Server, Upload};
use crate::proxy::refusal::Refusal;
use crate::proxy::sign::{self, Clock, Destination};
use crate::publish::Snapshot;

/// One try.
pub(super) struct Outbound {
    pub(super) request: Request<Upload>,
    pub(super) to: Server,
    /// What becomes of its body.
    pub(super) verdict: Verdict,
    /// Lets the body in, if that is not the connection's part.
    pub(super) latch: Option<Latch>,
}

impl<K: Keys> Proxy<K> {
    /// Signs it with this key, for a server whose clock is so far ahead.
    pub(super) fn signed(
        &self,
        asked: &Asked<'_>,
        with: &Snapshot,
        offset: SignedDuration,
    ) -> Result<Outbound, Refusal> {
        let endpoint = asked.endpoint();
        let path = endpoint
            .filter(|endpoint| !endpoint.prefix.is_empty())
            .map(|endpoint| format!("{}{}", endpoint.prefix, asked.head.uri.path()));
        let to = Destination {
            host: asked.host(),
            region: asked.sign_region(),
            service: &asked.verified.scope().service,
            path: path.as_deref(),
        };
        let clock = Clock { now: self.keys.now(), upstream_offset: offset };
        let credentials = &with.credentials;
        let signed =
            sign::sign(asked.head, &asked.verified, &to, credentials, &self.signing, clock)?;
        let (body, verdict, latch) = self.body(asked, with, signed.chunks.as_ref())?;
        let mut request = Request::new(body);
        *request.method_mut() = signed.method;
        *request.headers_mut() = signed.headers;
        *request.uri_mut() = signed.target.into();
        let to = server(asked)?;
        if asked.is_stream {
            // HTTP/2 has it as `:authority`.
            request.headers_mut().remove(header::HOST);
            return Ok(Outbound { request, to, verdict, latch });
        }
        if let Some(latch) = latch {
            let wait = HeaderValue::from_static("100-continue");
            request.headers_mut().insert(header::EXPECT, wait);
            let (continuing, host) = (self.continuing.clone(), asked.host().to_owned());
            hyper::ext::on_informational(&mut request, move |answer| {
                if answer.status() == StatusCode::CONTINUE {
                    continuing.note(&host);
                    latch.open();
                }
            });
        }
        Ok(Outbound { request, to, verdict, latch: None })
    }

    fn body(
        &self,
        asked: &Asked<'_>,
        with: &Snapshot,
        signer: Option<&ChunkSigner>,
    ) -> Result<(Upload, Verdict, Option<Latch>), Refusal> {
        let is_events = asked.verified.payload() == Payload::Events;
        let until = match asked.is_stream {
            true => Until::Answered { may_try_again: asked.pair.other.is_some() },
            // What is in memory waits for nothing.
            false => Until::Continue {
                is_sure: !asked.body.is_whole()
                    && asked.pair.other.is_some()
                    && self.continuing.says(asked.host()),
            },
        };
        let (piece, latch) = asked.body.for_a_try(until);
        let outgoing = match is_events {
            true => Outgoing::events(piece, &asked.verified, signer)?,
            false => {
                let headers = &asked.head.headers;
                Outgoing::new(piece, headers, &asked.verified, signer, asked.checks_hash())?
            }
        };
        let verdict = outgoing.verdict();
        let body = outgoing.map_err(|error| Broken::from(error.to_string()));
        let body = match asked.verified.payload().goes_on_being_signed() {
            true => sending(body, &self.keys, asked, with),
            false => body.boxed_unsync(),
        };
        Ok((body, verdict, latch))
    }
}

fn server(asked: &Asked<'_>) -> Result<Server, Refusal> {
    let (scheme, authority) = match asked.endpoint() {
        Some(endpoint) => (endpoint.scheme.clone(), endpoint.authority.clone()),
        None => {
            let host = asked.host().parse::<Authority>();
            (Scheme::HTTPS, host.map_err(|_| Refusal::ServiceUnknown)?)
        }
    };
    Ok(Server { whose: asked.whose(), scheme, authority })
}
