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
    #[error("the method CONNECT is off: no profile has proxy_connect = true")]
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
    // The target is an authority and nothing else.
    let is_plain = head.uri.scheme().is_none() && head.uri.path().is_empty();
    let name = head.uri.authority().filter(|_| is_plain).and_then(host::parse);
    let name = name.ok_or(Turned::Target)?;
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
            Self::Off => StatusCode::METHOD_NOT_ALLOWED,
            Self::Target | Self::Host => StatusCode::FORBIDDEN,
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

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
    use tokio::net::TcpListener;

    use super::*;
    use crate::proxy::connect::{Authority, Kept};

    fn connecting(tunnels_others: bool) -> Connecting {
        let kept = Kept::make(Timestamp::UNIX_EPOCH).expect("made");
        let authority = Arc::new(Authority::load(&kept).expect("one"));
        let (profiles, services) = Default::default();
        Connecting { authority, profiles, services, endpoint: None, tunnels_others }
    }

    async fn asked(way: Option<&Connecting>, target: &str) -> Result<&'static str, Turned> {
        let request = http::Request::builder().method("CONNECT").uri(target).body(());
        let head = request.expect("a request").into_parts().0;
        decide(way, &head).await.map(|next| match next {
            Next::Named(_) => "named",
            Next::Blind(_) => "blind",
        })
    }

    #[tokio::test]
    async fn others_are_passed_on_only_if_a_person_wants_it_and_never_to_this_machine() {
        let (strict, open) = (connecting(false), connecting(true));
        let aws = "s3.amazonaws.com:443";
        assert_eq!(asked(None, aws).await, Err(Turned::Off));
        assert_eq!(asked(Some(&strict), aws).await, Ok("named"));
        assert_eq!(asked(Some(&open), aws).await, Ok("named"));
        let others =
            ["nobody.invalid:443", "x.elb.amazonaws.com:443", "x.lambda-url.eu-west-1.on.aws:443"];
        for other in others {
            assert_eq!(asked(Some(&strict), other).await, Err(Turned::Host), "{other}");
        }
        assert_eq!(asked(Some(&open), "nobody.invalid:443").await, Err(Turned::Unreachable));
        // A resolver may know it as 127.0.0.1.
        assert_eq!(asked(Some(&open), "a.localhost:443").await, Err(Turned::Unreachable));
        for target in ["127.0.0.1:443", "example.com:22"] {
            assert_eq!(asked(Some(&open), target).await, Err(Turned::Target), "{target}");
        }
    }

    #[tokio::test]
    async fn what_is_passed_on_is_the_same_either_way() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let other = TcpStream::connect(listener.local_addr().expect("one")).await.expect("taken");
        let (mut server, _) = listener.accept().await.expect("somebody");
        let (mut program, ours) = duplex(16);
        let passing = tokio::spawn(pass_on(ours, other));
        program.write_all(b"to the server").await.expect("taken");
        let mut text = [0; 13];
        server.read_exact(&mut text).await.expect("all of it");
        assert_eq!(&text, b"to the server");
        server.write_all(b"and back").await.expect("taken");
        server.shutdown().await.expect("it ends");
        let mut back = [0; 8];
        program.read_exact(&mut back).await.expect("all of it");
        assert_eq!(&back, b"and back");
        drop(program);
        passing.await.expect("it ends with them");
    }
}
