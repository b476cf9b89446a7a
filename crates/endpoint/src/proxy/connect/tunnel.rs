//! `CONNECT`: who may go where, and connections that are passed on unseen.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::ext::ReasonPhrase;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf, copy_bidirectional};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use super::{Connecting, host};
use crate::proxy::forward::Download;
use crate::proxy::pool::{CONNECT_TIMEOUT, is_elsewhere};

/// A connection that is passed on ends when nothing has come for as long, or up to twice that.
const SILENCE: Duration = Duration::from_secs(300);

/// What becomes of a connection.
#[derive(Debug)]
pub(in crate::proxy) enum Next {
    /// Its TLS ends here, for a host of AWS's.
    Named(Arc<str>),
    /// It is passed on to another server.
    Blind(TcpStream),
}

/// Why a connection leads nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(in crate::proxy) enum Turned {
    /// Nobody asked for this way.
    #[error("CONNECT is off: no profile has proxy_connect = true")]
    Off,
    /// Another port, an address, a user's name, or no name at all.
    #[error("only port 443 of a host's name is connected to")]
    Target,
    /// Not AWS's, or a customer's.
    #[error(
        "the host is not a service of AWS: put it into NO_PROXY, or set proxy_other_hosts = tunnel"
    )]
    Host,
    /// It has a body.
    #[error("a CONNECT request has no body")]
    Body,
    /// Nobody answers there, or it is this machine.
    #[error("the host was not reached")]
    Unreachable,
}

/// Decides where a `CONNECT` leads.
pub(in crate::proxy) async fn decide(
    connecting: Option<&Connecting>,
    head: &Parts,
) -> Result<Next, Turned> {
    let connecting = connecting.ok_or(Turned::Off)?;
    let has_body = head.headers.contains_key(header::TRANSFER_ENCODING)
        || head.headers.get(header::CONTENT_LENGTH).is_some_and(|length| length != "0");
    if has_body {
        return Err(Turned::Body);
    }
    let name = head.uri.authority().and_then(host::parse).ok_or(Turned::Target)?;
    match (connecting.takes(&name), connecting.tunnels_others) {
        (true, _) => Ok(Next::Named(name.into())),
        (false, true) => Ok(Next::Blind(reach(&name).await.map_err(|_| Turned::Unreachable)?)),
        (false, false) => Err(Turned::Host),
    }
}

/// Connects to another machine. A name that leads to this one leads nowhere.
async fn reach(name: &str) -> io::Result<TcpStream> {
    let reaching = async {
        let found = tokio::net::lookup_host((name, host::PORT)).await?;
        let mut failed = io::Error::other("the name leads to no address of another machine");
        for at in found.filter(|at| is_elsewhere(at.ip())) {
            match TcpStream::connect(at).await {
                Ok(stream) => return Ok(stream),
                Err(error) => failed = error,
            }
        }
        Err(failed)
    };
    timeout(CONNECT_TIMEOUT, reaching).await?
}

impl Turned {
    /// The answer. Many programs show no more than its first line.
    pub(in crate::proxy) fn answer(self) -> Response<Download> {
        let text = self.to_string();
        let mut answer = Response::new(
            Full::from(format!("{text}\n")).map_err(|never| match never {}).boxed_unsync(),
        );
        *answer.status_mut() = match self {
            Self::Body => StatusCode::BAD_REQUEST,
            Self::Unreachable => StatusCode::BAD_GATEWAY,
            Self::Off | Self::Target | Self::Host => StatusCode::FORBIDDEN,
        };
        if let Ok(reason) = ReasonPhrase::try_from(Bytes::from(text)) {
            answer.extensions_mut().insert(reason);
        }
        let headers = answer.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        answer
    }
}

/// Passes on what comes, either way, until one of them ends or both are silent.
pub(in crate::proxy) async fn pass_on<S>(stream: S, mut other: TcpStream)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let moved = Arc::new(AtomicBool::new(false));
    let mut watched = Watched { stream, moved: Arc::clone(&moved) };
    let silence = async {
        loop {
            sleep(SILENCE).await;
            if !moved.swap(false, Ordering::Relaxed) {
                return;
            }
        }
    };
    tokio::select! {
        // How it ended is the affair of both of them.
        _ = copy_bidirectional(&mut watched, &mut other) => {}
        () = silence => {}
    }
}

/// Notes that something came or went.
struct Watched<S> {
    stream: S,
    moved: Arc<AtomicBool>,
}

impl<S> Watched<S> {
    fn noted<T>(&self, poll: Poll<T>) -> Poll<T> {
        if poll.is_ready() {
            self.moved.store(true, Ordering::Relaxed);
        }
        poll
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let poll = Pin::new(&mut self.stream).poll_read(cx, buf);
        self.noted(poll)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.noted(poll)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
