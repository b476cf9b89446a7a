//! One connection: requests are read, answered, and given up when their time is over.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::answer::{refusal, refusal_body, status};
use crate::pace::{Paced, Stage};
use crate::server::{Handler, Limits};
use crate::table::{Caller, Refused};

/// hyper's least buffer.
const BUFFER_BYTES_MIN: usize = 8192;

/// How long a connection that has not asked for anything may still do so when the server drains.
const FRESH_GRACE: Duration = Duration::from_millis(250);

/// How long a stranger has to read that it is turned away, and how much it may say meanwhile.
const STRANGER_GRACE: Duration = Duration::from_secs(1);
const STRANGER_BYTES_MAX: u64 = 16 * 1024;

/// What the requests of a connection share.
struct Link<H> {
    handler: Arc<H>,
    caller: Caller,
    stage: Arc<Stage>,
    limits: Limits,
}

/// Answers the requests of one connection, of a caller who may come in, until it ends. Only their number is unlimited.
pub async fn serve_one<S, H>(stream: S, caller: Caller, handler: Arc<H>, limits: Limits)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    H: Handler,
{
    let (_stay, leave) = oneshot::channel();
    converse(stream, caller, handler, Arc::new(Stage::new()), limits, leave).await;
}

/// Answers the requests of one caller until it leaves, its time is over, or `leave` says so (or is dropped).
pub(crate) async fn converse<S, H>(
    stream: S,
    caller: Caller,
    handler: Arc<H>,
    stage: Arc<Stage>,
    limits: Limits,
    leave: oneshot::Receiver<()>,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    H: Handler,
{
    let paced = TokioIo::new(Paced::new(stream, Arc::clone(&stage), limits.clone()));
    let link = Arc::new(Link { handler, caller, stage, limits });
    let service = service_fn(|request| respond(Arc::clone(&link), request));
    let mut server = http1::Builder::new();
    // The times are kept by `Paced`, hence no timer here.
    server
        .max_header_size(link.limits.header_bytes_max)
        .max_buf_size(link.limits.header_bytes_max.max(BUFFER_BYTES_MIN));
    let mut conversation = std::pin::pin!(server.serve_connection(paced, service));
    let ended = tokio::select! {
        biased;
        _ = leave => {
            // One that has just begun may have its first request on its way; hyper would close it without looking.
            let grace = if link.stage.is_fresh() { FRESH_GRACE } else { Duration::ZERO };
            match timeout(grace, conversation.as_mut()).await {
                Ok(ended) => ended,
                Err(_) if link.stage.close_fresh() => Ok(()),
                Err(_) => {
                    conversation.as_mut().graceful_shutdown();
                    conversation.await
                }
            }
        }
        ended = conversation.as_mut() => ended,
    };
    if let Err(error) = ended {
        account(&link, &error);
    }
}

async fn respond<H: Handler>(
    link: Arc<Link<H>>,
    request: http::Request<hyper::body::Incoming>,
) -> io::Result<crate::answer::Answer> {
    if !link.stage.begin() {
        return Err(io::Error::other("closed to make room"));
    }
    let answering = link.handler.handle(&link.caller, request);
    let answer = match timeout(link.limits.request, answering).await {
        Ok(answer) => answer,
        Err(_) => {
            let message = "the answer took too long";
            link.handler.refused(Refused::Unavailable, Some(&link.caller), message);
            let mut answer = refusal(Refused::Unavailable, message);
            // What is left of a body is not waited for.
            let close = http::HeaderValue::from_static("close");
            answer.headers_mut().insert(http::header::CONNECTION, close);
            answer
        }
    };
    link.stage.answered();
    Ok(answer)
}

/// Accounts for a connection that went wrong by its client's fault. hyper has answered 400, 414 or 431 if it could.
fn account<H: Handler>(link: &Link<H>, error: &hyper::Error) {
    let what = if error.is_parse_too_large() {
        "the head of a request was too long"
    } else if error.is_parse() {
        "this was not HTTP"
    } else if source_is_timeout(error) {
        "a request or the taking of an answer took too long"
    } else {
        // It hung up.
        return;
    };
    link.handler.refused(Refused::Malformed, Some(&link.caller), what);
}

fn source_is_timeout(error: &hyper::Error) -> bool {
    std::error::Error::source(error)
        .and_then(|source| source.downcast_ref::<io::Error>())
        .is_some_and(|error| error.kind() == io::ErrorKind::TimedOut)
}

/// Tells another user that it is one. What it sends is not looked at, only taken, so that it can read the answer before
/// the connection is reset.
pub(crate) async fn turn_away<S>(mut stream: S)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (status, code) = status(Refused::User);
    let body = refusal_body(code, "only programs of the user who runs the agent are answered");
    let mut answer = format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
         cache-control: no-store\r\nx-content-type-options: nosniff\r\nconnection: close\r\n\r\n",
        body.len()
    )
    .into_bytes();
    answer.extend_from_slice(&body);
    let turning = async {
        stream.write_all(&answer).await?;
        stream.shutdown().await?;
        let mut rest = stream.take(STRANGER_BYTES_MAX);
        tokio::io::copy(&mut rest, &mut tokio::io::sink()).await
    };
    // It may have hung up, or stay: either is its own affair.
    let _ = timeout(STRANGER_GRACE, turning).await;
}
