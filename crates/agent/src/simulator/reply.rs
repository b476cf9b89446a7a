//! Replies as HTTP responses, in the words of the protocol that was spoken.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode};
use hyper::body::{Body, Frame, SizeHint};
use serde_json::json;

use super::answer::{Answer, Document};
use super::message::{ApiError, Call, Protocol, Reply, Request};
use super::xml;

/// The response to a request, with a body made by `send`.
pub(super) fn response(
    request: &Request,
    reply: Reply,
    send: impl FnOnce(Bytes) -> ReplyBody,
) -> Response<ReplyBody> {
    let id = reply.request_id.clone();
    let date = reply.server_time.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
    let document = match reply.result {
        Ok(Answer::Document(document)) => document,
        _ => worded(request, &reply),
    };
    let id_name = match request.protocol() {
        Protocol::S3 => "x-amz-request-id",
        Protocol::Query | Protocol::Json => "x-amzn-requestid",
    };
    let mut response = Response::new(send(document.body));
    *response.status_mut() =
        StatusCode::from_u16(document.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let standard = [("date".to_owned(), date), (id_name.to_owned(), id)];
    for (name, value) in document.headers.into_iter().chain(standard) {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

fn worded(request: &Request, reply: &Reply) -> Document {
    match (&reply.result, request.protocol()) {
        (Err(error), Protocol::S3) => s3_error(request, error, &reply.request_id),
        (Err(error), Protocol::Json) => {
            let body = json!({ "__type": format!("com.amazon.coral.service#{}", error.code),
                "message": error.message });
            Document { status: error.status, ..Document::json(&body) }
        }
        (result, _) => {
            let status = result.as_ref().map_or_else(|error| error.status, |_| 200);
            let text = xml::body(request, reply);
            Document::new(status, text).with("content-type", "text/xml")
        }
    }
}

fn s3_error(request: &Request, error: &ApiError, id: &str) -> Document {
    let target = match &request.call {
        Call::S3(call) => format!("/{}", call.target()),
        Call::Query | Call::Dynamodb(_) => String::new(),
    };
    let texts: String = [
        ("Code", error.code.as_str()),
        ("Message", error.message.as_str()),
        ("Resource", &target),
        ("RequestId", id),
    ]
    .into_iter()
    .map(|(name, text)| xml::element(name, text))
    .collect();
    let text = format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error>{texts}</Error>");
    Document { status: error.status, ..Document::xml(text) }
}

/// A body that may break off in the middle.
pub(super) struct ReplyBody {
    promised: u64,
    rest: Option<Bytes>,
    /// Before breaking off, hyper gets a turn in which to send what it has.
    breaks: Option<Turn>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Turn {
    Flush,
    Break,
}

impl ReplyBody {
    pub(super) fn whole(bytes: Bytes) -> Self {
        Self { promised: bytes.len() as u64, rest: Some(bytes), breaks: None }
    }

    pub(super) fn half(bytes: Bytes) -> Self {
        let promised = bytes.len() as u64;
        let half = bytes.slice(..bytes.len() / 2);
        Self { promised, rest: Some(half), breaks: Some(Turn::Flush) }
    }
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if let Some(bytes) = self.rest.take() {
            return Poll::Ready(Some(Ok(Frame::data(bytes))));
        }
        match self.breaks {
            None => Poll::Ready(None),
            Some(Turn::Flush) => {
                self.breaks = Some(Turn::Break);
                context.waker().wake_by_ref();
                Poll::Pending
            }
            Some(Turn::Break) => Poll::Ready(Some(Err(io::Error::other("truncated, as scripted")))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_none() && self.breaks.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.promised)
    }
}
