//! How long a connection may take: for the head of a request, for taking an answer, and for doing nothing.
//!
//! hyper has one time for both a head and doing nothing. They differ: SDKs keep idle connections for a minute, and whoever
//! sends a head byte by byte should not have that long.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::server::Limits;

/// What a connection is about. Whoever makes room may close it, but not while it has a request.
#[derive(Debug)]
pub(crate) struct Stage(AtomicU8);

/// No request has come yet.
const FRESH: u8 = 0;
/// A request is being answered.
const ANSWERING: u8 = 1;
/// The answer is made. It may not be sent yet.
const ANSWERED: u8 = 2;
/// The answer is sent, and the next request has not come.
const IDLE: u8 = 3;
/// Closed from here.
const CLOSED: u8 = 4;

impl Stage {
    pub(crate) fn new() -> Self {
        Self(AtomicU8::new(FRESH))
    }

    /// A request has come. False if the connection was closed in the same instant.
    pub(crate) fn begin(&self) -> bool {
        let next = |stage| (stage != CLOSED).then_some(ANSWERING);
        self.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, next).is_ok()
    }

    /// Its answer is made.
    pub(crate) fn answered(&self) {
        self.0.store(ANSWERED, Ordering::Release);
    }

    pub(crate) fn is_fresh(&self) -> bool {
        self.0.load(Ordering::Acquire) == FRESH
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.0.load(Ordering::Acquire) == IDLE
    }

    /// Closes a connection that has never sent a request.
    pub(crate) fn close_fresh(&self) -> bool {
        self.turn(FRESH, CLOSED)
    }

    /// Closes a connection that waits for the next request.
    pub(crate) fn close_idle(&self) -> bool {
        self.turn(IDLE, CLOSED)
    }

    fn turn(&self, from: u8, to: u8) -> bool {
        self.0.compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }
}

/// Goes off at a time that is asked for. It is set to that time or an earlier one, and so not anew for each request.
pub(crate) struct Alarm(Pin<Box<Sleep>>);

impl Alarm {
    /// One that is set to this time.
    pub(crate) fn at(until: Instant) -> Self {
        Self(Box::pin(sleep_until(until)))
    }

    /// Whether a time is over; if not, this task is woken when it is.
    pub(crate) fn poll_over(&mut self, until: Instant, cx: &mut Context<'_>) -> Poll<()> {
        if until < self.0.deadline() {
            self.0.as_mut().reset(until);
        }
        loop {
            ready!(self.0.as_mut().poll(cx));
            if until <= Instant::now() {
                return Poll::Ready(());
            }
            self.0.as_mut().reset(until);
        }
    }
}

/// A stream that ends when its time is over.
pub(crate) struct Paced<S> {
    stream: S,
    stage: Arc<Stage>,
    limits: Limits,
    /// When what is awaited must have come. While a request is being answered its handler's time counts instead.
    read_until: Instant,
    /// Whether a part of a head has come since the last answer.
    in_head: bool,
    /// When the answer must have been taken; none while it is being taken.
    write_until: Option<Instant>,
    /// For either time.
    alarm: Alarm,
}

impl<S> Paced<S> {
    pub(crate) fn new(stream: S, stage: Arc<Stage>, limits: Limits) -> Self {
        let read_until = Instant::now() + limits.header_read;
        let alarm = Alarm::at(read_until);
        Self { stream, stage, limits, read_until, in_head: true, write_until: None, alarm }
    }

    /// What it is made of.
    pub(crate) fn into_inner(self) -> S {
        self.stream
    }

    /// Once the answer is sent, the time for the next request begins.
    fn settle(&mut self) -> bool {
        let is_sent = self.write_until.is_none() && self.stage.turn(ANSWERED, IDLE);
        if is_sent {
            self.in_head = false;
            self.read_until = Instant::now() + self.limits.idle;
        }
        is_sent
    }

    fn written(
        &mut self,
        result: Poll<io::Result<usize>>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        if result.is_ready() {
            self.write_until = None;
            return result;
        }
        let limit = self.limits.request;
        let until = *self.write_until.get_or_insert_with(|| Instant::now() + limit);
        ready!(self.alarm.poll_over(until, cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the answer was not taken")))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Paced<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if let Poll::Ready(result) = Pin::new(&mut this.stream).poll_read(cx, buf) {
            if !this.in_head {
                this.in_head = true;
                this.read_until = Instant::now() + this.limits.header_read;
            }
            return Poll::Ready(result);
        }
        this.settle();
        if !matches!(this.stage.0.load(Ordering::Acquire), FRESH | IDLE) {
            return Poll::Pending;
        }
        ready!(this.alarm.poll_over(this.read_until, cx));
        if this.in_head {
            Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "no request came in time")))
        } else {
            // As if the client had closed it.
            Poll::Ready(Ok(()))
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Paced<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let result = Pin::new(&mut this.stream).poll_write(cx, buf);
        this.written(result, cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let result = Pin::new(&mut this.stream).poll_write_vectored(cx, bufs);
        this.written(result, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// hyper flushes when it has written the whole answer. It may not read again before something comes.
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(Pin::new(&mut this.stream).poll_flush(cx))?;
        if this.settle() && this.alarm.poll_over(this.read_until, cx).is_ready() {
            // The next read finds out.
            cx.waker().wake_by_ref();
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}
