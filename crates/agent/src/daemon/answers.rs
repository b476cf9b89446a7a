//! What the agent answers: programs over HTTP, and `credential-process` and people over its Unix socket.

use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use rotakey_endpoint::table::{Accounts, Caller, Refused};
use rotakey_endpoint::{route, server};
use serde::Serialize;
use serde_json::json;

use super::desk::Desk;
use super::gather::gather;
use crate::clock::ticks;
use crate::metrics;

/// What hands credentials out begins so.
const IMDS_CREDENTIALS: &str = "/latest/meta-data/iam/security-credentials/";

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
            (&Method::GET, ["v1", "status"]) => answer_json(&self.0.status(&self.0.serving.load())),
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
        let rendered =
            tokio::task::spawn_blocking(move || metrics::render(gather(&desk), &desk.counters));
        let Ok(text) = rendered.await else {
            return say(StatusCode::INTERNAL_SERVER_ERROR, "Metrics", "they cannot be gathered");
        };
        let mut response = Response::new(Full::from(text));
        let form = "application/openmetrics-text; version=1.0.0; charset=utf-8";
        response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(form));
        response
    }
}

/// A path's segment.
pub(super) fn decoded(segment: &str) -> String {
    // Names hold no byte that has to be escaped but `@` and `+`, which clients may escape.
    segment.replace("%40", "@").replace("%2B", "+").replace("%2b", "+")
}

pub(super) fn answer_json(value: &impl Serialize) -> Response<Full<Bytes>> {
    let Ok(text) = serde_json::to_string(value) else {
        return say(StatusCode::INTERNAL_SERVER_ERROR, "Json", "it cannot be written as JSON");
    };
    let mut response = Response::new(Full::from(text));
    let json = header::HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

pub(super) fn no_content() -> Response<Full<Bytes>> {
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
