//! Programs that take the proxy for one: `CONNECT`, TLS with certificates of our own, and hosts as AWS names them.
//!
//! Where [`AWS_ENDPOINT_URL`](super::upstream) leads to one address for all services, this way leaves requests as they are:
//! a program connects to `bucket.s3.eu-west-1.amazonaws.com` through us, and signs for that host. We end its TLS with a
//! certificate for that host, made by an [`Authority`] that the program was told to trust; verify; sign for that very host;
//! and send the request to it. Which hosts these may be, `host` says. Nothing else is looked into.

mod authority;
pub(super) mod host;
mod leaf;
pub(super) mod stream;
pub(super) mod tunnel;

use std::collections::BTreeSet;
use std::sync::Arc;

pub(super) use self::authority::NAME;
pub use self::authority::{Authority, CannotCertify, Kept, pem};
use self::host::Kind;
use super::keys::Endpoint;

/// What `CONNECT` and TLS at the proxy's port take.
#[derive(Debug)]
pub struct Connecting {
    /// Makes the certificates.
    pub authority: Arc<Authority>,
    /// The profiles whose programs may come this way.
    pub profiles: BTreeSet<String>,
    /// What these profiles name in `services`: some hosts are only reached by who asks for them.
    pub services: BTreeSet<String>,
    /// The server that takes the place of AWS for all these profiles: where requests go that are nobody's.
    pub endpoint: Option<Endpoint>,
    /// Whether connections to hosts that are not AWS's are passed on, unseen.
    pub tunnels_others: bool,
}

/// By which way a request came in.
#[derive(Clone, Debug)]
pub(crate) enum Way {
    /// For this machine: where it goes is told by what it was signed for.
    Port,
    /// For a host of AWS's, which it says itself.
    Named(Arc<str>),
}

impl Connecting {
    /// The name of the authority.
    pub fn name(&self) -> &str {
        self.authority.name()
    }

    /// Whether requests for a host are looked into.
    pub(super) fn takes(&self, host: &str) -> bool {
        match host::kind(host) {
            Kind::Aws => true,
            Kind::Of(service) => self.services.contains(service),
            Kind::Other => false,
        }
    }
}
