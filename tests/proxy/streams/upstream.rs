//! A server in AWS's place, over HTTP/2 and HTTP/1.1, with TLS or without. It verifies the head and each message with the
//! real keys, by `aws-sigv4`, and answers while it is still asked.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::head::Signer;
use super::services;
use crate::event_stream::sha256;

/// What became of a request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    pub(super) version: String,
    /// Of the key that it was signed with.
    pub(super) id: String,
    pub(super) target: String,
    pub(super) status: u16,
    /// What its messages wrapped, each with a right signature.
    pub(super) heard: Vec<Vec<u8>>,
    pub(super) end: End,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum End {
    #[default]
    Open,
    /// The empty message, and the end of the stream.
    Right,
    /// The stream was reset.
    Reset,
    /// What may not be: a wrong signature, an end without an empty message, something behind it.
    Wrong(String),
}

/// What the server knows.
#[derive(Debug, Default)]
pub(super) struct Desk {
    /// The keys that it accepts, with their secrets.
    keys: Mutex<BTreeMap<String, String>>,
    seen: Mutex<Vec<Seen>>,
}

impl Desk {
    pub(super) fn change(&self, number: usize, change: impl FnOnce(&mut Seen)) {
        change(&mut self.seen.lock().unwrap_or_else(PoisonError::into_inner)[number]);
    }
}

pub(crate) struct Upstream {
    pub(crate) url: String,
    desk: Arc<Desk>,
    _runtime: tokio::runtime::Runtime,
}

impl Upstream {
    /// One that knows this key.
    pub(crate) fn start(id: &str, secret: &str, tls: Option<TlsAcceptor>) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a runtime");
        let listener = runtime.block_on(TcpListener::bind(("127.0.0.1", 0))).expect("a port");
        let scheme = if tls.is_some() { "https" } else { "http" };
        let url = format!("{scheme}://{}", listener.local_addr().expect("bound"));
        let desk = Arc::new(Desk::default());
        let own = Arc::clone(&desk);
        runtime.spawn(async move {
            loop {
                let Ok((stream, _)) = listener.accept().await else { return };
                let (desk, tls) = (Arc::clone(&own), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        None => converse(stream, desk).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                converse(stream, desk).await;
                            }
                        }
                    }
                });
            }
        });
        let upstream = Self { url, desk, _runtime: runtime };
        upstream.learn(id, secret);
        upstream
    }

    pub(crate) fn learn(&self, id: &str, secret: &str) {
        self.desk.keys.lock().unwrap().insert(id.to_owned(), secret.to_owned());
    }

    pub(crate) fn forget(&self, id: &str) {
        self.desk.keys.lock().unwrap().remove(id);
    }

    /// All requests until now.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.desk.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until something was seen.
    pub(crate) fn until(&self, what: &str, is_seen: impl Fn(&[Seen]) -> bool) -> Vec<Seen> {
        let since = Instant::now();
        loop {
            let seen = self.seen();
            if is_seen(&seen) {
                return seen;
            }
            assert!(since.elapsed() < Duration::from_secs(30), "not seen: {what}: {seen:?}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

pub(super) type Answer = Response<UnsyncBoxBody<Bytes, Infallible>>;

async fn converse<S>(stream: S, desk: Arc<Desk>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |request| {
        let desk = Arc::clone(&desk);
        async move { Ok::<_, Infallible>(respond(&desk, request).await) }
    });
    let builder = auto::Builder::new(TokioExecutor::new());
    let _ = builder.serve_connection(TokioIo::new(stream), service).await;
}

async fn respond(desk: &Arc<Desk>, request: Request<Incoming>) -> Answer {
    let (head, body) = request.into_parts();
    let target =
        head.headers.get("x-amz-target").map_or(head.uri.path(), |it| it.to_str().unwrap());
    let mut seen = Seen {
        version: format!("{:?}", head.version),
        target: target.to_owned(),
        status: 200,
        ..Seen::default()
    };
    let mode =
        head.headers.get("x-amz-content-sha256").map(|mode| mode.to_str().unwrap().to_owned());
    let is_events = mode.as_deref() == Some("STREAMING-AWS4-HMAC-SHA256-EVENTS");
    let mut body = Some(body);
    let payload = match mode {
        Some(mode) => mode,
        None => {
            let whole = body.take().unwrap().collect().await.expect("a body").to_bytes();
            sha256(&whole)
        }
    };
    let verified = verify(desk, &head.method, &head.uri, &head.headers, &payload, &mut seen);
    if verified.is_err() {
        seen.status = 403;
    }
    let number = {
        let mut all = desk.seen.lock().unwrap_or_else(PoisonError::into_inner);
        all.push(seen);
        all.len() - 1
    };
    match (verified, body) {
        (Err(code), _) => services::error(code),
        (Ok(chain), Some(body)) if is_events => services::transcribe(desk, number, chain, body),
        (Ok(_), _) => services::kinesis(&head.headers),
    }
}

/// The chain of signatures that begins with the head's, if that is right.
fn verify(
    desk: &Desk,
    method: &http::Method,
    uri: &http::Uri,
    headers: &HeaderMap,
    payload: &str,
    seen: &mut Seen,
) -> Result<crate::event_stream::Chain, &'static str> {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap().to_owned());
    let authorization = text("authorization").ok_or("MissingAuthenticationTokenException")?;
    let part = |name: &str| {
        let (_, rest) = authorization.split_once(&format!("{name}=")).unwrap();
        rest.split(',').next().unwrap().trim().to_owned()
    };
    let (credential, names, given) = (part("Credential"), part("SignedHeaders"), part("Signature"));
    let mut parts = credential.split('/').map(str::to_owned);
    let mut next = || parts.next().unwrap();
    let (id, _day, region, service) = (next(), next(), next(), next());
    seen.id.clone_from(&id);
    let secret =
        desk.keys.lock().unwrap().get(&id).cloned().ok_or("UnrecognizedClientException")?;
    let at = jiff::fmt::strtime::parse("%Y%m%dT%H%M%SZ", text("x-amz-date").unwrap()).unwrap();
    let at = at.to_datetime().unwrap().to_zoned(jiff::tz::TimeZone::UTC).unwrap().timestamp();
    let signer = Signer { id, secret: secret.clone(), region, service, at };
    // Those two are `aws-sigv4`'s own; whatever else was signed has to be there.
    let signed = names.split(';').filter(|name| !matches!(*name, "host" | "x-amz-date"));
    let signed = signed.map(|name| Some((name.to_owned(), text(name)?)));
    let signed: Vec<_> = signed.collect::<Option<_>>().ok_or("InvalidSignatureException")?;
    let authority = uri.authority().map_or_else(|| text("host").unwrap(), ToString::to_string);
    if uri.authority().is_some() && text("host").is_some_and(|host| host != authority) {
        return Err("InvalidSignatureException");
    }
    let uri = format!("http://{authority}{}", uri.path_and_query().unwrap());
    let (right, _) = signer.sign(method.as_str(), &uri, &signed, payload);
    if right != given {
        return Err("InvalidSignatureException");
    }
    let Signer { region, service, .. } = signer;
    Ok(crate::event_stream::Chain { secret, region, service, last: given })
}
