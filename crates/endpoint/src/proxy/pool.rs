//! Connections to AWS, and to the servers that a profile's `endpoint_url` names. No redirect is followed, and no proxy of
//! the environment is used.

mod http2;

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Incoming;
use hyper_rustls::{ConfigBuilderExt, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::{GaiResolver, Name};
use hyper_util::client::legacy::{Client, Error};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::ClientConfig;
use rustls::crypto::ring;
use tower_service::Service;

use self::http2::Http2;
use super::connect::host;

/// Whatever breaks a body off.
pub(crate) type Broken = Box<dyn std::error::Error + Send + Sync>;

/// A body that goes upstream.
pub(crate) type Upload = UnsyncBoxBody<Bytes, Broken>;

pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// AWS closes idle connections after about 20 seconds; whoever is first meets no request on its way.
const IDLE_TIMEOUT: Duration = Duration::from_secs(15);

const IDLE_MAX: usize = 64;

const KEEPALIVE: Duration = Duration::from_secs(60);

/// The connections.
#[derive(Clone, Debug)]
pub(crate) struct Pool {
    aws: Client<HttpsConnector<HttpConnector<Public>>, Upload>,
    named: Client<HttpsConnector<HttpConnector<Public>>, Upload>,
    own: Client<HttpsConnector<HttpConnector>, Upload>,
    http2: Http2,
}

impl Pool {
    /// Trusts the roots that this machine trusts. Fails if it has none.
    pub(crate) fn new() -> io::Result<Self> {
        let public = |rule| {
            let mut public = HttpConnector::new_with_resolver(Public(GaiResolver::new(), rule));
            set_up(&mut public);
            public
        };
        let mut any = HttpConnector::new();
        set_up(&mut any);
        // Read once: there are more than a hundred.
        let roots = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_native_roots()?
            .with_no_client_auth();
        let table: Rule = |at, _| is_elsewhere(at);
        let http2 = Http2::new(&roots, [public(table), public(is_public)], any.clone());
        let tls = || HttpsConnectorBuilder::new().with_tls_config(roots.clone());
        let aws = tls().https_only().enable_http1().wrap_connector(public(table));
        let named = tls().https_only().enable_http1().wrap_connector(public(is_public));
        let own = tls().https_or_http().enable_http1().wrap_connector(any);
        let (aws, named, own) =
            (builder().build(aws), builder().build(named), builder().build(own));
        Ok(Self { aws, named, own, http2 })
    }

    /// Sends a request to its host.
    pub(crate) async fn send(
        &self,
        request: Request<Upload>,
        whose: Whose,
        over_http2: bool,
    ) -> Result<Response<Incoming>, Error> {
        match whose {
            whose if over_http2 => self.http2.send(request, whose).await,
            Whose::Own => self.own.request(request).await,
            Whose::Table => self.aws.request(request).await,
            Whose::Named => self.named.request(request).await,
        }
    }
}

/// Who says which host a request goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Whose {
    /// A person, who configured it.
    Own,
    /// The table.
    Table,
    /// A program, within limits.
    Named,
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
struct Public(GaiResolver, Rule);

/// Whether a name may lead to an address.
type Rule = fn(IpAddr, &str) -> bool;

impl Service<Name> for Public {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, io::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), io::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let (rule, text) = (self.1, name.as_str().to_owned());
        let resolving = self.0.call(name);
        Box::pin(async move {
            let found: Vec<_> = resolving.await?.filter(|at| rule(at.ip(), &text)).collect();
            match found.is_empty() {
                true => Err(io::Error::other("the name leads to no address of another machine")),
                false => Ok(found.into_iter()),
            }
        })
    }
}

/// Whether an address is that of another machine, for sure.
pub(crate) fn is_elsewhere(address: IpAddr) -> bool {
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

/// The same for a name that a program gave: private networks are not for it to reach, but by what a VPC has for that.
fn is_public(address: IpAddr, name: &str) -> bool {
    let is_private = match address.to_canonical() {
        IpAddr::V4(v4) => v4.is_private() || (v4.octets()[0] == 100 && v4.octets()[1] & 0xc0 == 64),
        IpAddr::V6(v6) => v6.segments()[0] & 0xfe00 == 0xfc00,
    };
    is_elsewhere(address) && (!is_private || host::is_vpc_endpoint(name))
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

    #[test]
    fn a_name_that_a_program_gave_leads_to_no_private_network() {
        let is_good = |address: &str, name| is_public(address.parse().expect("one"), name);
        let (sts, vpc) = ("sts.amazonaws.com", "vpce-1.sts.eu-west-1.vpce.amazonaws.com");
        for private in
            ["10.0.0.7", "172.31.0.1", "192.168.1.1", "100.64.0.1", "fc00::1", "::ffff:10.0.0.7"]
        {
            assert!(!is_good(private, sts) && is_good(private, vpc), "{private}");
        }
        for bad in ["127.0.0.1", "169.254.169.254", "fe80::1"] {
            assert!(!is_good(bad, sts) && !is_good(bad, vpc), "{bad}");
        }
        assert!(is_good("52.94.0.1", sts) && is_good("172.32.0.1", sts));
    }
}
