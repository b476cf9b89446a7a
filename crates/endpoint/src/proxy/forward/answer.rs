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
}

enum Seen {
    /// The body of an error, whole.
    Error(Bytes),
    /// The beginning of one that is too long, and the rest; or nothing, and all of it.
    Stream(Bytes, Incoming),
}

impl Inspected {
    pub(super) fn status(&self) -> StatusCode {
        self.head.status
    }
}

/// Looks at an answer; of errors, at the body too.
pub(super) async fn inspect(response: Response<Incoming>, is_head: bool) -> Inspected {
    let (head, mut body) = response.into_parts();
    let is_error = head.status.is_client_error();
    if !is_error || is_head {
        let has_no_words = is_head && head.status == StatusCode::FORBIDDEN;
        let seen = Seen::Stream(Bytes::new(), body);
        return Inspected { head, body: seen, is_unknown_key: false, has_no_words };
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
    let body = if is_whole { Seen::Error(read) } else { Seen::Stream(read, body) };
    Inspected { head, body, is_unknown_key, has_no_words: false }
}

/// The answer as the program gets it: without what is of the connection to AWS, and without the real key's id.
pub(super) fn for_program(seen: Inspected, real: &str, placeholder: &str) -> Response<Download> {
    let Inspected { mut head, body, .. } = seen;
    drop_hop_by_hop(&mut head.headers);
    head.version = http::Version::default();
    head.extensions = http::Extensions::new();
    let body: Download = match body {
        Seen::Error(bytes) => {
            let bytes = error_body::redact(&mut head.headers, bytes, real, placeholder);
            Full::new(bytes).map_err(|never| match never {}).boxed_unsync()
        }
        Seen::Stream(first, rest) => Streamed { first, rest }.boxed_unsync(),
    };
    Response::from_parts(head, body)
}

pub(super) fn drop_hop_by_hop(headers: &mut HeaderMap) {
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
