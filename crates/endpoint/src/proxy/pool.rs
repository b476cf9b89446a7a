//! Connections to AWS, and to the servers that a profile's `endpoint_url` names. No redirect is followed, and no proxy of
//! the environment is used.

mod bell;
mod http1;
mod http2;
mod idle;

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{Request, Response, Uri};
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Incoming;
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::{GaiResolver, Name};
use rustls::ClientConfig;
use rustls::crypto::ring;
use tokio::time::timeout;
use tower_service::Service;

use self::http1::Http1;
use self::http2::Http2;
use super::connect::host;
use super::roots;

/// Whatever breaks a body off.
pub(crate) type Broken = Box<dyn std::error::Error + Send + Sync>;

/// A body that goes upstream.
pub(crate) type Upload = UnsyncBoxBody<Bytes, Broken>;

pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Lambda's functions may take a quarter of an hour.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(960);

/// AWS closes idle connections after about 20 seconds; whoever is first meets no request on its way.
const IDLE_TIMEOUT: Duration = Duration::from_secs(15);

const KEEPALIVE: Duration = Duration::from_secs(60);

/// The connections.
#[derive(Clone, Debug)]
pub(crate) struct Pool {
    aws: Http1<Public>,
    named: Http1<Public>,
    own: Http1<GaiResolver>,
    /// Without TLS.
    plain: Http1<GaiResolver>,
    http2: Http2,
}

impl Pool {
    /// Trusts the [roots](roots) that this machine trusts. If it has none, only servers without TLS can be asked.
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
            .with_root_certificates(roots::store())
            .with_no_client_auth();
        let table: Rule = |at, _| is_elsewhere(at);
        let http2 = Http2::new(&roots, [public(table), public(is_public)], any.clone());
        let tls = || HttpsConnectorBuilder::new().with_tls_config(roots.clone());
        let aws = tls().https_only().enable_http1().wrap_connector(public(table));
        let named = tls().https_only().enable_http1().wrap_connector(public(is_public));
        let own = tls().https_or_http().enable_http1().wrap_connector(any);
        let [aws, named] = [aws, named].map(|connector| Http1::new(connector, Scheme::HTTPS));
        let plain = Http1::new(own.clone(), Scheme::HTTP);
        Ok(Self { aws, named, own: Http1::new(own, Scheme::HTTPS), plain, http2 })
    }

    /// Sends a request, whose target is a path, to a server. Its answer has to begin in time.
    pub(crate) async fn send(
        &self,
        request: Request<Upload>,
        to: &Server,
        over_http2: bool,
    ) -> Result<Response<Incoming>, Broken> {
        let authority = &to.authority;
        if over_http2 {
            let sending = self.http2.send(to.absolute(request)?, to.whose);
            return Ok(timeout(ANSWER_TIMEOUT, sending).await??);
        }
        match to.whose {
            Whose::Own if to.scheme == Scheme::HTTP => self.plain.send(request, authority).await,
            Whose::Own => self.own.send(request, authority).await,
            Whose::Table => self.aws.send(request, authority).await,
            Whose::Named => self.named.send(request, authority).await,
        }
    }
}

/// Where a request goes.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    pub(crate) whose: Whose,
    pub(crate) scheme: Scheme,
    pub(crate) authority: Authority,
}

impl Server {
    /// The whole URL of a target.
    fn url(&self, target: PathAndQuery) -> Result<Uri, http::Error> {
        let mut uri = http::uri::Parts::default();
        uri.scheme = Some(self.scheme.clone());
        uri.authority = Some(self.authority.clone());
        uri.path_and_query = Some(target);
        Ok(Uri::from_parts(uri)?)
    }

    /// The request with its whole URL, as HTTP/2 has it.
    fn absolute(&self, mut request: Request<Upload>) -> Result<Request<Upload>, http::Error> {
        let target = request.uri().path_and_query().cloned();
        *request.uri_mut() = self.url(target.unwrap_or(PathAndQuery::from_static("/")))?;
        Ok(request)
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
mod tests;

#[cfg(test)]
mod addresses {
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
