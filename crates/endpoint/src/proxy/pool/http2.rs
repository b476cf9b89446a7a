//! Connections over HTTP/2: what AWS wants for event streams, and nothing else needs. By ALPN over TLS; a server that was
//! configured with `http://` is taken at its word.

use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{Client, Error};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::ClientConfig;

use super::{IDLE_TIMEOUT, Public, Upload, Whose};

/// How much of a stream may wait for a program that does not read it.
const STREAM_WINDOW_BYTES: u32 = 1 << 20;

/// The same for a connection: as much as there may be, so that one stream that nobody reads does not hold up the others.
const CONNECTION_WINDOW_BYTES: u32 = (1 << 31) - 1;

/// A connection whose other end is gone is noticed, however long its streams are silent.
const PING_INTERVAL: Duration = Duration::from_secs(30);

const PING_TIMEOUT: Duration = Duration::from_secs(20);

/// The connections.
#[derive(Clone, Debug)]
pub(super) struct Http2 {
    aws: Client<HttpsConnector<HttpConnector<Public>>, Upload>,
    named: Client<HttpsConnector<HttpConnector<Public>>, Upload>,
    own: Client<HttpsConnector<HttpConnector>, Upload>,
}

impl Http2 {
    /// For hosts of the table, those that a program names, and those that a person configured.
    pub(super) fn new(
        roots: &ClientConfig,
        [table, named]: [HttpConnector<Public>; 2],
        any: HttpConnector,
    ) -> Self {
        let tls = || HttpsConnectorBuilder::new().with_tls_config(roots.clone());
        let aws = tls().https_only().enable_http2().wrap_connector(table);
        let named = tls().https_only().enable_http2().wrap_connector(named);
        let own = tls().https_or_http().enable_http2().wrap_connector(any);
        let [aws, named] = [aws, named].map(|connector| builder().build(connector));
        Self { aws, named, own: builder().build(own) }
    }

    pub(super) async fn send(
        &self,
        request: Request<Upload>,
        whose: Whose,
    ) -> Result<Response<Incoming>, Error> {
        match whose {
            Whose::Own => self.own.request(request).await,
            Whose::Table => self.aws.request(request).await,
            Whose::Named => self.named.request(request).await,
        }
    }
}

fn builder() -> hyper_util::client::legacy::Builder {
    let mut builder = Client::builder(TokioExecutor::new());
    builder
        .http2_only(true)
        .pool_timer(TokioTimer::new())
        .timer(TokioTimer::new())
        .pool_idle_timeout(IDLE_TIMEOUT)
        .http2_initial_stream_window_size(STREAM_WINDOW_BYTES)
        .http2_initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .http2_keep_alive_interval(PING_INTERVAL)
        .http2_keep_alive_timeout(PING_TIMEOUT);
    builder
}
