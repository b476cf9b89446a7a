//! The floor of the proxy: hyper on both sides, with the options that the proxy gives it, and nothing between them.
//!
//!     rotakey-bench-bare <upstream host:port> [hash]
//!
//! With `hash` it makes the SHA-256 of every body that goes through, as whoever verifies one has to. It prints its port, and
//! serves until it is killed.
#![allow(clippy::print_stdout, reason = "the port is what it has to say")]

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::uri::{Authority, Scheme};
use http::{HeaderValue, Request, Response, Uri, header};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::service::service_fn;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use sha2::{Digest, Sha256};
use tokio::net::TcpListener;

type Error = Box<dyn std::error::Error + Send + Sync>;

fn main() -> Result<(), Error> {
    let mut arguments = std::env::args().skip(1);
    let upstream: Authority = arguments.next().ok_or("upstream?")?.parse()?;
    let hashes = arguments.next().is_some();
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?
        .block_on(serve(upstream, hashes))
}

#[derive(Clone)]
struct Proxy {
    client: Client<HttpConnector, Passing>,
    upstream: Authority,
    host: HeaderValue,
    hashes: bool,
}

async fn serve(upstream: Authority, hashes: bool) -> Result<(), Error> {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let client = Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .timer(TokioTimer::new())
        .pool_idle_timeout(Duration::from_secs(15))
        .pool_max_idle_per_host(64)
        .build(connector);
    let host = HeaderValue::from_str(upstream.as_str())?;
    let proxy = Proxy { client, upstream, host, hashes };
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?.port());
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let proxy = proxy.clone();
        let service = service_fn(move |request| forward(proxy.clone(), request));
        let mut server = auto::Builder::new(TokioExecutor::new());
        server.http1().max_buf_size(64 * 1024);
        tokio::spawn(async move { server.serve_connection(TokioIo::new(stream), service).await });
    }
}

async fn forward(proxy: Proxy, request: Request<Incoming>) -> Result<Response<Incoming>, Error> {
    let (mut head, body) = request.into_parts();
    let mut uri = http::uri::Parts::default();
    uri.scheme = Some(Scheme::HTTP);
    uri.authority = Some(proxy.upstream);
    uri.path_and_query = head.uri.path_and_query().cloned();
    head.uri = Uri::from_parts(uri)?;
    head.headers.insert(header::HOST, proxy.host);
    let hash = proxy.hashes.then(Sha256::new);
    Ok(proxy.client.request(Request::from_parts(head, Passing { body, hash })).await?)
}

/// A body that goes through.
struct Passing {
    body: Incoming,
    hash: Option<Sha256>,
}

impl Body for Passing {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        match (&mut self.hash, &frame) {
            (Some(hash), Some(Ok(frame))) => {
                frame.data_ref().into_iter().for_each(|data| hash.update(data));
            }
            (hash, None) => drop(hash.take().map(|hash| std::hint::black_box(hash.finalize()))),
            _ => {}
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
