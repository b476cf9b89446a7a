//! Connections to AWS, and to the servers that a profile's `endpoint_url` names. No redirect is followed, and no proxy of
//! the environment is used.

mod http2;

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::{GaiResolver, Name};
use hyper_util::client::legacy::{Client, Error};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tower_service::Service;

/// Whatever breaks a body off.
pub(crate) type Broken = Box<dyn std::error::Error + Send + Sync>;

/// A body that goes upstream.
pub(crate) type Upload = UnsyncBoxBody<Bytes, Broken>;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// AWS closes idle connections after about 20 seconds; whoever is first meets no request on its way.
const IDLE_TIMEOUT: Duration = Duration::from_secs(15);

const IDLE_MAX: usize = 64;

const KEEPALIVE: Duration = Duration::from_secs(60);

/// The connections.
#[derive(Clone, Debug)]
pub(crate) struct Pool {
    aws: Client<HttpsConnector<HttpConnector<Public>>, Upload>,
    own: Client<HttpsConnector<HttpConnector>, Upload>,
    aws_http2: http2::Aws,
    own_http2: http2::Own,
}

impl Pool {
    /// Trusts the roots that this machine trusts. Fails if it has none.
    pub(crate) fn new() -> io::Result<Self> {
        let mut public = HttpConnector::new_with_resolver(Public(GaiResolver::new()));
        set_up(&mut public);
        let mut any = HttpConnector::new();
        set_up(&mut any);
        let (aws_http2, own_http2) = http2::clients(public.clone(), any.clone())?;
        let tls = || HttpsConnectorBuilder::new().with_native_roots();
        let aws = tls()?.https_only().enable_http1().wrap_connector(public);
        let own = tls()?.https_or_http().enable_http1().wrap_connector(any);
        let (aws, own) = (builder().build(aws), builder().build(own));
        Ok(Self { aws, own, aws_http2, own_http2 })
    }

    /// Sends a request to a host that the table gave, or else to one that a person configured.
    pub(crate) async fn send(
        &self,
        request: Request<Upload>,
        is_own: bool,
        over_http2: bool,
    ) -> Result<Response<Incoming>, Error> {
        match (over_http2, is_own) {
            (false, true) => self.own.request(request).await,
            (false, false) => self.aws.request(request).await,
            (true, true) => self.own_http2.request(request).await,
            (true, false) => self.aws_http2.request(request).await,
        }
    }
}

fn set_up<R>(connector: &mut HttpConnector<R>) {
    connector.enforce_http(false);
    connector.set_nodelay(true);
    connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
    connector.set_keepalive(Some(KEEPALIVE));
}

fn builder() -> hyper_util::client::legacy::Builder {
    let mut builder = Client::builder(TokioExecutor::new());
    builder
        .pool_timer(TokioTimer::new())
        .timer(TokioTimer::new())
        .pool_idle_timeout(IDLE_TIMEOUT)
        .pool_max_idle_per_host(IDLE_MAX);
    builder
}

/// Resolves names of AWS, and never to this machine or its link: 169.254.169.254 is the metadata service of EC2. Private
/// addresses are those of VPC endpoints.
#[derive(Clone, Debug)]
struct Public(GaiResolver);

impl Service<Name> for Public {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, io::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), io::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let resolving = self.0.call(name);
        Box::pin(async move {
            let found: Vec<_> = resolving.await?.filter(|at| is_elsewhere(at.ip())).collect();
            match found.is_empty() {
                true => Err(io::Error::other("the name leads to no address of another machine")),
                false => Ok(found.into_iter()),
            }
        })
    }
}

fn is_elsewhere(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            !(v4.is_loopback() || v4.is_link_local() || v4.is_unspecified() || v4.is_multicast())
        }
        IpAddr::V6(v6) => {
            let is_link_local = v6.segments()[0] & 0xffc0 == 0xfe80;
            // fd00:ec2::254 is the metadata service.
            let is_metadata = v6.segments()[..2] == [0xfd00, 0x0ec2];
            !(v6.is_loopback()
                || v6.is_unspecified()
                || v6.is_multicast()
                || is_link_local
                || is_metadata)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_of_aws_never_leads_to_this_machine() {
        for (address, is_good) in [
            ("52.94.0.1", true),
            ("10.0.0.7", true),
            ("2600:1f00::1", true),
            ("127.0.0.1", false),
            ("169.254.169.254", false),
            ("0.0.0.0", false),
            ("224.0.0.1", false),
            ("::1", false),
            ("::ffff:169.254.169.254", false),
            ("fe80::1", false),
            ("fd00:ec2::254", false),
        ] {
            assert_eq!(is_elsewhere(address.parse().expect("one")), is_good, "{address}");
        }
    }
}
