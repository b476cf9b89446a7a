//! Who comes in at the proxy's port: HTTP/1.1, HTTP/2 without TLS, TLS, or `CONNECT`, told apart by their first bytes.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::uri::Scheme;
use http::{Method, Request, Response, Version};
use http_body_util::{BodyExt, Empty};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::connect::stream::{Begun, Io};
use super::connect::tunnel::{self, Next};
use super::connect::{Way, host};
use super::forward::{Download, Proxy};
use super::keys::Keys;
use super::pool::Broken;
use crate::door::Tcp;
use crate::drain::Drain;
use crate::guard;
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
        let guest = Guest { proxy: Arc::clone(&self.0), caller, stage, limits };
        converse(stream, guest, Leave { told: leave, is_told: false })
    }

    fn refused(&self, why: Refused, caller: Option<&Caller>, what: &str) {
        self.0.keys().refused(why, caller, what);
    }
}

/// One connection, whatever it turns out to be.
struct Guest<K> {
    proxy: Arc<Proxy<K>>,
    caller: Caller,
    stage: Arc<Stage>,
    limits: Limits,
}

impl<K> Clone for Guest<K> {
    fn clone(&self) -> Self {
        Self {
            proxy: Arc::clone(&self.proxy),
            caller: self.caller.clone(),
            stage: Arc::clone(&self.stage),
            limits: self.limits.clone(),
        }
    }
}

/// Says when it is time to go; again and again.
struct Leave {
    told: oneshot::Receiver<()>,
    is_told: bool,
}

impl Leave {
    async fn told(&mut self) {
        if !self.is_told {
            // Dropped, it says the same.
            let _ = (&mut self.told).await;
            self.is_told = true;
        }
    }
}

async fn converse<S, K>(stream: S, guest: Guest<K>, mut leave: Leave)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    K: Keys,
{
    let Some(begun) = begin(stream, &guest, &mut leave).await else { return };
    let io: Option<Io> = match begun.is_tls() {
        true => secure(Box::new(begun), &guest, None).await,
        false => Some(Box::new(begun)),
    };
    let Some(io) = io else { return };
    let (io, host) = match talk(io, &guest, Way::Port, &mut leave).await {
        None => return,
        Some((io, Next::Blind(other))) => {
            if guest.stage.begin() {
                tunnel::pass_on(io, other).await;
            }
            return;
        }
        Some((io, Next::Named(host))) => (io, host),
    };
    if let Some(io) = secure(io, &guest, Some(&host)).await {
        talk(io, &guest, Way::Named(host), &mut leave).await;
    }
}

/// Waits for the first bytes, which tell what it is.
async fn begin<S, K>(stream: S, guest: &Guest<K>, leave: &mut Leave) -> Option<Begun<S>>
where
    S: AsyncRead + Unpin,
{
    let mut begun = std::pin::pin!(timeout(guest.limits.header_read, Begun::read(stream)));
    let begun = tokio::select! {
        biased;
        begun = begun.as_mut() => begun,
        () = leave.told() => timeout(FRESH_GRACE, begun).await.ok()?,
    };
    begun.ok()?.ok()
}

/// Ends TLS, as this machine or as a host of AWS's.
async fn secure<K: Keys>(io: Io, guest: &Guest<K>, host: Option<&str>) -> Option<Io> {
    let keys = guest.proxy.keys();
    let connecting = keys.connecting();
    let server = connecting.map(|connecting| connecting.authority.server(host, keys.now()));
    let trouble = match server {
        Some(Ok(server)) => {
            let handshake = TlsAcceptor::from(server).accept(io);
            match timeout(guest.limits.header_read, handshake).await {
                Ok(Ok(stream)) => return Some(Box::new(stream)),
                // Most of all: it does not trust us.
                Ok(Err(error)) => format!("TLS failed: {error}"),
                Err(_) => "TLS took too long".to_owned(),
            }
        }
        Some(Err(error)) => error.to_string(),
        None => "TLS is off: no profile has proxy_connect = true".to_owned(),
    };
    keys.refused(Refused::Malformed, Some(&guest.caller), &trouble);
    None
}

/// What the requests of a connection share.
struct Link<K> {
    proxy: Arc<Proxy<K>>,
    caller: Caller,
    stage: Arc<Stage>,
    way: Way,
    /// Requests whose answer is not made yet, whole: more than one over HTTP/2.
    under_way: AtomicUsize,
    /// What it goes on as, after `CONNECT`.
    next: Mutex<Option<(OnUpgrade, Next)>>,
}

/// Answers requests until there are no more; what it goes on as, if it asked for that.
async fn talk<K: Keys>(
    io: Io,
    guest: &Guest<K>,
    way: Way,
    leave: &mut Leave,
) -> Option<(Io, Next)> {
    let Guest { proxy, caller, stage, limits } = guest.clone();
    let header_bytes_max = limits.header_bytes_max;
    let paced = TokioIo::new(Paced::new(io, Arc::clone(&stage), limits));
    let (under_way, next) = (AtomicUsize::new(0), Mutex::default());
    let link = Arc::new(Link { proxy, caller, stage, way, under_way, next });
    let service = service_fn(|request| respond(Arc::clone(&link), request));
    let mut server = auto::Builder::new(TokioExecutor::new());
    // The times are kept by `Paced`, hence no timer here.
    server.http1().max_buf_size(header_bytes_max);
    server.http2().max_header_list_size(u32::try_from(header_bytes_max).unwrap_or(u32::MAX));
    let conversation = server.serve_connection_with_upgrades(paced, service);
    let mut conversation = std::pin::pin!(conversation);
    tokio::select! {
        biased;
        () = leave.told() => {
            let stage = &guest.stage;
            let grace = if stage.is_fresh() { FRESH_GRACE } else { Duration::ZERO };
            if timeout(grace, conversation.as_mut()).await.is_err() && !stage.close_fresh() {
                conversation.as_mut().graceful_shutdown();
                let _ = conversation.await;
            }
        }
        // It hung up, or was no client: either is its own affair.
        _ = conversation.as_mut() => {}
    }
    let (upgrade, next) = link.next.lock().unwrap_or_else(PoisonError::into_inner).take()?;
    let upgraded = upgrade.await.ok()?;
    let parts = auto::upgrade::downcast::<TokioIo<Paced<Io>>>(upgraded).ok()?;
    let io = parts.io.into_inner().into_inner();
    Some((Box::new(Begun::new(parts.read_buf, io)), next))
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
    let is_first = matches!(link.way, Way::Port) && request.version() < Version::HTTP_2;
    let answer = match is_first {
        true if request.method() == Method::CONNECT => connect(&link, request).await,
        true => match named(&link, &request) {
            Some(way) => link.proxy.handle(&link.caller, request, &way).await,
            None => link.proxy.handle(&link.caller, request, &link.way).await,
        },
        false => link.proxy.handle(&link.caller, request, &link.way).await,
    };
    Ok(answer.map(|body| UnderWay { body, _guard: guard }))
}

/// `HTTP_PROXY` and an endpoint of AWS's without TLS: the target is a URL. It goes out over TLS all the same.
fn named<K: Keys>(link: &Link<K>, request: &Request<Incoming>) -> Option<Way> {
    let uri = request.uri();
    let authority = uri.authority().filter(|_| uri.scheme() == Some(&Scheme::HTTP))?;
    let host = host::parse_plain(authority)?;
    let connecting = link.proxy.keys().connecting()?;
    connecting.takes(&host).then(|| Way::Named(host.into()))
}

async fn connect<K: Keys>(link: &Link<K>, mut request: Request<Incoming>) -> Response<Download> {
    let upgrade = hyper::upgrade::on(&mut request);
    let (head, _) = request.into_parts();
    let keys = link.proxy.keys();
    match tunnel::decide(keys.connecting().as_deref(), &head).await {
        Ok(next) => {
            let mut place = link.next.lock().unwrap_or_else(PoisonError::into_inner);
            *place = Some((upgrade, next));
            Response::new(Empty::new().map_err(|never| match never {}).boxed_unsync())
        }
        Err(why) => {
            let target = head.uri.authority().map(|authority| authority.as_str().as_bytes());
            let target = target.and_then(guard::tellable).unwrap_or("another host");
            keys.refused(Refused::Host, Some(&link.caller), &format!("CONNECT {target}: {why}"));
            why.answer()
        }
    }
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
