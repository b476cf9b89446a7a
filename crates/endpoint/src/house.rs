//! Who is connected, and who has to leave for somebody else.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::oneshot;
use tokio::task::{AbortHandle, Id, JoinError, JoinSet};
use tokio::time::{Instant, timeout_at};

use crate::caller::{Stranger, own_uid};
use crate::connection::turn_away;
use crate::door::Door;
use crate::pace::Stage;
use crate::server::{Host, Limits};
use crate::table::Refused;

/// How many strangers are told that they are turned away; more of them are just cut off.
const STRANGERS_MAX: usize = 16;

/// Everybody who is connected.
pub(crate) struct House<H> {
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

impl<H: Host> House<H> {
    pub(crate) fn new(handler: Arc<H>, limits: Limits) -> Self {
        let (guests, strangers) = (JoinSet::new(), JoinSet::new());
        let known = HashMap::new();
        Self { handler, limits, own_uid: own_uid(), guests, known, arrivals: 0, strangers }
    }

    /// Lets somebody in, or not.
    pub(crate) fn receive<D: Door>(&mut self, door: &mut D, stream: D::Stream) {
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
        let limits = self.limits.clone();
        let conversation = self.handler.converse(stream, caller, Arc::clone(&stage), limits, told);
        let task = self.guests.spawn(conversation);
        self.arrivals += 1;
        let guest = Guest { arrival: self.arrivals, stage, task, _leave: leave };
        self.known.insert(guest.task.id(), guest);
    }

    fn refuse<S>(&mut self, stranger: Stranger, stream: S)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
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
    pub(crate) fn make_room(&mut self) -> bool {
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

    /// Waits until somebody has left; for ever, if nobody is there.
    pub(crate) async fn somebody_left(&mut self) {
        match self.guests.join_next_with_id().await {
            Some(left) => {
                let id = left.map_or_else(|error: JoinError| error.id(), |(id, ())| id);
                self.known.remove(&id);
            }
            None => std::future::pending().await,
        }
    }

    /// Everybody may finish until then.
    pub(crate) async fn empty(mut self, until: Instant) {
        self.known.clear();
        let leaving = async { while self.guests.join_next().await.is_some() {} };
        if timeout_at(until, leaving).await.is_err() {
            self.guests.shutdown().await;
        }
    }
}
