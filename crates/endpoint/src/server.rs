//! Accepting connections: from whom, and how many.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpSocket, UnixListener};
use tokio::sync::oneshot;
use tokio::time::sleep;

use crate::answer::Answer;
use crate::connection::converse;
use crate::door::{Door, Tcp, Unix};
use crate::drain::Drain;
use crate::house::House;
use crate::pace::Stage;
use crate::table::{Caller, Refused};

/// How much at once, and for how long.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Connections at a time. One more takes the place of the oldest that asks for nothing.
    pub connections_max: usize,
    /// The head of a request.
    pub header_bytes_max: usize,
    /// From accepting a connection, or from the first byte of a later request, until its head is there.
    pub header_read: Duration,
    /// Between an answer and the next request.
    pub idle: Duration,
    /// For making an answer (with reading a body, if it takes one), and then for its being taken.
    pub request: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: 512,
            header_bytes_max: 16 * 1024,
            header_read: Duration::from_secs(10),
            // Longer than SDKs keep a connection, so that it is mostly they who close.
            idle: Duration::from_secs(75),
            request: Duration::from_secs(10),
        }
    }
}

/// What answers requests.
pub trait Handler: Send + Sync + 'static {
    /// Answers one.
    fn handle(
        &self,
        caller: &Caller,
        request: http::Request<hyper::body::Incoming>,
    ) -> impl Future<Output = Answer> + Send;

    /// Somebody was turned away before a request was read. Called for each connection, however many there are.
    fn refused(&self, why: Refused, caller: Option<&Caller>, what: &str);
}

/// Whoever talks with those who come in: over HTTP/1.1 with answers that are made in memory, or as the proxy does.
pub(crate) trait Host: Send + Sync + 'static {
    /// Answers one who may come in until it leaves, its time is over, or `leave` says so (or is dropped).
    fn converse<S>(
        &self,
        stream: S,
        caller: Caller,
        stage: Arc<Stage>,
        limits: Limits,
        leave: oneshot::Receiver<()>,
    ) -> impl Future<Output = ()> + Send + 'static
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// Somebody was turned away before a request was read.
    fn refused(&self, why: Refused, caller: Option<&Caller>, what: &str);
}

/// Talks for a [`Handler`].
struct Plain<H>(Arc<H>);

impl<H: Handler> Host for Plain<H> {
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
        converse(stream, caller, Arc::clone(&self.0), stage, limits, leave)
    }

    fn refused(&self, why: Refused, caller: Option<&Caller>, what: &str) {
        self.0.refused(why, caller, what);
    }
}

/// How many connections may wait to be accepted. With 128, which is the standard library's choice, a burst of them makes the
/// kernel drop the next one's first packet, which is sent again a second later.
const BACKLOG: u32 = 1024;

/// A listener at a loopback address for [`serve_tcp`]; port 0 takes a free one. Needs a runtime.
pub fn listen_tcp(address: SocketAddr) -> io::Result<TcpListener> {
    if !address.ip().is_loopback() {
        let message =
            format!("{address} can be reached from other machines; hint: 127.0.0.1 cannot");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // A port whose last connections have not timed out yet is free all the same.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Answers on a loopback listener until `drain` is told. Returns when the last connection has ended, or that deadline has
/// passed.
pub async fn serve_tcp<H: Handler>(
    listener: TcpListener,
    handler: Arc<H>,
    limits: Limits,
    drain: Drain,
) {
    serve(Tcp::new(listener), Arc::new(Plain(handler)), limits, drain).await;
}

/// The same on a Unix socket.
pub async fn serve_unix<H: Handler>(
    listener: UnixListener,
    handler: Arc<H>,
    limits: Limits,
    drain: Drain,
) {
    serve(Unix::new(listener), Arc::new(Plain(handler)), limits, drain).await;
}

/// How long nothing is accepted when the system has no room for another connection: at first, and at most.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(1));

pub(crate) async fn serve<D: Door, H: Host>(
    mut door: D,
    handler: Arc<H>,
    limits: Limits,
    mut drain: Drain,
) {
    let mut house = House::new(Arc::clone(&handler), limits);
    let mut back_off = BACK_OFF.0;
    let until = loop {
        let accepted = tokio::select! {
            biased;
            until = drain.told() => break until,
            () = house.somebody_left() => continue,
            accepted = door.accept() => accepted,
        };
        match accepted {
            Ok(stream) => {
                back_off = BACK_OFF.0;
                house.receive(&mut door, stream);
            }
            Err(error) if is_of_one_connection(&error) => {}
            // Out of file descriptors or of memory: accepting again at once would fail again.
            Err(error) => {
                let what = format!("no connection could be accepted: {error}");
                handler.refused(Refused::Crowded, None, &what);
                house.make_room();
                tokio::select! {
                    until = drain.told() => break until,
                    () = sleep(back_off) => back_off = (back_off * 2).min(BACK_OFF.1),
                }
            }
        }
    };
    // Who was already waiting would be cut off when the listener closes.
    for stream in door.waiting() {
        house.receive(&mut door, stream);
    }
    drop(door);
    house.empty(until).await;
}

/// Errors of `accept` that tell of the connection, not of the listener (accept(2)).
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

#[cfg(test)]
mod tests;
