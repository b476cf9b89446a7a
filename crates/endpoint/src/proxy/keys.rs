//! What the proxy needs to know of whoever runs it: placeholders, and the keys that they stand for.

use std::sync::Arc;

use http::Uri;
use http::uri::{Authority, Scheme};
use jiff::Timestamp;
use rotakey_core::credential::AccessKeyId;

use super::connect::Connecting;
use super::grants::Granting;
use super::refusal::Refusal;
use super::seal::{Seal, SealName};
use super::upstream::Hosts;
use super::verify::Placeholders;
use crate::publish::Snapshot;
use crate::table::{Caller, Refused};

/// What a profile's requests are signed with, and where they go.
#[derive(Clone, Debug)]
pub struct Pair {
    /// What is served.
    pub current: Arc<Snapshot>,
    /// The key of the other generation, as long as it is Active: what is tried when AWS does not know the current one.
    pub other: Option<Arc<Snapshot>>,
    /// A server that takes the place of AWS.
    pub endpoint: Option<Endpoint>,
    /// Regions that are good though the table does not know them.
    pub regions: Vec<String>,
    /// Hosts that go before the table's.
    pub hosts: Arc<Hosts>,
}

/// Runs the proxy. Its calls return at once: requests wait for them.
pub trait Keys: Placeholders + Granting + Send + Sync + 'static {
    /// The keys of a profile, for requests to a service; `None` if there are none to sign with.
    fn pair(&self, profile: &str, service: &str) -> Option<Pair>;

    /// A request goes out that is signed with the key of the other generation.
    fn fell_over(&self, profile: &str, key: &AccessKeyId);

    /// A stream that began with a key goes on with it, though another one is current by now.
    fn goes_on(&self, profile: &str, key: &AccessKeyId);

    /// A profile had no key for a program's request.
    fn unserved(&self, profile: &str);

    /// Whether this program is one of those that may use the profile. Asked after the signature was found right.
    fn may_ask(&self, profile: &str, caller: &Caller) -> bool;

    /// How `CONNECT` and TLS are answered; `None` where they are not.
    fn connecting(&self) -> Option<Arc<Connecting>> {
        None
    }

    /// The clock of this machine.
    fn now(&self) -> Timestamp;

    /// A request was answered by AWS.
    fn forwarded(&self, forwarded: &Forwarded<'_>);

    /// A request that is signed by nobody of ours was sent on as it was, and answered.
    fn passed(&self, _host: &str, _status: u16, _caller: &Caller) {}

    /// What a profile's sessions are sealed with that were made with a long-term key. `None`: they are in memory alone.
    fn seal(&self, _profile: &str, _key: &AccessKeyId) -> Option<Arc<Seal>> {
        None
    }

    /// The seal of that name, of any profile, if there is one. Fails if that cannot be told yet.
    fn seal_named(&self, _name: &SealName) -> Result<Option<Arc<Seal>>, Refusal> {
        Ok(None)
    }

    /// A program asks for a session that it may have, and AWS is about to be asked. Waited for: the program is there meanwhile.
    fn asks_session(&self, _caller: &Caller) -> impl Future<Output = ()> + Send {
        async {}
    }

    /// A program was given a local session in the place of a real one.
    fn virtualised(&self, session: &Virtualised<'_>);

    /// A request was refused. Nothing was sent on, or not all of it.
    fn turned_away(&self, why: Refusal, profile: Option<&str>, caller: &Caller);

    /// Somebody was turned away before a request was read.
    fn refused(&self, why: Refused, caller: Option<&Caller>, what: &str);
}

/// A request that was answered.
#[derive(Clone, Copy, Debug)]
pub struct Forwarded<'a> {
    /// Whose.
    pub profile: &'a str,
    /// The placeholder that it was signed with; of a session, the one at its root.
    pub placeholder: &'a AccessKeyId,
    /// The key that it went out with; of a session, the one that it was made with.
    pub key: &'a AccessKeyId,
    /// It went out with a session that a program made, which lives on without that key.
    pub is_session: bool,
    /// The signing name.
    pub service: &'a str,
    /// The region of the program's signature.
    pub region: &'a str,
    /// What AWS answered.
    pub status: u16,
    /// By whom.
    pub caller: &'a Caller,
}

/// A session that a program asked for, and the local one that it got.
#[derive(Clone, Copy, Debug)]
pub struct Virtualised<'a> {
    /// Whose.
    pub profile: &'a str,
    /// The placeholder that asked for it.
    pub placeholder: &'a AccessKeyId,
    /// By which operation: `AssumeRole`.
    pub operation: &'a str,
    /// The role, as it was asked for: printable ASCII, cut after 256 characters.
    pub role: Option<&'a str>,
    /// By whom.
    pub caller: &'a Caller,
    /// What AWS gave.
    pub real: &'a AccessKeyId,
    /// What stands for it.
    pub local: &'a AccessKeyId,
    /// When both end.
    pub until: Timestamp,
}

/// A server that a person configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    pub(crate) scheme: Scheme,
    pub(crate) authority: Authority,
    /// Stands before every path; without a slash at its end.
    pub(crate) prefix: String,
}

impl Endpoint {
    /// Reads an `endpoint_url`. `None` if it is no URL of HTTP.
    pub fn parse(url: &str) -> Option<Self> {
        let parts = url.parse::<Uri>().ok()?.into_parts();
        let scheme = parts.scheme.filter(|s| *s == Scheme::HTTP || *s == Scheme::HTTPS)?;
        let path = parts.path_and_query.filter(|target| target.query().is_none());
        let prefix = path.map_or(String::new(), |p| p.path().trim_end_matches('/').to_owned());
        Some(Self { scheme, authority: parts.authority?, prefix })
    }

    /// Whether it is reached without TLS.
    pub fn is_plain(&self) -> bool {
        self.scheme == Scheme::HTTP
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_a_url_of_http() {
        let parse = |url| Endpoint::parse(url).map(|e| (e.authority.to_string(), e.prefix));
        let some = |authority: &str, prefix: &str| Some((authority.to_owned(), prefix.to_owned()));
        assert_eq!(parse("http://127.0.0.1:5000"), some("127.0.0.1:5000", ""));
        assert_eq!(parse("https://minio.example/aws/"), some("minio.example", "/aws"));
        let is_plain = |url| Endpoint::parse(url).map(|endpoint| endpoint.is_plain());
        assert_eq!((is_plain("http://a"), is_plain("https://a")), (Some(true), Some(false)));
        for bad in ["", "127.0.0.1:5000", "ftp://x/", "http://"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
