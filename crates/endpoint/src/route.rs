//! What is asked for, and the answer. Nothing here waits: neither for a lock, nor for the disk, nor for AWS.

use std::sync::Arc;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderName, HeaderValue, Method, header};
use jiff::Timestamp;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::answer::{Answer, Refusal, secret_json, text};
use crate::guard;
use crate::imds::{TTL_SECONDS_MAX, Tokens};
use crate::lease::Grant;
use crate::protocol;
use crate::publish::{Snapshot, Subscriber};
use crate::table::{
    Accounts, Caller, Handed, Imds, Profile, Ready, Refused, Secret, Source, Table,
};

const CONTAINER: &str = "/credentials/";
const IMDS_TOKEN: &str = "/latest/api/token";
const IMDS_ROLES: &str = "/latest/meta-data/iam/security-credentials";

const TTL: HeaderName = HeaderName::from_static("x-aws-ec2-metadata-token-ttl-seconds");
const TOKEN: HeaderName = HeaderName::from_static("x-aws-ec2-metadata-token");

/// Stands for the token of a profile that does not exist: finding out takes as long as a wrong token.
const NOBODYS_TOKEN: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// One request, and what it takes to answer it.
struct Asked<'a, A> {
    table: &'a Table,
    accounts: &'a A,
    now: Timestamp,
    caller: &'a Caller,
}

/// What the TCP listener answers: container and IMDS.
///
/// An answer is accounted for before this returns it, a refusal as well.
pub fn answer(
    table: &Table,
    accounts: &impl Accounts,
    imds_tokens: &Tokens,
    now: Timestamp,
    caller: &Caller,
    head: &Parts,
) -> Answer {
    let asked = Asked { table, accounts, now, caller };
    let answer = guard::check(head).and_then(|()| asked.over_tcp(imds_tokens, head));
    asked.or_refusal(answer)
}

/// What `credential-process` prints, for the one who asks over the Unix socket.
pub fn process(
    table: &Table,
    accounts: &impl Accounts,
    now: Timestamp,
    caller: &Caller,
    profile: &str,
) -> Answer {
    let asked = Asked { table, accounts, now, caller };
    let answer = asked.process(profile);
    asked.or_refusal(answer)
}

impl<A: Accounts> Asked<'_, A> {
    fn or_refusal(&self, answer: Result<Answer, Refusal>) -> Answer {
        answer.unwrap_or_else(|refusal| {
            self.accounts.refused(refusal.why, Some(self.caller), &refusal.what);
            refusal.answer()
        })
    }

    fn over_tcp(&self, tokens: &Tokens, head: &Parts) -> Result<Answer, Refusal> {
        let path = head.uri.path();
        if let Some(profile) = path.strip_prefix(CONTAINER)
            && self.table.container
        {
            only(&Method::GET, "GET", head)?;
            return self.container(profile, head);
        }
        if let Some(imds) = &self.table.imds {
            if path == IMDS_TOKEN {
                only(&Method::PUT, "PUT", head)?;
                return self.imds_token(tokens, head);
            }
            if let Some(role) = path.strip_prefix(IMDS_ROLES)
                && (role.is_empty() || role.starts_with('/'))
            {
                only(&Method::GET, "GET", head)?;
                self.check_imds_token(imds, tokens, head)?;
                return self.imds(&imds.profile, role.strip_prefix('/').unwrap_or(role));
            }
        }
        Err(Refusal::new(Refused::NotFound, "there is nothing here", "no such path"))
    }

    fn container(&self, name: &str, head: &Parts) -> Result<Answer, Refusal> {
        let profile = self.table.profiles.get(name);
        let token = profile.map(|profile| profile.token.load());
        let expected = token.as_ref().map_or(NOBODYS_TOKEN, |token| token.expose());
        let shown = one(head, &header::AUTHORIZATION).map_or(&[][..], HeaderValue::as_bytes);
        let is_right = bool::from(shown.ct_eq(expected.as_bytes())) && !expected.is_empty();
        match profile {
            Some(profile) if is_right => {
                self.temporary(profile, Source::Container, &profile.temporary)
            }
            // A profile that is not there is not told from a wrong token.
            profile => {
                let message =
                    "the Authorization header must hold this profile's token, and nothing else";
                let name = profile.map_or("an unknown profile", |profile| &profile.name);
                let what = format!("container, {name}: no token, or another");
                Err(Refusal::new(Refused::Token, message, what))
            }
        }
    }

    fn imds_token(&self, tokens: &Tokens, head: &Parts) -> Result<Answer, Refusal> {
        let wanted = one(head, &TTL);
        let Some((ttl, seconds)) = wanted.and_then(|ttl| Some((ttl, ttl_seconds(ttl)?))) else {
            let message = "X-aws-ec2-metadata-token-ttl-seconds must be 1 to 21600";
            return Err(Refusal::new(Refused::Malformed, message, "imds: a token without a life"));
        };
        let token = tokens.issue(self.now, seconds).map_err(|_| {
            let message = "the system has no random numbers for a token";
            Refusal::new(Refused::Unavailable, message, message)
        })?;
        let mut answer = text(token);
        answer.headers_mut().insert(TTL, ttl.clone());
        Ok(answer)
    }

    fn check_imds_token(&self, imds: &Imds, tokens: &Tokens, head: &Parts) -> Result<(), Refusal> {
        if !head.headers.contains_key(TOKEN) && imds.v1 {
            return Ok(());
        }
        if one(head, &TOKEN).is_some_and(|token| tokens.is_good(token.as_bytes(), self.now)) {
            return Ok(());
        }
        let message =
            "no token of IMDSv2, or one that is over; hint: PUT /latest/api/token gives one";
        Err(Refusal::new(Refused::ImdsToken, message, "imds: no token, or one that is over"))
    }

    fn imds(&self, profile: &Arc<Profile>, role: &str) -> Result<Answer, Refusal> {
        match role {
            // Without a newline: the AWS SDK for Rust would put it into the next path.
            "" => Ok(text(Zeroizing::new(profile.name.clone()))),
            role if role == profile.name => {
                self.temporary(profile, Source::Imds, &profile.temporary)
            }
            _ => {
                Err(Refusal::new(Refused::NotFound, "there is no such role", "imds: another role"))
            }
        }
    }

    /// Hands out what has a session token; clients of these sources sign an empty one if there is none.
    fn temporary(
        &self,
        profile: &Arc<Profile>,
        source: Source,
        subscriber: &Subscriber,
    ) -> Result<Answer, Refusal> {
        self.check_program(profile)?;
        let latest = subscriber.latest();
        let Some(snapshot) = latest.as_ref() else {
            return Err(self.unavailable(
                profile,
                source,
                "there are no temporary credentials yet",
            ));
        };
        let Some(token) = &snapshot.credentials.session_token else {
            return Err(self.unavailable(profile, source, "its credentials are not temporary"));
        };
        let until = self.hand_out(profile, source, snapshot)?;
        let (at, until_second) = (self.now.as_second(), until.as_second());
        let ready = profile.ready.load();
        if let Some(ready) = ready.as_ref()
            && (ready.at, ready.until) == (at, until_second)
            && Arc::ptr_eq(&ready.snapshot, snapshot)
        {
            return Ok(secret_json(ready.body.0.clone()));
        }
        let account = profile.account_id.as_deref();
        let credentials = &snapshot.credentials;
        let body = protocol::http::answer(credentials, token, self.now, until, account);
        let body = Bytes::from_owner(body);
        let snapshot = Arc::clone(snapshot);
        let kept = Secret(body.clone());
        profile.ready.store(Some(Arc::new(Ready {
            snapshot,
            at,
            until: until_second,
            body: kept,
        })));
        Ok(secret_json(body))
    }

    fn process(&self, name: &str) -> Result<Answer, Refusal> {
        let Some(profile) = self.table.profiles.get(name) else {
            let message =
                "the agent has no such profile; hint: `rotakey status` lists those it has";
            return Err(Refusal::new(Refused::NotFound, message, "process: an unknown profile"));
        };
        self.check_program(profile)?;
        let latest = profile.process.latest();
        let Some(snapshot) = latest.as_ref() else {
            return Err(self.unavailable(profile, Source::Process, "there are no credentials yet"));
        };
        let until = self.hand_out(profile, Source::Process, snapshot)?;
        let mut json = protocol::process::answer(snapshot, until, profile.account_id.as_deref());
        // Moved, not copied.
        let json = Zeroizing::new(std::mem::take(&mut *json).into_bytes());
        Ok(secret_json(Bytes::from_owner(json)))
    }

    fn check_program(&self, profile: &Profile) -> Result<(), Refusal> {
        if self.accounts.may_ask(profile, self.caller) {
            return Ok(());
        }
        let message = "this program is not among the profile's executables";
        Err(Refusal::new(Refused::Executable, message, profile.name.clone()))
    }

    /// A program of this user gets nothing: that counts as an outage.
    fn unavailable(&self, profile: &Profile, source: Source, problem: &str) -> Refusal {
        self.accounts.failed(profile, source);
        let reason = profile.out_of_service.load();
        unavailable(profile, source, reason.as_ref().map_or(problem, |reason| reason.as_str()))
    }

    /// Accounts for an answer, and says what its `Expiration` is.
    fn hand_out(
        &self,
        profile: &Arc<Profile>,
        source: Source,
        snapshot: &Snapshot,
    ) -> Result<Timestamp, Refusal> {
        let (until, is_covered) = match snapshot.grant(self.now, profile.lease) {
            Grant::Covered(until) => (until, true),
            Grant::Uncovered(until) => (until, false),
            Grant::Over => return Err(self.unavailable(profile, source, OVER)),
        };
        // It is told rounded down; then it must still be ahead.
        if until.as_second() <= self.now.as_second() {
            return Err(self.unavailable(profile, source, OVER));
        }
        if !is_covered && !self.accounts.is_current(profile, snapshot.generation) {
            let problem = "another key has just taken over, and is not served yet";
            return Err(self.unavailable(profile, source, problem));
        }
        self.accounts.handed(Handed {
            profile: Arc::clone(profile),
            source,
            key: snapshot.key.clone(),
            generation: snapshot.generation,
            until: rounded_up(until),
            is_covered,
            caller: self.caller.clone(),
        });
        Ok(until)
    }
}

const OVER: &str = "its credentials are over, and could not be renewed";

fn unavailable(profile: &Profile, source: Source, problem: &str) -> Refusal {
    let name = &profile.name;
    let message = format!("profile {name}: {problem}; hint: `rotakey status {name}` says more");
    Refusal::new(Refused::Unavailable, message, format!("{}, {name}: {problem}", source.name()))
}

fn only(method: &Method, name: &'static str, head: &Parts) -> Result<(), Refusal> {
    if head.method == method {
        return Ok(());
    }
    let refusal = Refusal::new(Refused::Method, "not with this method", "another method");
    Err(Refusal { allow: Some(name), ..refusal })
}

/// The header of this name, if there is exactly one.
fn one<'a>(head: &'a Parts, name: &HeaderName) -> Option<&'a HeaderValue> {
    let mut values = head.headers.get_all(name).iter();
    values.next().filter(|_| values.next().is_none())
}

fn ttl_seconds(ttl: &HeaderValue) -> Option<u32> {
    let text = ttl.to_str().ok().filter(|text| text.bytes().all(|b| b.is_ascii_digit()))?;
    text.parse().ok().filter(|seconds| (1..=TTL_SECONDS_MAX).contains(seconds))
}

fn rounded_up(until: Timestamp) -> Timestamp {
    let seconds = until.as_second() + i64::from(until.subsec_nanosecond() > 0);
    Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX)
}
