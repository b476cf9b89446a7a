//! Answers: credentials, and refusals.

use std::borrow::Cow;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use serde::Serialize;
use zeroize::Zeroizing;

use crate::table::Refused;

/// What goes out.
pub type Answer = Response<Full<Bytes>>;

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const TEXT: HeaderValue = HeaderValue::from_static("text/plain");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
const NO_SNIFF: HeaderValue = HeaderValue::from_static("nosniff");
const CLOSE: HeaderValue = HeaderValue::from_static("close");

/// A request that is turned away, and what is said of it.
#[derive(Debug)]
pub(crate) struct Refusal {
    /// Why; this decides the status.
    pub(crate) why: Refused,
    /// For the caller.
    pub(crate) message: Cow<'static, str>,
    /// For the account. It quotes nothing that could be a secret.
    pub(crate) what: Cow<'static, str>,
    /// With a wrong method: those that there are.
    pub(crate) allow: Option<&'static str>,
    /// Whether nothing more is read from this connection.
    pub(crate) is_last: bool,
}

impl Refusal {
    pub(crate) fn new(
        why: Refused,
        message: impl Into<Cow<'static, str>>,
        what: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self { why, message: message.into(), what: what.into(), allow: None, is_last: false }
    }

    pub(crate) fn answer(&self) -> Answer {
        let mut answer = refusal(self.why, &self.message);
        if let Some(methods) = self.allow {
            answer.headers_mut().insert(header::ALLOW, HeaderValue::from_static(methods));
        }
        if self.is_last {
            answer.headers_mut().insert(header::CONNECTION, CLOSE);
        }
        answer
    }
}

/// The status of a refusal, and the `code` in its body.
pub(crate) fn status(why: Refused) -> (StatusCode, &'static str) {
    match why {
        Refused::User => (StatusCode::FORBIDDEN, "ForeignUser"),
        Refused::Executable => (StatusCode::FORBIDDEN, "ForeignProgram"),
        Refused::Host => (StatusCode::FORBIDDEN, "ForeignHost"),
        Refused::Forwarded => (StatusCode::FORBIDDEN, "Forwarded"),
        Refused::Browser => (StatusCode::FORBIDDEN, "Browser"),
        Refused::Token | Refused::ImdsToken => (StatusCode::UNAUTHORIZED, "Unauthorized"),
        Refused::Method => (StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed"),
        Refused::NotFound => (StatusCode::NOT_FOUND, "NotFound"),
        Refused::Malformed => (StatusCode::BAD_REQUEST, "BadRequest"),
        Refused::Crowded => (StatusCode::SERVICE_UNAVAILABLE, "Crowded"),
        Refused::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "Unavailable"),
    }
}

/// A refusal as `{"code", "message"}`, which is how SDKs read one.
pub fn refusal(why: Refused, message: &str) -> Answer {
    let (status, code) = status(why);
    respond(status, JSON, Bytes::from(refusal_body(code, message)))
}

pub(crate) fn refusal_body(code: &str, message: &str) -> Vec<u8> {
    #[derive(Serialize)]
    struct Body<'a> {
        code: &'a str,
        message: &'a str,
    }
    serde_json::to_vec(&Body { code, message }).expect("two texts, which JSON can hold")
}

/// An answer of JSON that holds a secret.
///
/// Its buffer is handed to hyper as it is, never copied by it (it writes headers and body side by side, `writev`), and
/// wiped once the last part of it is with the kernel. What cannot be wiped: the kernel's socket buffers; and the request's
/// headers, which hyper reads into a buffer of its own.
pub(crate) fn secret_json(body: Bytes) -> Answer {
    respond(StatusCode::OK, JSON, body)
}

/// An answer of plain text that may be a secret.
pub(crate) fn text(body: Zeroizing<String>) -> Answer {
    respond(StatusCode::OK, TEXT, Bytes::from_owner(body))
}

/// The headers that every answer has. None of them lets another origin's page read it.
fn respond(status: StatusCode, content_type: HeaderValue, body: Bytes) -> Answer {
    const EVERY: [(HeaderName, HeaderValue); 2] =
        [(header::CACHE_CONTROL, NO_STORE), (header::X_CONTENT_TYPE_OPTIONS, NO_SNIFF)];
    let mut headers = HeaderMap::with_capacity(8);
    headers.insert(header::CONTENT_TYPE, content_type);
    headers.extend(EVERY);
    let mut answer = Response::new(Full::new(body));
    *answer.status_mut() = status;
    *answer.headers_mut() = headers;
    answer
}
