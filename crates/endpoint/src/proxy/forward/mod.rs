//! One request: verified, signed anew, sent on, and its answer given back.

mod answer;
mod body;
mod continuing;
mod outbound;
mod passing;
mod recall;
mod request;
mod routing;
mod stream;
mod trial;
mod virtual_session;

use std::io;
use std::sync::Arc;

use http::{HeaderValue, Request, Response, header};
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::{Bytes, Incoming};

use self::continuing::Continuing;
use self::recall::Known;
use self::request::Asked;
use self::stream::Answering;
use super::clock::Offsets;
use super::connect::Way;
use super::key::SigningKeys;
use super::keys::{Forwarded, Keys};
use super::payload::buffer::Budget;
use super::pool::{Broken, Pool};
use super::preferred::Preferred;
use super::refusal::Refusal;
use super::render::Protocol;
use super::sessions::Sessions;
use super::version2;
use crate::table::Caller;

/// A body that goes back to the program.
pub(crate) type Download = UnsyncBoxBody<Bytes, Broken>;

/// How much memory all bodies together may take that have to be held.
const BUFFERS_BYTES: usize = 128 << 20;

/// The proxy, without its listener.
#[derive(Debug)]
pub struct Proxy<K> {
    keys: Arc<K>,
    pool: Pool,
    /// Of placeholders.
    verifying: SigningKeys,
    /// Of real keys.
    signing: SigningKeys,
    preferred: Preferred,
    offsets: Offsets,
    continuing: Continuing,
    budget: Budget,
    /// Those of programs, with the real ones that they stand for.
    sessions: Sessions,
}

/// A refusal, and whose request it was, as far as that is known.
#[derive(Debug)]
struct Refused {
    why: Refusal,
    profile: Option<String>,
}

impl From<Refusal> for Refused {
    fn from(why: Refusal) -> Self {
        Self { why, profile: None }
    }
}

impl<K: Keys> Proxy<K> {
    /// A proxy for these keys. Fails if TLS cannot be set up. A machine without [roots](super::roots) can ask no server of AWS's.
    pub fn new(keys: Arc<K>) -> io::Result<Self> {
        Ok(Self {
            keys,
            pool: Pool::new()?,
            verifying: SigningKeys::new(),
            signing: SigningKeys::new(),
            preferred: Preferred::default(),
            offsets: Offsets::default(),
            continuing: Continuing::default(),
            budget: Budget::new(BUFFERS_BYTES),
            sessions: Sessions::default(),
        })
    }

    pub(crate) fn keys(&self) -> &K {
        &self.keys
    }

    /// Answers one request.
    pub(crate) async fn handle(
        &self,
        caller: &Caller,
        request: Request<Incoming>,
        way: &Way,
    ) -> Response<Download> {
        let (mut head, body) = request.into_parts();
        let has_body = !hyper::body::Body::is_end_stream(&body);
        let answered = match self.settle_version_2(&mut head) {
            Ok(region) => self.forward(caller, &head, body, way, region.as_deref()).await,
            Err(why) => Err(why.into()),
        };
        match answered {
            Ok(answer) => answer,
            Err(Refused { why, profile }) => {
                self.keys.turned_away(why, profile.as_deref(), caller);
                let protocol = Protocol::of(&head, service_of(&head.headers));
                let mut answer = why
                    .answer(protocol, "rotakey")
                    .map(|body| body.map_err(|never| match never {}).boxed_unsync());
                if has_body {
                    // What is left of it could be taken for a request.
                    let close = HeaderValue::from_static("close");
                    answer.headers_mut().insert(header::CONNECTION, close);
                }
                answer
            }
        }
    }

    /// Gives a URL of signature version 2 its one form, where such URLs are taken, and says for which region that is.
    fn settle_version_2(&self, head: &mut http::request::Parts) -> Result<Option<String>, Refusal> {
        let Some(id) = version2::key_id(head) else { return Ok(None) };
        let placeholder = Known::new(self, head).find(&id)?;
        let grants = placeholder.and_then(|placeholder| self.keys.grants(&placeholder.profile));
        let region = grants.and_then(|grants| grants.version_2_region.clone());
        if region.is_some() {
            version2::settle(head)?;
        }
        Ok(region)
    }

    async fn forward(
        &self,
        caller: &Caller,
        head: &http::request::Parts,
        body: Incoming,
        way: &Way,
        version_2_region: Option<&str>,
    ) -> Result<Response<Download>, Refused> {
        if let Way::Named(host) = way
            && passing::is_nobodys(head, &Known::new(self, head))
        {
            return Ok(self.pass(caller, head, body, host).await?);
        }
        let asked = Asked::read(self, caller, head, body, way, version_2_region).await?;
        let profile = &asked.verified.placeholder().profile;
        let refused = |why| Refused { why, profile: Some(profile.clone()) };
        let answered = self.try_keys(&asked).await.map_err(refused)?;
        let scope = asked.verified.scope();
        self.keys.forwarded(&Forwarded {
            profile,
            placeholder: asked.placeholder(),
            key: answered.key,
            is_session: asked.is_session(),
            service: &scope.service,
            region: &scope.region,
            status: answered.response.status().as_u16(),
            caller,
        });
        let response = answered.response;
        Ok(match answered.verdict {
            None => response,
            Some(verdict) => response.map(|body| {
                Answering::new(body, verdict, &self.keys, profile, caller).boxed_unsync()
            }),
        })
    }
}

/// The service that a signature says it is for; not believed, only answered to in its protocol.
fn service_of(headers: &http::HeaderMap) -> Option<&str> {
    let text = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (_, credential) = text.split_once("Credential=")?;
    credential.split(['/', ',']).nth(3)
}
