//! Trying keys. AWS learns of a new key place by place, and forgets an old one likewise: whoever is refused as unknown tries
//! the other one, once. What was refused so was not carried out.

use std::time::Duration;

use http::uri::{Authority, Scheme};
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use jiff::SignedDuration;
use rotakey_core::credential::AccessKeyId;
use tokio::time::{Instant, timeout};

use super::answer::{self, Inspected};
use super::request::Asked;
use super::{Download, Proxy};
use crate::proxy::keys::Keys;
use crate::proxy::payload::{Outgoing, Verdict};
use crate::proxy::pool::Upload;
use crate::proxy::preferred::Place;
use crate::proxy::refusal::Refusal;
use crate::proxy::sign::{self, Clock, Destination};
use crate::publish::Snapshot;

/// Lambda's functions may take a quarter of an hour.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(960);

/// A clock that turns out to be so wrong was the reason of a refusal.
const WRONG_CLOCK: SignedDuration = SignedDuration::from_mins(2);

/// An answer, and the key that it was given to.
pub(super) struct Answered {
    pub(super) key: AccessKeyId,
    pub(super) response: Response<Download>,
}

impl<K: Keys> Proxy<K> {
    /// Sends the request with the key that is likely to work, and with the other one if it does not.
    pub(super) async fn try_keys(&self, asked: &Asked<'_>) -> Result<Answered, Refusal> {
        let (current, other) = (&asked.pair.current, asked.pair.other.as_ref());
        if other.is_none() {
            let seen = self.try_key(asked, current).await?;
            return Ok(self.answered(asked, current, seen));
        }
        let place = place(asked);
        let preferred = self.preferred.at(&place, Instant::now());
        let (mut first, mut second) = (current, other);
        if let Some(other) = other.filter(|other| Some(&other.key) == preferred.as_ref()) {
            (first, second) = (other, Some(current));
        }
        let seen = self.try_key(asked, first).await?;
        let is_refused = seen.is_unknown_key || (seen.has_no_words && second.is_some());
        if seen.is_unknown_key && preferred.as_ref() == Some(&first.key) {
            self.preferred.forget(&place);
        }
        let Some(second) = second.filter(|_| is_refused && asked.body.is_there()) else {
            return Ok(self.answered(asked, first, seen));
        };
        let again = self.try_key(asked, second).await?;
        if again.is_unknown_key || (again.has_no_words && seen.has_no_words) {
            return Ok(self.answered(asked, first, seen));
        }
        if second.key != current.key {
            self.preferred.note(place, second.key.clone(), Instant::now());
        }
        Ok(self.answered(asked, second, again))
    }

    fn answered(&self, asked: &Asked<'_>, with: &Snapshot, seen: Inspected) -> Answered {
        let placeholder = &asked.verified.placeholder().id;
        let real = &with.credentials.access_key_id;
        let mut response = answer::for_program(seen, real.as_str(), placeholder.as_str());
        if !asked.body.is_whole() && asked.body.is_there() {
            // It answered before it wanted the body, which could be taken for a request.
            let close = HeaderValue::from_static("close");
            response.headers_mut().insert(header::CONNECTION, close);
        }
        Answered { key: with.key.clone(), response }
    }

    /// One key; once more, if the clock was so wrong that AWS could not but refuse.
    async fn try_key(&self, asked: &Asked<'_>, with: &Snapshot) -> Result<Inspected, Refusal> {
        let before = self.offsets.of(&asked.route.host);
        let seen = self.send(asked, with, before).await?;
        let after = self.offsets.of(&asked.route.host);
        let was_wrong = after.saturating_sub(before).abs() > WRONG_CLOCK;
        let is_refused = matches!(seen.status().as_u16(), 400 | 401 | 403);
        if was_wrong && is_refused && asked.body.is_there() {
            return self.send(asked, with, after).await;
        }
        Ok(seen)
    }

    async fn send(
        &self,
        asked: &Asked<'_>,
        with: &Snapshot,
        offset: SignedDuration,
    ) -> Result<Inspected, Refusal> {
        if with.key != asked.pair.current.key {
            // Before it goes out: whoever is about to deactivate that key waits.
            self.keys.fell_over(&asked.verified.placeholder().profile, &with.key);
        }
        let (request, verdict) = self.signed(asked, with, offset)?;
        let is_own = asked.endpoint().is_some();
        let sent = timeout(ANSWER_TIMEOUT, self.pool.send(request, is_own)).await;
        // A body that was not what was signed broke the connection off.
        let why = verdict.refusal();
        let response: Response<Incoming> = match sent {
            Ok(Ok(response)) => response,
            Ok(Err(_)) => return Err(why.unwrap_or(Refusal::Unreachable)),
            Err(_) => return Err(Refusal::Unreachable),
        };
        self.offsets.learn(&asked.route.host, response.headers(), self.keys.now());
        Ok(answer::inspect(response, asked.head.method == Method::HEAD).await)
    }

    /// The request as it goes out.
    fn signed(
        &self,
        asked: &Asked<'_>,
        with: &Snapshot,
        offset: SignedDuration,
    ) -> Result<(Request<Upload>, Verdict), Refusal> {
        let scope = asked.verified.scope();
        let endpoint = asked.endpoint();
        let path = endpoint
            .filter(|endpoint| !endpoint.prefix.is_empty())
            .map(|endpoint| format!("{}{}", endpoint.prefix, asked.head.uri.path()));
        let to = Destination {
            host: &asked.route.host,
            region: &asked.route.sign_region,
            service: &scope.service,
            path: path.as_deref(),
        };
        let clock = Clock { now: self.keys.now(), upstream_offset: offset };
        let credentials = &with.credentials;
        let signed =
            sign::sign(asked.head, &asked.verified, &to, credentials, &self.signing, clock)?;
        let (piece, latch) = asked.body.for_a_try();
        let outgoing = Outgoing::new(
            piece,
            &asked.head.headers,
            &asked.verified,
            &signed.chunks,
            asked.checks_hash(),
        )?;
        let verdict = outgoing.verdict();
        let mut request =
            Request::new(outgoing.map_err(|error| error.to_string().into()).boxed_unsync());
        *request.method_mut() = signed.method;
        *request.headers_mut() = signed.headers;
        let mut uri = http::uri::Parts::default();
        uri.scheme = Some(endpoint.map_or(Scheme::HTTPS, |endpoint| endpoint.scheme.clone()));
        let authority = match endpoint {
            Some(endpoint) => endpoint.authority.clone(),
            None => asked.route.host.parse::<Authority>().map_err(|_| Refusal::ServiceUnknown)?,
        };
        uri.authority = Some(authority);
        uri.path_and_query = Some(signed.target);
        *request.uri_mut() = Uri::from_parts(uri).map_err(|_| Refusal::CannotSign)?;
        if let Some(latch) = latch {
            let wait = HeaderValue::from_static("100-continue");
            request.headers_mut().insert(header::EXPECT, wait);
            hyper::ext::on_informational(&mut request, move |answer| {
                if answer.status() == StatusCode::CONTINUE {
                    latch.open();
                }
            });
        }
        Ok((request, verdict))
    }
}

fn place(asked: &Asked<'_>) -> Place {
    let scope = asked.verified.scope();
    let profile = asked.verified.placeholder().profile.clone();
    (profile, scope.service.clone(), scope.region.clone())
}
