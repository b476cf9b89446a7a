//! A server that stores nothing but what it is about: it takes bodies of any length, checks every signature in them, and
//! makes bodies of any length. It shares no line with the proxy that it stands behind.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use super::receive::Receiver;
use super::uploads::pattern::Pattern;

/// What became of an upload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It was right: its length, and its SHA-256.
    Stored { length: u64, hash: String },
    /// It never ended.
    BrokenOff,
    /// It ended, and was not right.
    Refused(&'static str),
}

/// The key that it knows.
#[derive(Clone)]
pub(crate) struct Key {
    pub(crate) id: String,
    pub(crate) secret: String,
}

#[derive(Default)]
struct Seen {
    fates: BTreeMap<String, Fate>,
    heads: u64,
}

/// The server, until it is dropped.
pub(crate) struct Server {
    pub(crate) at: SocketAddr,
    seen: Arc<Mutex<Seen>>,
    _runtime: tokio::runtime::Runtime,
}

impl Server {
    pub(crate) fn start(key: Key) -> Self {
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = runtime.worker_threads(2).enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let at = listener.local_addr().unwrap();
        let seen = Arc::<Mutex<Seen>>::default();
        let told = Arc::clone(&seen);
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (seen, key) = (Arc::clone(&told), key.clone());
                let service = service_fn(move |request| answer(request, seen.clone(), key.clone()));
                let mut server = http1::Builder::new();
                // As much at once as a real server takes.
                server.max_buf_size(512 * 1024);
                tokio::spawn(server.serve_connection(TokioIo::new(stream), service));
            }
        });
        Self { at, seen, _runtime: runtime }
    }

    /// What became of an upload, if anything of it came here.
    pub(crate) fn fate(&self, target: &str) -> Option<Fate> {
        self.seen.lock().unwrap().fates.get(target).cloned()
    }

    /// How many requests have come.
    pub(crate) fn heads(&self) -> u64 {
        self.seen.lock().unwrap().heads
    }
}

type Download = UnsyncBoxBody<Bytes, Infallible>;

async fn answer(
    request: Request<Incoming>,
    seen: Arc<Mutex<Seen>>,
    key: Key,
) -> Result<Response<Download>, hyper::Error> {
    let (head, body) = request.into_parts();
    seen.lock().unwrap().heads += 1;
    let target = head.uri.path().to_owned();
    let receiver = match Receiver::new(&head, &key) {
        Ok(receiver) => receiver,
        Err(why) => return Ok(refusal(why)),
    };
    if let Some(length) = target.strip_prefix("/source/") {
        let length: u64 = length.parse().unwrap_or(0);
        let body = Source { pattern: Pattern::new(1, length), left: length };
        return Ok(Response::new(body.boxed_unsync()));
    }
    // Until it has ended, it may not have.
    seen.lock().unwrap().fates.insert(target.clone(), Fate::BrokenOff);
    let fate = receive(receiver, body).await?;
    seen.lock().unwrap().fates.insert(target, fate.clone());
    Ok(match fate {
        Fate::Stored { hash, .. } => {
            let answer = Response::builder().header("x-sha256", hash);
            answer.body(Full::new(Bytes::new()).boxed_unsync()).unwrap()
        }
        Fate::Refused(why) => refusal(why),
        Fate::BrokenOff => refusal("RequestTimeout"),
    })
}

/// Takes a body to its end. An error means that it has none.
async fn receive(mut receiver: Receiver, mut body: Incoming) -> Result<Fate, hyper::Error> {
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame?.into_data() {
            receiver.push(&data);
        }
    }
    Ok(match receiver.finish() {
        Ok((length, hash)) => Fate::Stored { length, hash },
        Err(why) => Fate::Refused(why),
    })
}

fn refusal(why: &str) -> Response<Download> {
    let text = format!("<Error><Code>{why}</Code></Error>");
    let answer = Response::builder().status(if why == "BadDigest" { 400 } else { 403 });
    answer.body(Full::new(Bytes::from(text)).boxed_unsync()).unwrap()
}

/// A body that is made as it is sent.
struct Source {
    pattern: Pattern,
    left: u64,
}

impl Body for Source {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let block = self.pattern.next();
        self.left -= block.as_ref().map_or(0, |block| block.len() as u64);
        Poll::Ready(block.map(|block| Ok(Frame::data(block.into()))))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
