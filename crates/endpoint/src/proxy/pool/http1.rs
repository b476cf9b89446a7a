//! Connections over HTTP/1.1. Each is driven by the task of the request that it carries.
//!
//! hyper-util's client gives every connection a task of its own: a request then wakes that one, and its answer the first
//! one again, often on another processor. Here a request polls its connection itself; that costs a fifth less per request.
//! Only what lasts gets a task: a long body, either way.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use http::uri::{Authority, Scheme};
use http::{Request, Response, Uri};
use hyper::body::{Body, Incoming};
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::{self, Connection, SendRequest};
use hyper_rustls::{HttpsConnector, MaybeHttpsStream};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tower_service::Service;

use super::bell::Bell;
use super::idle::Idle;
use super::{ANSWER_TIMEOUT, Broken, Upload};
use crate::pace::Alarm;

type Stream = MaybeHttpsStream<TokioIo<TcpStream>>;

/// Bodies up to this length are sent by the request's own task: it has them in memory.
const OWN_BYTES_MAX: u64 = 1 << 20;

/// A connection.
pub(super) struct Line {
    sender: SendRequest<Upload>,
    connection: Connection<Stream, Upload>,
    alarm: Alarm,
    bell: Arc<Bell>,
}

/// The connections by one connector.
#[derive(Clone, Debug)]
pub(super) struct Http1<R> {
    connector: HttpsConnector<HttpConnector<R>>,
    scheme: Scheme,
    idle: Arc<Idle<Box<Line>>>,
}

/// What became of a request.
enum Carried {
    Answered(Response<Incoming>),
    /// It was closed before anything of it was sent.
    Back(Request<Upload>, Broken),
    Broken(Broken),
}

impl<R> Http1<R>
where
    HttpsConnector<HttpConnector<R>>:
        Service<Uri, Response = Stream, Error = Broken, Future: Send> + Clone,
{
    pub(super) fn new(connector: HttpsConnector<HttpConnector<R>>, scheme: Scheme) -> Self {
        Self { connector, scheme, idle: Arc::default() }
    }

    /// Sends a request, whose target is a path, to an authority.
    pub(super) async fn send(
        &self,
        mut request: Request<Upload>,
        to: &Authority,
    ) -> Result<Response<Incoming>, Broken> {
        let now = Instant::now();
        let until = now + ANSWER_TIMEOUT;
        // The other end may have closed one that was kept. What was not begun can be sent by another.
        while let Some(line) = self.idle.take(to.as_str(), now) {
            match self.carry(line, request, to, until).await {
                Carried::Answered(answer) => return Ok(answer),
                Carried::Back(back, _) => request = back,
                Carried::Broken(error) => return Err(error),
            }
        }
        let line = timeout_at(until, self.connect(to, until)).await??;
        match self.carry(line, request, to, until).await {
            Carried::Answered(answer) => Ok(answer),
            Carried::Back(_, error) | Carried::Broken(error) => Err(error),
        }
    }

    /// For a request that has time until then.
    async fn connect(&self, to: &Authority, until: Instant) -> Result<Box<Line>, Broken> {
        let uri = Uri::builder().scheme(self.scheme.clone()).authority(to.clone());
        let mut connector = self.connector.clone();
        poll_fn(|cx| connector.poll_ready(cx)).await?;
        let stream = connector.call(uri.path_and_query("/").build()?).await?;
        let (sender, connection) = http1::handshake(stream).await?;
        let (alarm, bell) = (Alarm::at(until), Arc::default());
        Ok(Box::new(Line { sender, connection, alarm, bell }))
    }

    async fn carry(
        &self,
        mut line: Box<Line>,
        request: Request<Upload>,
        to: &Authority,
        until: Instant,
    ) -> Carried {
        let is_long = request.body().size_hint().upper().is_none_or(|bytes| bytes > OWN_BYTES_MAX);
        let mut answer = pin!(line.sender.try_send_request(request));
        if is_long {
            self.finish(line, to);
            let answered = timeout_at(until, answer).await;
            return answered.map_or_else(|late| Carried::Broken(late.into()), Carried::from);
        }
        let (bell, mut line) = (Arc::clone(&line.bell), Some(line));
        let mut poll = |cx: &mut Context<'_>| {
            if line.as_mut().is_some_and(|line| Pin::new(&mut line.connection).poll(cx).is_ready())
            {
                // It is over. Dropped, it gives back what it has not begun.
                line = None;
            }
            match (answer.as_mut().poll(cx), &mut line) {
                (Poll::Ready(answered), _) => Poll::Ready(Some(answered)),
                (Poll::Pending, Some(line)) => line.alarm.poll_over(until, cx).map(|()| None),
                (Poll::Pending, None) => Poll::Pending,
            }
        };
        let answered = poll_fn(|cx| bell.poll(cx, &mut poll));
        let Some(answered) = answered.await else {
            return Carried::Broken("no answer in time".into());
        };
        match line {
            Some(line) if line.sender.is_ready() => {
                self.idle.keep(to.as_str(), line, Instant::now())
            }
            Some(line) if answered.is_ok() => self.finish(line, to),
            _ => {}
        }
        Carried::from(answered)
    }
}

impl<R> Http1<R> {
    /// Gives a connection a task of its own until it is idle again.
    fn finish(&self, mut line: Box<Line>, to: &Authority) {
        let (idle, to) = (Arc::clone(&self.idle), to.clone());
        tokio::spawn(async move {
            let is_idle = poll_fn(|cx| match Pin::new(&mut line.connection).poll(cx) {
                Poll::Ready(_) => Poll::Ready(false),
                Poll::Pending => line.sender.poll_ready(cx).map(|ready| ready.is_ok()),
            });
            if is_idle.await {
                idle.keep(to.as_str(), line, Instant::now());
            }
        });
    }
}

impl From<Result<Response<Incoming>, TrySendError<Request<Upload>>>> for Carried {
    fn from(answered: Result<Response<Incoming>, TrySendError<Request<Upload>>>) -> Self {
        match answered {
            Ok(answer) => Self::Answered(answer),
            Err(mut error) => match error.take_message() {
                Some(request) => Self::Back(request, error.into_error().into()),
                None => Self::Broken(error.into_error().into()),
            },
        }
    }
}
