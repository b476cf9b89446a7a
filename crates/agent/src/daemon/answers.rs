//! What the agent answers: programs over HTTP, and `credential-process` and people over its Unix socket.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use rotakey_endpoint::table::{Accounts, Caller, Refused};
use rotakey_endpoint::{imds, route, server};
use serde_json::{Map, Value, json};
use tokio::sync::oneshot;
use zeroize::Zeroizing;

use super::board::Board;
use super::engine::{Order, Orders};
use crate::cli::failure::Failed;
use crate::clock::{Clock, SystemClock, ticks};
use crate::command::App;
use crate::command::status::seconds;
use crate::metrics::{self, Counters};
use crate::serving::books::Books;
use crate::serving::holders::Holders;
use crate::serving::{ServedKey, ServedProfile, Serving, proxying, token};

/// How long somebody who told the agent something waits for it to be done.
const DONE_TIMEOUT: Duration = Duration::from_secs(15);

/// No order is longer.
const ORDER_BYTES_MAX: usize = 16 * 1024;

/// No error code of AWS is longer.
const CODE_BYTES_MAX: usize = 64;

/// What hands credentials out begins so.
const IMDS_CREDENTIALS: &str = "/latest/meta-data/iam/security-credentials/";

/// Where programs reach an agent.
#[derive(Clone, Copy, Debug, Default)]
pub struct Listening {
    /// Container and IMDS.
    pub http: Option<SocketAddr>,
    /// The proxy.
    pub proxy: Option<SocketAddr>,
}

/// What both sockets answer from.
#[derive(Debug)]
pub struct Desk {
    /// What is served.
    pub serving: Arc<ArcSwap<Serving>>,
    /// The accounts.
    pub books: Arc<Books>,
    /// What is counted.
    pub counters: Arc<Counters>,
    /// The configuration.
    pub app: ArcSwap<App>,
    /// Who holds what.
    pub holders: Holders,
    /// The tokens of IMDS.
    pub imds_tokens: imds::Tokens,
    /// The clocks.
    pub clock: SystemClock,
    /// When the agent began.
    pub since: jiff::Timestamp,
    /// Where programs reach it over HTTP.
    pub listen: Listening,
    /// Where the state is.
    pub state: std::path::PathBuf,
    /// The engine's thread, if there is one.
    pub engine: Option<Orders>,
    /// What the schedulers are doing.
    pub board: Arc<Board>,
}

/// The TCP socket.
#[derive(Debug)]
pub struct Programs(pub Arc<Desk>);

/// The Unix socket.
#[derive(Debug)]
pub struct Control(pub Arc<Desk>);

impl server::Handler for Programs {
    async fn handle(&self, caller: &Caller, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let (desk, began) = (&self.0, ticks());
        let (head, _) = request.into_parts();
        let path = head.uri.path();
        if path.starts_with("/credentials/") || path.starts_with(IMDS_CREDENTIALS) {
            desk.holders.identify(caller).await;
        }
        let serving = desk.serving.load();
        let now = desk.clock.wall();
        let books = desk.books.as_ref();
        let answer = route::answer(&serving.table, books, &desk.imds_tokens, now, caller, &head);
        desk.counters.took(ticks().saturating_sub(began));
        answer
    }

    fn refused(&self, why: Refused, caller: Option<&Caller>, what: &str) {
        self.0.books.refused(why, caller, what);
    }
}

impl server::Handler for Control {
    async fn handle(&self, caller: &Caller, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let (head, body) = request.into_parts();
        let segments: Vec<&str> = head.uri.path().split('/').skip(1).collect();
        match (&head.method, &segments[..]) {
            (&Method::GET, ["credential-process", profile]) => self.process(caller, profile),
            (&Method::GET, ["metrics"]) => self.metrics().await,
            (&Method::GET, ["v1", "status"]) => answer_json(&self.0.status()),
            (&Method::GET, ["v1", "profiles", profile]) => match self.0.profile(profile) {
                Some(view) => answer_json(&view),
                None => unknown(profile),
            },
            (&Method::POST, ["v1", "profiles", profile, order]) => {
                let order = (*order).to_owned();
                let profile = decoded(profile);
                self.order(caller, &profile, &order, body).await
            }
            _ => say(StatusCode::NOT_FOUND, "NotFound", "there is no such route"),
        }
    }

    fn refused(&self, why: Refused, caller: Option<&Caller>, what: &str) {
        self.0.books.refused(why, caller, what);
    }
}

impl Control {
    fn process(&self, caller: &Caller, profile: &str) -> Response<Full<Bytes>> {
        let (desk, profile) = (&self.0, decoded(profile));
        let serving = desk.serving.load();
        if !serving.table.profiles.contains_key(&profile) {
            return unknown(&profile);
        }
        let now = desk.clock.wall();
        route::process(&serving.table, desk.books.as_ref(), now, caller, &profile)
    }

    /// Files are read for it, where that holds up nobody.
    async fn metrics(&self) -> Response<Full<Bytes>> {
        if !self.0.app.load().config.agent.metrics {
            return say(StatusCode::NOT_FOUND, "NotFound", "[agent] metrics is false");
        }
        let desk = Arc::clone(&self.0);
        let rendered = tokio::task::spawn_blocking(move || {
            metrics::render(metrics::gather(&desk), &desk.counters)
        });
        let Ok(text) = rendered.await else {
            return say(StatusCode::INTERNAL_SERVER_ERROR, "Metrics", "they cannot be gathered");
        };
        let mut response = Response::new(Full::from(text));
        let form = "application/openmetrics-text; version=1.0.0; charset=utf-8";
        response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(form));
        response
    }

    async fn order(
        &self,
        caller: &Caller,
        profile: &str,
        order: &str,
        body: Incoming,
    ) -> Response<Full<Bytes>> {
        let desk = &self.0;
        let Some(engine) = &desk.engine else { return unknown(profile) };
        if !desk.serving.load().key_of.contains_key(profile) {
            return unknown(profile);
        }
        let Ok(body) = Limited::new(body, ORDER_BYTES_MAX).collect().await else {
            return say(StatusCode::PAYLOAD_TOO_LARGE, "Malformed", "the body is too long");
        };
        let profile = profile.to_owned();
        match order {
            "wake" => {
                let _ = engine.send(Order::Wake(profile));
                no_content()
            }
            "report" => self.report(caller, profile, &body.to_bytes()).await,
            "yield" => {
                let _ = engine.send(Order::Yield(profile));
                no_content()
            }
            "take-up" => {
                let (done, wait) = oneshot::channel();
                let _ = engine.send(Order::TakeUp(profile, done));
                match tokio::time::timeout(DONE_TIMEOUT, wait).await {
                    Ok(Ok(())) => no_content(),
                    _ => say(StatusCode::GATEWAY_TIMEOUT, "Timeout", "it is not taken up yet"),
                }
            }
            "mfa" => {
                let body = body.to_bytes();
                let Ok(code) = std::str::from_utf8(&body) else {
                    return say(StatusCode::BAD_REQUEST, "Malformed", "the code is not text");
                };
                let code = Zeroizing::new(code.trim().to_owned());
                let (done, wait) = oneshot::channel();
                let _ = engine.send(Order::Mfa(profile, code, done));
                match tokio::time::timeout(DONE_TIMEOUT, wait).await {
                    Ok(Ok(Ok(()))) => no_content(),
                    Ok(Ok(Err(why))) => say(StatusCode::CONFLICT, "Mfa", &why),
                    _ => say(StatusCode::GATEWAY_TIMEOUT, "Timeout", "it was not taken yet"),
                }
            }
            "presign" => self.presign(profile, body.to_bytes()).await,
            "token" => match token::load_or_make(&desk.state, &profile) {
                Ok(token) => {
                    if let Some(found) = desk.serving.load().table.profiles.get(&profile) {
                        found.token.store(Arc::new(token));
                    }
                    no_content()
                }
                Err(failed) => say(StatusCode::INTERNAL_SERVER_ERROR, "Token", &failed.message),
            },
            "placeholders" => match self.take_up_placeholders(&profile) {
                Ok(()) => no_content(),
                Err(failed) => {
                    say(StatusCode::INTERNAL_SERVER_ERROR, "Placeholders", &failed.message)
                }
            },
            _ => say(StatusCode::NOT_FOUND, "NotFound", "there is no such order"),
        }
    }
}

impl Control {
    /// Reads a profile's placeholders again. Those that are not there any more are worth nothing from then on.
    fn take_up_placeholders(&self, profile: &str) -> Result<(), Failed> {
        let serving = self.0.serving.load();
        let served = serving.key_of.get(profile).and_then(|key| key.profile(profile));
        let Some(served) = served.filter(|_| serving.proxy) else { return Ok(()) };
        let found = served.proxied.placeholders(&self.0.state, profile)?;
        proxying::take_up(&serving.placeholders, profile, &found);
        Ok(())
    }

    /// A program says that AWS refuses what it was served. It counts if the program, or the one that ran it, is recorded
    /// as a holder of the key that is served: whoever only tried a key that he has from elsewhere says nothing about this
    /// machine, and the old key is refused to everybody.
    async fn report(&self, caller: &Caller, profile: String, body: &[u8]) -> Response<Full<Bytes>> {
        let desk = &self.0;
        let Some(engine) = &desk.engine else { return unknown(&profile) };
        let holder = reporter(caller).and_then(|pids| {
            let key = desk.serving.load().key_of.get(&profile).cloned()?;
            let served = key.key.subscribe().latest().as_ref().map(|seen| seen.key.clone())?;
            let holders = desk.holders.of(&key.state, desk.clock.wall());
            holders.into_iter().find(|held| {
                held.access_key_id == served && held.pid.is_some_and(|pid| pids.contains(&pid))
            })
        });
        let Some(holder) = holder else {
            let why = "only a program that holds a credential of the served key can report";
            return say(StatusCode::FORBIDDEN, "NoHolder", why);
        };
        let said = code_of(body);
        let pid = holder.pid.unwrap_or_default();
        let exe = holder.exe.unwrap_or_default();
        let what = format!("pid {pid} ({exe}) says: {said}");
        let (done, wait) = oneshot::channel();
        let _ = engine.send(Order::Report(profile, what, done));
        match tokio::time::timeout(DONE_TIMEOUT, wait).await {
            Ok(Ok(true)) => no_content(),
            Ok(Ok(false)) => {
                let why = "no key of this profile is soaking: there is none to make active again";
                say(StatusCode::CONFLICT, "NothingSoaks", why)
            }
            _ => say(StatusCode::GATEWAY_TIMEOUT, "Timeout", "it is not looked at yet"),
        }
    }
}

/// The error code that a program saw. It goes into the journal, the log and the news, so nothing else of what it sends does.
fn code_of(body: &[u8]) -> &str {
    let code = std::str::from_utf8(body).unwrap_or_default().trim();
    let is_code = |code: &str| code.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.');
    if !code.is_empty() && code.len() <= CODE_BYTES_MAX && is_code(code) { code } else { "unnamed" }
}

/// The process that reports, and the one that ran it.
fn reporter(caller: &Caller) -> Option<[u32; 2]> {
    let Caller::Process { pid, .. } = caller else { return None };
    let parent = crate::proc::stat(*pid).map_or(0, |(parent, _)| parent);
    // Every orphan's parent is nobody's.
    Some([*pid, if parent > 1 { parent } else { *pid }])
}

impl Desk {
    fn status(&self) -> Value {
        let serving = self.serving.load();
        let profiles: Map<String, Value> = serving
            .key_of
            .iter()
            .filter_map(|(name, key)| {
                Some((name.clone(), self.view(&serving, key, key.profile(name)?)))
            })
            .collect();
        json!({
            "pid": std::process::id(),
            "version": env!("CARGO_PKG_VERSION"),
            "config": serving.config_digest,
            "since": seconds(self.since),
            "listen": self.listen.http,
            "proxy_listen": self.listen.proxy,
            "proxy_authority": serving.connecting.load().as_ref().map(|way| way.name().to_owned()),
            "profiles": profiles,
        })
    }

    /// What it says of one profile.
    pub(crate) fn profile(&self, name: &str) -> Option<Value> {
        let (serving, name) = (self.serving.load(), decoded(name));
        let key = serving.key_of.get(&name)?;
        Some(self.view(&serving, key, key.profile(&name)?))
    }

    fn view(&self, serving: &Serving, key: &ServedKey, served: &ServedProfile) -> Value {
        let now = self.clock.now();
        let temporary = served.profile.temporary.latest();
        let is_there = temporary
            .as_ref()
            .is_some_and(|seen| seen.valid_until.is_none_or(|end| end > now.wall));
        let temporary = temporary.as_ref().map(|seen| {
            json!({
                "access_key_id": seen.credentials.access_key_id,
                "key": seen.key,
                "generation": seen.generation,
                "valid_until": seen.valid_until.map(seconds),
            })
        });
        let latest = key.key.subscribe();
        let latest = latest.latest();
        let trouble = served.trouble.load();
        let is_imds = serving
            .table
            .imds
            .as_ref()
            .is_some_and(|imds| imds.profile.name == served.profile.name);
        // A source that has nothing to serve did not work before a rotation either: it is reported, not required.
        let source = |is_on: bool, has: bool| match (is_on, has) {
            (false, _) => json!({"on": false, "required": false}),
            (true, true) => json!({"on": true, "required": true, "trouble": **trouble}),
            (true, false) => json!({"on": true, "required": false, "trouble": **trouble}),
        };
        let process = match served.serves_key {
            true => json!({"on": true, "required": true, "trouble": null}),
            false => source(true, is_there),
        };
        let proxy = match (serving.proxy, served.serves_key) {
            (true, true) => json!({"on": true, "required": true, "trouble": null}),
            (is_on, _) => source(is_on, is_there),
        };
        let holders: Vec<_> = self.holders.of(&key.state, now.wall);
        json!({
            "profile": served.profile.name,
            "holder": key.name,
            "key": latest.as_ref().map(|seen| seen.key.clone()),
            "generation": latest.as_ref().map(|seen| seen.generation),
            "temporary": temporary,
            "role_arn": served.plan.as_ref().and_then(|plan| plan.role_arn()),
            "healthy_since": key.healthy_since(&now).to_string(),
            "covered_until": seconds(key.covered_until()),
            "listen": self.listen.http,
            "proxy_listen": self.listen.proxy,
            "asked_sts": serving.asked_sts.of(&served.profile.name),
            "fell_over": key.fell_over.load(Ordering::Relaxed),
            "fell_over_at": key.fell_over_at().map(|at| at.to_string()),
            "sources": {
                "process": process,
                "container": source(serving.table.container, is_there),
                "imds": source(is_imds, is_there),
                "proxy": proxy,
            },
            "holders": holders,
            "schedule": self.board.of(&key.name),
        })
    }
}

fn decoded(segment: &str) -> String {
    // Names hold no byte that has to be escaped but `@` and `+`, which clients may escape.
    segment.replace("%40", "@").replace("%2B", "+").replace("%2b", "+")
}

pub(super) fn answer_json(value: &Value) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(value.to_string()));
    let json = header::HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

fn no_content() -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}

pub(super) fn unknown(profile: &str) -> Response<Full<Bytes>> {
    say(StatusCode::NOT_FOUND, "NotFound", &format!("the agent serves no profile {profile}"))
}

pub(super) fn say(status: StatusCode, code: &str, message: &str) -> Response<Full<Bytes>> {
    let mut response = answer_json(&json!({"code": code, "message": message}));
    *response.status_mut() = status;
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_kept_as_an_error_code_or_not_at_all() {
        assert_eq!(code_of(b" InvalidClientTokenId\n"), "InvalidClientTokenId");
        assert_eq!(code_of(b"AuthFailure.Expired2"), "AuthFailure.Expired2");
        assert_eq!(code_of("a".repeat(64).as_bytes()), "a".repeat(64));
        let long = "a".repeat(65);
        for odd in ["", "AWS refuses my key", "a/b+c=", "\u{e4}", "a\u{7}b", &long] {
            assert_eq!(code_of(odd.as_bytes()), "unnamed", "{odd}");
        }
        assert_eq!(code_of(&[0xff, b'a']), "unnamed");
    }
}
