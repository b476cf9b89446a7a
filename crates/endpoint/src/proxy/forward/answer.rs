//! Answers of AWS on their way back.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::response::Parts;
use http::{HeaderMap, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::time::timeout;

use super::Download;
use crate::proxy::error_body::{self, BYTES_MAX};
use crate::proxy::pool::Broken;
use crate::proxy::redact::Redaction;

/// How long an error's body may take; what came until then is looked at.
const ERROR_TIMEOUT: Duration = Duration::from_secs(10);

/// What is of one connection alone. `Alt-Svc` would lead a program past the proxy.
const DROPPED: [&str; 9] = [
    "alt-svc",
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// An answer that was looked at.
pub(super) struct Inspected {
    head: Parts,
    body: Seen,
    /// It says that AWS does not know the key.
    pub(super) is_unknown_key: bool,
    /// It refuses, and cannot say why: the answer to a `HEAD` has no body.
    pub(super) has_no_words: bool,
    /// Of errors.
    redaction: Option<Redaction>,
}

enum Seen {
    /// All of it: of errors, and of answers that hold credentials.
    Whole(Bytes),
    /// The beginning of one that is too long, and the rest; or nothing, and all of it.
    Stream(Bytes, Incoming),
}

impl Inspected {
    pub(super) fn status(&self) -> StatusCode {
        self.head.status
    }

    /// Head and body, if all of that was read; without what is of the connection to AWS.
    pub(super) fn whole(self) -> Option<(Parts, Bytes)> {
        let Seen::Whole(body) = self.body else { return None };
        Some((for_this_connection(self.head), body))
    }
}

/// Looks at an answer; of errors, at the body too, and of what holds credentials.
pub(super) async fn inspect(
    response: Response<Incoming>,
    is_head: bool,
    has_credentials: bool,
    redaction: Option<Redaction>,
) -> Inspected {
    let (head, mut body) = response.into_parts();
    if (redaction.is_none() && !has_credentials) || is_head {
        let has_no_words = is_head && head.status == StatusCode::FORBIDDEN;
        let seen = Seen::Stream(Bytes::new(), body);
        return Inspected { head, body: seen, is_unknown_key: false, has_no_words, redaction };
    }
    let mut read = BytesMut::new();
    let mut is_whole = false;
    let reading = async {
        while read.len() < BYTES_MAX {
            match body.frame().await {
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        read.extend_from_slice(&data);
                    }
                }
                Some(Err(_)) => return,
                None => {
                    is_whole = true;
                    return;
                }
            }
        }
    };
    let _ = timeout(ERROR_TIMEOUT, reading).await;
    let read = read.freeze();
    let may_be_the_key = matches!(head.status.as_u16(), 400 | 401 | 403);
    let is_unknown_key = may_be_the_key && error_body::is_of_the_key(&head.headers, &read);
    let body = if is_whole { Seen::Whole(read) } else { Seen::Stream(read, body) };
    Inspected { head, body, is_unknown_key, has_no_words: false, redaction }
}

/// The answer as the program gets it: without what is of the connection to AWS, and errors without what tells of the real
/// key.
pub(super) fn for_program(seen: Inspected) -> Response<Download> {
    let Inspected { head, body, redaction, .. } = seen;
    let mut head = for_this_connection(head);
    let body: Download = match body {
        Seen::Whole(mut bytes) => {
            if let Some(redaction) = &redaction {
                bytes = error_body::redact(&mut head.headers, bytes, redaction);
            }
            Full::new(bytes).map_err(|never| match never {}).boxed_unsync()
        }
        Seen::Stream(mut first, rest) => {
            if let Some(redaction) = &redaction {
                redaction.apply_to_headers(&mut head.headers);
                // Its length was told.
                first = redaction.apply(&first, true).map_or(first, Bytes::from);
            }
            Streamed { first, rest }.boxed_unsync()
        }
    };
    Response::from_parts(head, body)
}

pub(super) fn is_error(status: StatusCode) -> bool {
    status.is_client_error() || status.is_server_error()
}

fn for_this_connection(mut head: Parts) -> Parts {
    drop_hop_by_hop(&mut head.headers);
    head.version = http::Version::default();
    head.extensions = http::Extensions::new();
    head
}

pub(super) fn drop_hop_by_hop(headers: &mut HeaderMap) {
    // Most answers have none.
    if !headers.keys().any(|name| DROPPED.contains(&name.as_str())) {
        return;
    }
    let named: Vec<String> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|names| names.split(','))
        .map(|name| name.trim().to_ascii_lowercase())
        .collect();
    for name in named.iter().map(String::as_str).chain(DROPPED) {
        headers.remove(name);
    }
}

/// What was read already, and then the rest.
struct Streamed {
    first: Bytes,
    rest: Incoming,
}

impl Body for Streamed {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        if !self.first.is_empty() {
            let first = std::mem::take(&mut self.first);
            return Poll::Ready(Some(Ok(Frame::data(first))));
        }
        let frame = Pin::new(&mut self.rest).poll_frame(cx);
        frame.map(|frame| frame.map(|frame| frame.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_empty() && self.rest.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (first, rest) = (self.first.len() as u64, self.rest.size_hint());
        let mut hint = SizeHint::new();
        hint.set_lower(rest.lower() + first);
        if let Some(upper) = rest.upper() {
            hint.set_upper(upper + first);
        }
        hint
    }
}
