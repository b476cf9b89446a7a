//! Who comes in at the proxy's port: HTTP/1.1, or HTTP/2 without TLS, told apart by their first bytes.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::forward::{Download, Proxy};
use super::keys::Keys;
use super::pool::Broken;
use crate::door::Tcp;
use crate::drain::Drain;
use crate::pace::{Paced, Stage};
use crate::server::{Host, Limits, serve};
use crate::table::{Caller, Refused};

/// How long a connection that has not asked for anything may still do so when the server drains.
const FRESH_GRACE: Duration = Duration::from_millis(250);

/// How much at once, and for how long, unless said otherwise. Bodies may take as long as they like, but not stand still.
pub fn limits() -> Limits {
    let minute = Duration::from_secs(60);
    Limits { header_bytes_max: 64 * 1024, request: minute, ..Limits::default() }
}

/// Answers on a loopback listener until `drain` is told. Returns when the last connection has ended, or that deadline has
/// passed.
pub async fn serve_proxy<K: Keys>(
    listener: TcpListener,
    proxy: Arc<Proxy<K>>,
    limits: Limits,
    drain: Drain,
) {
    serve(Tcp::new(listener), Arc::new(Port(proxy)), limits, drain).await;
}

struct Port<K>(Arc<Proxy<K>>);

impl<K: Keys> Host for Port<K> {
    fn converse<S>(
        &self,
        stream: S,
        caller: Caller,
        stage: Arc<Stage>,
        limits: Limits,
        leave: oneshot::Receiver<()>,
    ) -> impl Future<Output = ()> + Send + 'static
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let link =
            Link { proxy: Arc::clone(&self.0), caller, stage, under_way: AtomicUsize::new(0) };
        converse(stream, Arc::new(link), limits, leave)
    }

    fn refused(&self, why: Refused, caller: Option<&Caller>, what: &str) {
        self.0.keys().refused(why, caller, what);
    }
}

/// What the requests of a connection share.
struct Link<K> {
    proxy: Arc<Proxy<K>>,
    caller: Caller,
    stage: Arc<Stage>,
    /// Requests whose answer is not made yet, whole: more than one over HTTP/2.
    under_way: AtomicUsize,
}

async fn converse<S, K>(stream: S, link: Arc<Link<K>>, limits: Limits, leave: oneshot::Receiver<()>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    K: Keys,
{
    let header_bytes_max = limits.header_bytes_max;
    let stage = Arc::clone(&link.stage);
    let paced = TokioIo::new(Paced::new(stream, Arc::clone(&stage), limits));
    let service = service_fn(move |request| respond(Arc::clone(&link), request));
    let mut server = auto::Builder::new(TokioExecutor::new());
    // The times are kept by `Paced`, hence no timer here.
    server.http1().max_buf_size(header_bytes_max);
    server.http2().max_header_list_size(u32::try_from(header_bytes_max).unwrap_or(u32::MAX));
    let mut conversation = std::pin::pin!(server.serve_connection(paced, service));
    tokio::select! {
        biased;
        _ = leave => {
            let grace = if stage.is_fresh() { FRESH_GRACE } else { Duration::ZERO };
            if timeout(grace, conversation.as_mut()).await.is_err() && !stage.close_fresh() {
                conversation.as_mut().graceful_shutdown();
                let _ = conversation.await;
            }
        }
        // It hung up, or was no client: either is its own affair.
        _ = conversation.as_mut() => {}
    }
}

async fn respond<K: Keys>(
    link: Arc<Link<K>>,
    request: Request<Incoming>,
) -> io::Result<Response<UnderWay<K>>> {
    if !link.stage.begin() {
        return Err(io::Error::other("closed to make room"));
    }
    link.under_way.fetch_add(1, Ordering::AcqRel);
    let guard = Guard(Arc::clone(&link));
    let answer = link.proxy.handle(&link.caller, request).await;
    Ok(answer.map(|body| UnderWay { body, _guard: guard }))
}

/// Counts a request until the last of its answer is with the connection.
struct Guard<K>(Arc<Link<K>>);

impl<K> Drop for Guard<K> {
    fn drop(&mut self) {
        if self.0.under_way.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.stage.answered();
        }
    }
}

/// The body of an answer.
struct UnderWay<K> {
    body: Download,
    _guard: Guard<K>,
}

impl<K> Body for UnderWay<K> {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
