//! Trying keys. AWS learns of a new key place by place, and forgets an old one likewise: whoever is refused as unknown tries
//! the other one, once. What was refused so was not carried out.

use http::{HeaderValue, Method, Response, StatusCode, Version, header};
use hyper::body::Incoming;
use jiff::SignedDuration;
use rotakey_core::credential::AccessKeyId;
use tokio::time::Instant;

use super::answer::{self, Inspected};
use super::outbound::Outbound;
use super::request::Asked;
use super::{Download, Proxy};
use crate::proxy::keys::Keys;
use crate::proxy::payload::{Payload, Verdict};
use crate::proxy::preferred::Place;
use crate::proxy::redact::Redaction;
use crate::proxy::refusal::Refusal;
use crate::publish::Snapshot;

/// A clock that turns out to be so wrong was the reason of a refusal.
const WRONG_CLOCK: SignedDuration = SignedDuration::from_mins(2);

/// An answer, and the key that it was given to.
pub(super) struct Answered<'a> {
    pub(super) key: &'a AccessKeyId,
    pub(super) response: Response<Download>,
    /// What becomes of an event stream, which goes on.
    pub(super) verdict: Option<Verdict>,
}

/// One try's answer.
struct Seen {
    answer: Inspected,
    verdict: Verdict,
}

impl<K: Keys> Proxy<K> {
    /// Sends the request with the key that is likely to work, and with the other one if it does not.
    pub(super) async fn try_keys<'a>(&self, asked: &'a Asked<'_>) -> Result<Answered<'a>, Refusal> {
        let (current, other) = (&asked.pair.current, asked.pair.other.as_ref());
        if other.is_none() {
            let seen = self.try_key(asked, current).await?;
            return self.answered(asked, current, seen);
        }
        let place = place(asked);
        let preferred = self.preferred.at(&place, Instant::now());
        let (mut first, mut second) = (current, other);
        if let Some(other) = other.filter(|other| Some(&other.key) == preferred.as_ref()) {
            (first, second) = (other, Some(current));
        }
        let seen = self.try_key(asked, first).await?;
        let saw = &seen.answer;
        let is_refused = saw.is_unknown_key
            || (saw.has_no_words
                && (first.key != current.key
                    || self.preferred.doubts(&place, &current.key, Instant::now())));
        if saw.is_unknown_key && preferred.as_ref() == Some(&first.key) {
            self.preferred.forget(&place);
        }
        self.learn(&place, current, first, saw);
        let Some(second) = second.filter(|_| is_refused && asked.body.keep()) else {
            return self.answered(asked, first, seen);
        };
        let again = match self.try_key(asked, second).await {
            // AWS did answer.
            Err(Refusal::Unreachable) => return self.answered(asked, first, seen),
            again => again?,
        };
        self.learn(&place, current, second, &again.answer);
        let is_no_better = again.answer.has_no_words && seen.answer.has_no_words;
        if is_no_better {
            self.preferred.refused_both(&place, &current.key, Instant::now());
        }
        if again.answer.is_unknown_key || is_no_better {
            return self.answered(asked, first, seen);
        }
        if second.key != current.key {
            self.preferred.did_not_know(&place);
            self.preferred.note(place, second.key.clone(), Instant::now());
        }
        self.answered(asked, second, again)
    }

    /// What an answer shows of the current key. Errors may come from before the key is looked at.
    fn learn(&self, place: &Place, current: &Snapshot, with: &Snapshot, saw: &Inspected) {
        let status = saw.status();
        if with.key != current.key {
            return;
        }
        if saw.is_unknown_key {
            self.preferred.did_not_know(place);
        } else if status.is_success() || status == StatusCode::NOT_MODIFIED {
            self.preferred.took(place, &current.key);
        }
    }

    fn answered<'a>(
        &self,
        asked: &Asked<'_>,
        with: &'a Snapshot,
        seen: Seen,
    ) -> Result<Answered<'a>, Refusal> {
        let mut response = match &asked.wanted {
            Some(wanted) if seen.answer.status().is_success() => {
                self.virtualised(asked, wanted, with, seen.answer)?
            }
            None if asked.reads_answer() && seen.answer.may_hold_credentials() => {
                return Err(Refusal::AnswerUnreadable);
            }
            _ => answer::for_program(seen.answer),
        };
        let is_shared = asked.head.version == Version::HTTP_2;
        if !asked.body.is_whole() && asked.body.is_there() && !is_shared {
            // It answered before it wanted the body, which could be taken for a request.
            let close = HeaderValue::from_static("close");
            response.headers_mut().insert(header::CONNECTION, close);
        }
        // A refusal of AWS's is no stream.
        let is_events =
            asked.verified.payload() == Payload::Events && response.status().is_success();
        let verdict = is_events.then_some(seen.verdict);
        Ok(Answered { key: &with.key, response, verdict })
    }

    /// One key; once more, if the clock was so wrong that AWS could not but refuse.
    async fn try_key(&self, asked: &Asked<'_>, with: &Snapshot) -> Result<Seen, Refusal> {
        let before = self.offsets.of(asked.host());
        let seen = self.send(asked, with, before).await?;
        if !matches!(seen.answer.status().as_u16(), 400 | 401 | 403) {
            return Ok(seen);
        }
        let after = self.offsets.of(asked.host());
        let was_wrong = after.saturating_sub(before).abs() > WRONG_CLOCK;
        if was_wrong && asked.body.keep() {
            return self.send(asked, with, after).await;
        }
        Ok(seen)
    }

    async fn send(
        &self,
        asked: &Asked<'_>,
        with: &Snapshot,
        offset: SignedDuration,
    ) -> Result<Seen, Refusal> {
        if with.key != asked.pair.current.key {
            // Before it goes out: whoever is about to deactivate that key waits.
            self.keys.fell_over(&asked.verified.placeholder().profile, &with.key);
        }
        let Outbound { request, to, verdict, latch } = self.signed(asked, with, offset)?;
        let authorization = request.headers().get(header::AUTHORIZATION).cloned();
        let sent = self.pool.send(request, &to, asked.is_stream).await;
        // A body that was not what was signed broke the connection off.
        let why = verdict.refusal();
        let response: Response<Incoming> = match sent {
            Ok(response) => response,
            Err(_) => return Err(why.unwrap_or(Refusal::Unreachable)),
        };
        self.offsets.learn(asked.host(), response.headers(), self.keys.now());
        let is_head = asked.head.method == Method::HEAD;
        let placeholder = &asked.verified.placeholder().id;
        let redaction = answer::is_error(response.status())
            .then(|| Redaction::new(&with.credentials, placeholder, authorization.as_ref()));
        let answer = answer::inspect(response, is_head, asked.reads_answer(), redaction).await;
        // Otherwise the try is over with its latch, and the body is there for another.
        if let Some(latch) = latch.filter(|_| answer.status().is_success()) {
            latch.open();
        }
        Ok(Seen { answer, verdict })
    }
}

fn place(asked: &Asked<'_>) -> Place {
    let scope = asked.verified.scope();
    let profile = asked.verified.placeholder().profile.clone();
    (profile, scope.service.clone(), scope.region.clone())
}
