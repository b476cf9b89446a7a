//! What the proxies send to: takes every body, answers a `GET` with 200 bytes and all else with none. Checks nothing.
//!
//! It prints its port, and serves until it is killed.
#![allow(clippy::print_stdout, reason = "the port is what it has to say")]

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

/// What a `GET` is answered with.
static CONTENT: [u8; 200] = [b'a'; 200];

fn main() -> std::io::Result<()> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?
        .block_on(serve())
}

async fn serve() -> std::io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?.port());
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let mut server = http1::Builder::new();
        server.max_buf_size(256 * 1024);
        tokio::spawn(server.serve_connection(TokioIo::new(stream), service_fn(answer)));
    }
}

async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, hyper::Error> {
    let is_get = request.method() == Method::GET;
    let mut body = request.into_body();
    while let Some(frame) = body.frame().await {
        frame?;
    }
    let content = if is_get { &CONTENT[..] } else { &[] };
    let mut answer = Response::new(Full::new(Bytes::from_static(content)));
    let headers = answer.headers_mut();
    headers.insert("x-amz-request-id", HeaderValue::from_static("4442587FB7D0A2F9"));
    headers.insert("etag", HeaderValue::from_static("\"d41d8cd98f00b204e9800998ecf8427e\""));
    Ok(answer)
}
