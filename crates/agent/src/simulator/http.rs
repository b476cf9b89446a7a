//! The HTTP front: a server that the AWS SDKs take for IAM and STS.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::{HeaderValue, Response, StatusCode, header};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use jiff::Timestamp;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

use super::control::Command;
use super::front;
use super::message::Delivery;
use super::reply::{self, ReplyBody};
use super::state::Simulator;

/// A simulator that several fronts share.
pub type Shared = Arc<Mutex<Simulator>>;

/// Tells the time; a simulated one in tests.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// Where orders to the simulator itself are posted.
pub const CONTROL_PATH: &str = "/_simulator";

/// Takes the simulator, also after a panic elsewhere: each call leaves it whole.
pub(super) fn lock(simulator: &Shared) -> MutexGuard<'_, Simulator> {
    simulator.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A running server. It stops, and drops its connections, when this is dropped.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    accepting: JoinHandle<()>,
}

impl Server {
    /// Listens at a loopback address; port 0 takes a free one.
    pub async fn start(
        simulator: Shared,
        clock: impl Fn() -> Timestamp + Send + Sync + 'static,
        listen: SocketAddr,
    ) -> io::Result<Self> {
        if !listen.ip().is_loopback() {
            // Whoever reaches the control route is given secrets.
            let message = "the simulator listens on loopback addresses only";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        let listener = TcpListener::bind(listen).await?;
        let address = listener.local_addr()?;
        let clock: Clock = Arc::new(clock);
        let accepting = tokio::spawn(accept(listener, simulator, clock));
        Ok(Self { address, accepting })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.address
    }

    /// The `endpoint_url` for SDKs.
    pub fn endpoint_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Stops, and waits until it has.
    pub async fn stop(mut self) {
        self.accepting.abort();
        // Being aborted is the error that is wanted here.
        let _ = (&mut self.accepting).await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, simulator: Shared, clock: Clock) {
    // Dropped with this task, and all connections with it.
    let mut connections = JoinSet::new();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                connections.spawn(converse(stream, simulator.clone(), clock.clone()));
            }
            // Out of file descriptors, say: others may finish meanwhile.
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
        while connections.try_join_next().is_some() {}
    }
}

async fn converse(stream: TcpStream, simulator: Shared, clock: Clock) {
    let service = service_fn(move |request| answer(request, simulator.clone(), clock.clone()));
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new());
    // Errors here are the faults that were asked for, and clients that went away.
    let _ = server.serve_connection(TokioIo::new(stream), service).await;
}

/// An error makes hyper drop the connection without an answer.
async fn answer(
    request: http::Request<Incoming>,
    simulator: Shared,
    clock: Clock,
) -> io::Result<Response<ReplyBody>> {
    let (parts, body) = request.into_parts();
    if parts.uri.path() == CONTROL_PATH {
        let body = front::whole(body, front::BODY_LIMIT).await?;
        return Ok(control(&simulator, clock(), &body));
    }
    let request = front::read(&parts, body, &simulator, &clock).await?;
    let reply = lock(&simulator).handle(clock(), &request);
    match reply.delivery {
        Delivery::Sent => Ok(reply::response(&request, reply, ReplyBody::whole)),
        Delivery::Truncated => Ok(reply::response(&request, reply, ReplyBody::half)),
        Delivery::Dropped => Err(io::Error::other("dropped, as scripted")),
        Delivery::Hung => {
            let Ok(never) = std::future::pending::<Result<_, Infallible>>().await;
            never
        }
    }
}

fn control(simulator: &Shared, now: Timestamp, body: &[u8]) -> Response<ReplyBody> {
    let done = serde_json::from_slice::<Command>(body)
        .map_err(|error| error.to_string())
        .and_then(|command| lock(simulator).control(now, command));
    let (status, value) = match done {
        Ok(value) => (StatusCode::OK, value),
        Err(error) => (StatusCode::BAD_REQUEST, serde_json::json!({ "error": error })),
    };
    let mut response = Response::new(ReplyBody::whole(value.to_string().into()));
    *response.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}
