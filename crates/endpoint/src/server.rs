//! Accepting connections: from whom, and how many.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, UnixListener};
use tokio::sync::oneshot;
use tokio::task::{AbortHandle, Id, JoinSet};
use tokio::time::{Instant, sleep, timeout_at};

use crate::answer::Answer;
use crate::caller::{Stranger, own_uid};
use crate::connection::{converse, turn_away};
use crate::door::{Door, Tcp, Unix};
use crate::drain::Drain;
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

/// Answers on a loopback listener until `drain` is told. Returns when the last connection has ended, or that deadline has
/// passed.
pub async fn serve_tcp<H: Handler>(
    listener: TcpListener,
    handler: Arc<H>,
    limits: Limits,
    drain: Drain,
) {
    serve(Tcp::new(listener), handler, limits, drain).await;
}

/// The same on a Unix socket.
pub async fn serve_unix<H: Handler>(
    listener: UnixListener,
    handler: Arc<H>,
    limits: Limits,
    drain: Drain,
) {
    serve(Unix::new(listener), handler, limits, drain).await;
}

/// How many strangers are told that they are turned away; more of them are just cut off.
const STRANGERS_MAX: usize = 16;

/// How long nothing is accepted when the system has no room for another connection: at first, and at most.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(1));

async fn serve<D: Door, H: Handler>(
    mut door: D,
    handler: Arc<H>,
    limits: Limits,
    mut drain: Drain,
) {
    let mut house = House::new(handler, limits);
    let mut back_off = BACK_OFF.0;
    let until = loop {
        let accepted = tokio::select! {
            biased;
            until = drain.told() => break until,
            Some(ended) = house.guests.join_next_with_id() => {
                house.forget(ended.map_or_else(|error| error.id(), |(id, ())| id));
                continue;
            }
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
                house.handler.refused(Refused::Crowded, None, &what);
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

/// Everybody who is connected.
struct House<H> {
    handler: Arc<H>,
    limits: Limits,
    own_uid: u32,
    guests: JoinSet<()>,
    known: HashMap<Id, Guest>,
    arrivals: u64,
    strangers: JoinSet<()>,
}

/// One connection.
struct Guest {
    /// Counts arrivals.
    arrival: u64,
    stage: Arc<Stage>,
    task: AbortHandle,
    /// Dropped, it asks the guest to leave.
    _leave: oneshot::Sender<()>,
}

impl<H: Handler> House<H> {
    fn new(handler: Arc<H>, limits: Limits) -> Self {
        let (guests, strangers) = (JoinSet::new(), JoinSet::new());
        let known = HashMap::new();
        Self { handler, limits, own_uid: own_uid(), guests, known, arrivals: 0, strangers }
    }

    /// Lets somebody in, or not.
    fn receive<D: Door>(&mut self, door: &mut D, stream: D::Stream) {
        let caller = match door.caller(&stream, self.own_uid) {
            Ok(caller) => caller,
            Err(stranger) => return self.refuse(stranger, stream),
        };
        if self.known.len() >= self.limits.connections_max && !self.make_room() {
            let what = "every connection there may be has a request";
            return self.handler.refused(Refused::Crowded, Some(&caller), what);
        }
        let stage = Arc::new(Stage::new());
        let (leave, told) = oneshot::channel();
        let (handler, limits) = (Arc::clone(&self.handler), self.limits.clone());
        let conversation = converse(stream, caller, handler, Arc::clone(&stage), limits, told);
        let task = self.guests.spawn(conversation);
        self.arrivals += 1;
        let guest = Guest { arrival: self.arrivals, stage, task, _leave: leave };
        self.known.insert(guest.task.id(), guest);
    }

    fn refuse<S>(&mut self, stranger: Stranger, stream: S)
    where
        S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    {
        let (caller, what) = match stranger {
            Stranger::Gone => return,
            Stranger::Other(caller) => (Some(caller), "a connection of another user".to_owned()),
            Stranger::Unknown(error) => {
                (None, format!("whose connection it is is unknown: {error}"))
            }
        };
        self.handler.refused(Refused::User, caller.as_ref(), &what);
        while self.strangers.try_join_next().is_some() {}
        if self.strangers.len() < STRANGERS_MAX {
            self.strangers.spawn(turn_away(stream));
        }
    }

    /// Closes the oldest connection that has sent no request, or else the oldest that waits for its next one.
    fn make_room(&mut self) -> bool {
        let oldest = |is: fn(&Stage) -> bool| {
            let guests = self.known.values().filter(|guest| is(&guest.stage));
            guests.min_by_key(|guest| guest.arrival)
        };
        // It may have sent something just now; then it stays.
        let closed = oldest(Stage::is_fresh)
            .filter(|guest| guest.stage.close_fresh())
            .or_else(|| oldest(Stage::is_idle).filter(|guest| guest.stage.close_idle()));
        let Some(closed) = closed.map(|guest| guest.task.clone()) else { return false };
        closed.abort();
        self.known.remove(&closed.id());
        let what = "a connection without a request was closed to make room";
        self.handler.refused(Refused::Crowded, None, what);
        true
    }

    fn forget(&mut self, id: Id) {
        self.known.remove(&id);
    }

    /// Everybody may finish until then.
    async fn empty(mut self, until: Instant) {
        self.known.clear();
        let leaving = async { while self.guests.join_next().await.is_some() {} };
        if timeout_at(until, leaving).await.is_err() {
            self.guests.shutdown().await;
        }
    }
}
