//! The program's body: in memory, so that it can be sent again, or waiting at the door until AWS has accepted the head.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::sync::oneshot;
use tokio::time::{Instant, Sleep, sleep, sleep_until};

use crate::proxy::payload::Payload;
use crate::proxy::payload::buffer::Buffered;
use crate::proxy::pool::Broken;
use crate::proxy::verify::Verified;

/// How long a program may send nothing in the middle of a body.
const STALL: Duration = Duration::from_secs(60);

/// The same in an event stream: as long as somebody speaks, and the other listens. AWS ends what is idle sooner.
pub(super) const STREAM_STALL: Duration = Duration::from_secs(960);

/// Without a word from AWS a body is sent after this; SDKs wait for a second, too.
const WAIT: Duration = Duration::from_secs(1);

/// The same where a word is sure to come, and another key is there: what is sent too early cannot be sent again. SDKs give
/// up a body that is not taken after a minute.
const LONG_WAIT: Duration = Duration::from_secs(20);

/// A body that is given up when nothing comes for too long.
#[derive(Debug)]
pub(super) struct Patient {
    body: Incoming,
    stall: Duration,
    /// When something came last.
    came: Instant,
    /// Set when something is waited for: most bodies are there.
    stalled: Option<Pin<Box<Sleep>>>,
}

impl Patient {
    pub(super) fn new(body: Incoming) -> Self {
        Self::with(body, STALL)
    }

    /// One that is given up after so long.
    pub(super) fn with(body: Incoming, stall: Duration) -> Self {
        Self { body, stall, came: Instant::now(), stalled: None }
    }

    /// Goes off when nothing has come for too long, and not for each piece anew.
    fn poll_stalled(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let until = self.came + self.stall;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep_until(until)));
        loop {
            ready!(stalled.as_mut().poll(cx));
            if until <= Instant::now() {
                return Poll::Ready(());
            }
            stalled.as_mut().reset(until);
        }
    }
}

impl Body for Patient {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let this = &mut *self;
        if let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(cx) {
            this.came = Instant::now();
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        ready!(this.poll_stalled(cx));
        Poll::Ready(Some(Err("the body stopped coming".into())))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// What a program sent behind the head.
#[derive(Debug)]
pub(super) enum Held {
    /// All of it.
    Whole(Buffered),
    /// It has not been read, as long as it is there.
    AtTheDoor { door: Arc<Mutex<Door>>, size: SizeHint },
}

/// Where a body waits.
#[derive(Debug)]
pub(super) struct Door {
    body: Option<Patient>,
    /// Which try may take it: the last one.
    turn: u64,
}

fn lock(door: &Mutex<Door>) -> MutexGuard<'_, Door> {
    door.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Held {
    /// Nothing of it was read yet.
    pub(super) fn at_the_door(body: Patient) -> Self {
        let size = body.size_hint();
        let door = Door { body: Some(body), turn: 0 };
        Self::AtTheDoor { door: Arc::new(Mutex::new(door)), size }
    }

    /// Whether the request can be sent (again).
    pub(super) fn is_there(&self) -> bool {
        match self {
            Self::Whole(_) => true,
            Self::AtTheDoor { door, .. } => lock(door).body.is_some(),
        }
    }

    /// The same for a try that was refused: from now on it cannot take the body any more, though its connection may not know
    /// yet that it is over.
    pub(super) fn keep(&self) -> bool {
        match self {
            Self::Whole(_) => true,
            Self::AtTheDoor { door, .. } => {
                let mut door = lock(door);
                door.turn += 1;
                door.body.is_some()
            }
        }
    }

    /// Whether all of it is in memory.
    pub(super) fn is_whole(&self) -> bool {
        matches!(self, Self::Whole(_))
    }

    /// Whether it is what a hash that was given says, if `is_asked` and it is in memory. One that was not given was made
    /// from it.
    pub(super) fn is_right(&self, verified: &Verified, is_asked: bool) -> bool {
        match (self, verified.payload()) {
            (Self::Whole(whole), Payload::Hash(right)) if is_asked => whole.hash_digits() == right,
            _ => true,
        }
    }

    /// What is known of it without reading more.
    pub(super) fn bytes(&self) -> Bytes {
        match self {
            Self::Whole(whole) => whole.bytes(),
            Self::AtTheDoor { .. } => Bytes::new(),
        }
    }

    /// The body for one try; and what lets it in, if it waits.
    pub(super) fn for_a_try(&self, until: Until) -> (Piece, Option<Latch>) {
        match self {
            Self::Whole(whole) => (Piece::Whole(whole.pieces().to_vec().into()), None),
            Self::AtTheDoor { door, size } => {
                let (latch, opened) = oneshot::channel();
                let patience = match until {
                    Until::Answered { may_try_again: false } => Duration::ZERO,
                    Until::Continue { is_sure: true } => LONG_WAIT,
                    _ => WAIT,
                };
                let turn = lock(door).turn;
                let waiting = Waiting {
                    door: Arc::clone(door),
                    turn,
                    size: *size,
                    opened: Some(opened),
                    until,
                    patience: Box::pin(sleep(patience)),
                };
                (Piece::Waits(waiting), Some(Latch(Mutex::new(Some(latch)))))
            }
        }
    }
}

/// What a body at the door waits for; a second at most, if no word is sure to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Until {
    /// `100 Continue`. The latch goes with the head, and that says nothing. It is worth waiting for if it is sure to come and
    /// there is another key.
    Continue { is_sure: bool },
    /// The head of the answer, which a server may send before it wants an event. Without its latch the try is over. There is
    /// nothing to wait for if there is no other key.
    Answered { may_try_again: bool },
}

/// Opened once.
#[derive(Debug)]
pub(super) struct Latch(Mutex<Option<oneshot::Sender<()>>>);

impl Latch {
    pub(super) fn open(&self) {
        let sender = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        // Nobody waits any more when the try is over.
        sender.map(|sender| sender.send(()).ok());
    }
}

/// A body for one try.
#[derive(Debug)]
pub(super) enum Piece {
    Whole(VecDeque<Bytes>),
    Waits(Waiting),
    Flows(Patient),
}

/// The body stays where it is, for another try, until AWS has said that it wants it.
#[derive(Debug)]
pub(super) struct Waiting {
    door: Arc<Mutex<Door>>,
    turn: u64,
    size: SizeHint,
    opened: Option<oneshot::Receiver<()>>,
    until: Until,
    patience: Pin<Box<Sleep>>,
}

impl Waiting {
    fn poll_open(&mut self, cx: &mut Context<'_>) -> Poll<Result<Patient, Broken>> {
        let is_told = match &mut self.opened {
            Some(opened) => match Pin::new(opened).poll(cx) {
                Poll::Ready(Ok(())) => true,
                Poll::Ready(Err(_)) if matches!(self.until, Until::Answered { .. }) => {
                    return Poll::Ready(Err("this try is over".into()));
                }
                Poll::Ready(Err(_)) => {
                    // The latch is gone with the request's head: only time opens it now.
                    self.opened = None;
                    false
                }
                Poll::Pending => false,
            },
            None => false,
        };
        if !is_told {
            ready!(self.patience.as_mut().poll(cx));
        }
        let mut door = lock(&self.door);
        let body = if door.turn == self.turn { door.body.take() } else { None };
        Poll::Ready(body.ok_or_else(|| "the body is another try's".into()))
    }
}

impl Body for Piece {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        loop {
            match &mut *self {
                Self::Whole(pieces) => {
                    return Poll::Ready(pieces.pop_front().map(|bytes| Ok(Frame::data(bytes))));
                }
                Self::Flows(body) => return Pin::new(body).poll_frame(cx),
                Self::Waits(waiting) => match ready!(waiting.poll_open(cx)) {
                    Ok(body) => *self = Self::Flows(body),
                    Err(error) => return Poll::Ready(Some(Err(error))),
                },
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(pieces) => pieces.is_empty(),
            Self::Flows(body) => body.is_end_stream(),
            Self::Waits(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(pieces) => {
                SizeHint::with_exact(pieces.iter().map(|piece| piece.len() as u64).sum())
            }
            Self::Flows(body) => body.size_hint(),
            Self::Waits(waiting) => waiting.size,
        }
    }
}
