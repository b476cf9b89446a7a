//! What a request asks for, once it is verified: by whom, where it goes, and its body.

use std::sync::Arc;

use bytes::Bytes;
use http::Version;
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::request::Parts;
use hyper::body::{Body, Incoming};
use rotakey_core::credential::AccessKeyId;

use super::body::{Held, Patient, STREAM_STALL};
use super::recall::Known;
use super::routing::{check_way, route};
use super::virtual_session::Wanted;
use super::{Proxy, Refused};
use crate::guard;
use crate::proxy::connect::{Way, host};
use crate::proxy::keys::{Endpoint, Keys, Pair};
use crate::proxy::payload::buffer::{Buffered, buffer};
use crate::proxy::payload::{BodyError, Payload};
use crate::proxy::pool::Whose;
use crate::proxy::refusal::Refusal;
use crate::proxy::sessions::Session;
use crate::proxy::upstream::Route;
use crate::proxy::uri::is_s3;
use crate::proxy::verify::{self, Policy, Verified};
use crate::proxy::{operations, told};
use crate::table::Caller;

/// Bodies up to this length are read at once, so that they can be sent twice.
const REPLAYED_BYTES_MAX: usize = 1 << 20;

/// The longest body whose hash is not given.
const HASHED_BYTES_MAX: usize = 64 << 20;

/// A request that may go out.
pub(super) struct Asked<'a> {
    pub(super) head: &'a Parts,
    pub(super) verified: Verified,
    pub(super) pair: Pair,
    pub(super) body: Held,
    /// Where it goes; `None` for the server that was configured.
    route: Option<Route>,
    /// It is answered while it is sent, or for as long as the program wants: over HTTP/2, as it came.
    pub(super) is_stream: bool,
    /// The program said where it goes, and the table does not.
    is_named: bool,
    /// The session that signed it.
    session: Option<Arc<Session>>,
    /// The answer is to be virtualised.
    pub(super) wanted: Option<Wanted>,
}

impl<'a> Asked<'a> {
    /// Verifies it, and reads as much of its body as that takes.
    pub(super) async fn read<K: Keys>(
        proxy: &Proxy<K>,
        caller: &Caller,
        head: &'a Parts,
        body: Incoming,
        way: &Way,
        version_2_region: Option<&str>,
    ) -> Result<Self, Refused> {
        let is_host = |host: &str| match way {
            Way::Port => guard::is_loopback(host.as_bytes()),
            Way::Named(named) => host::is_same(host, named),
        };
        let policy = Policy {
            now: proxy.keys.now(),
            upstream_offset: proxy.offsets.last(),
            is_host: &is_host,
            presigned: true,
            version_2_region,
        };
        let known = Known::new(proxy, head);
        let admitted = verify::admit(head, &policy, &known);
        let admitted = admitted.map_err(|why| match (why, way) {
            (Refusal::HostNotAllowed, Way::Named(_)) => Refusal::OtherHost,
            (why, _) => why,
        })?;
        let session = known.into_session();
        let placeholder = Arc::clone(admitted.placeholder());
        let profile = &placeholder.profile;
        let refused = |why| Refused { why, profile: Some(profile.clone()) };
        let is_events = admitted.payload() == Payload::Events;
        if is_events && head.version != Version::HTTP_2 {
            return Err(refused(Refusal::Http2Needed));
        }
        let is_implicit = admitted.payload() == Payload::Implicit;
        // A body whose hash is given is not touched before the head is known to be right.
        let (verified, body) = if is_implicit {
            let held = whole(proxy, body, HASHED_BYTES_MAX).await.map_err(refused)?;
            let hash = match &held {
                Held::Whole(buffered) => buffered.hash(),
                Held::AtTheDoor { .. } => verify::hash(&[]),
            };
            (admitted.verify(head, Some(hash), &proxy.verifying).map_err(refused)?, held)
        } else {
            let verified = admitted.verify(head, None, &proxy.verifying).map_err(refused)?;
            let held = match is_short(head, &body) {
                // Its end may wait for what is answered to its beginning.
                _ if is_events => Held::at_the_door(Patient::with(body, STREAM_STALL)),
                true => whole(proxy, body, REPLAYED_BYTES_MAX).await.map_err(refused)?,
                false => Held::at_the_door(Patient::new(body)),
            };
            (verified, held)
        };
        if !proxy.keys.may_ask(profile, caller) {
            return Err(refused(Refusal::ForeignProgram));
        }
        let service = &verified.scope().service;
        told::check(service, head, verified.payload(), body.is_whole()).map_err(refused)?;
        // Operations that hand out credentials are told by their forms, which are short. To S3, which has none, curl says of
        // every body that it is a form.
        if !body.is_whole() && !is_s3(service) && operations::is_form(head) {
            return Err(refused(Refusal::TooLarge));
        }
        if let Way::Named(named) = way {
            check_way(proxy.keys.connecting().as_deref(), named, &verified).map_err(refused)?;
        }
        // It may have ended while the body came.
        if session.as_ref().is_some_and(|session| session.expires <= proxy.keys.now()) {
            return Err(refused(Refusal::SessionOver));
        }
        // Of S3 none is told by its body, which may be long.
        let seen = if is_s3(service) { Bytes::new() } else { body.bytes() };
        let wanted = proxy.wanted(head, &seen, &verified, session.as_ref(), caller);
        if matches!(wanted, Ok(Some(_))) {
            proxy.keys.asks_session(caller).await;
        }
        let wanted = wanted.map_err(refused)?;
        let Some(mut pair) = proxy.keys.pair(profile, service) else {
            proxy.keys.unserved(profile);
            return Err(refused(Refusal::NoKey));
        };
        if let Some(session) = &session {
            // AWS knows it from one key or not at all: there is no other to fall over to.
            (pair.current, pair.other) = (Arc::clone(&session.real), None);
        }
        let is_named = matches!(way, Way::Named(_));
        if !body.is_right(&verified, must_check_hash(service, &pair, is_named)) {
            return Err(refused(Refusal::WrongHash));
        }
        let routed = route(head, &verified, &pair, way).map_err(refused)?;
        let is_stream = is_events || (routed.is_stream && head.version == Version::HTTP_2);
        let (route, is_named) = (routed.route, routed.is_named);
        Ok(Self { head, verified, pair, body, route, is_stream, is_named, session, wanted })
    }

    /// The host that it is signed for.
    pub(super) fn host(&self) -> &str {
        let configured = || self.endpoint().map(|endpoint| endpoint.authority.as_str());
        let route = self.route.as_ref().map(|route| route.host.as_str());
        route.or_else(configured).unwrap_or_default()
    }

    /// The region that it is signed for.
    pub(super) fn sign_region(&self) -> &str {
        self.route.as_ref().map_or(&self.verified.scope().region, |route| &route.sign_region)
    }

    /// Who says where it goes.
    pub(super) fn whose(&self) -> Whose {
        match (self.endpoint(), self.is_named) {
            (Some(_), _) => Whose::Own,
            (None, true) => Whose::Named,
            (None, false) => Whose::Table,
        }
    }

    /// Whether it is signed with a session of a program's.
    pub(super) fn is_session(&self) -> bool {
        self.session.is_some()
    }

    /// The placeholder that it counts for: a session stands for the one at its root.
    pub(super) fn placeholder(&self) -> &AccessKeyId {
        self.session.as_ref().map_or(&self.verified.placeholder().id, |session| &session.parent)
    }

    /// Whether the hash that was given has to be compared with the body on its way: what is in memory was looked at.
    pub(super) fn checks_hash(&self) -> bool {
        let service = &self.verified.scope().service;
        !self.body.is_whole() && must_check_hash(service, &self.pair, self.is_named)
    }

    /// Whether its answer is read, as far as answers are: one of STS may hold credentials that nobody was seen to ask for.
    pub(super) fn reads_answer(&self) -> bool {
        self.wanted.is_some() || told::is_sts(&self.verified.scope().service)
    }

    /// The server that was configured, if it is not AWS.
    pub(super) fn endpoint(&self) -> Option<&Endpoint> {
        self.pair.endpoint.as_ref()
    }
}

/// S3 compares it itself, which costs us nothing; others may not.
fn must_check_hash(service: &str, pair: &Pair, is_named: bool) -> bool {
    let is_at_aws = pair.endpoint.is_none() && (is_named || !pair.hosts.has(service));
    !(is_s3(service) && is_at_aws)
}

/// Whether a body's length is known, and small.
fn is_short(head: &Parts, body: &Incoming) -> bool {
    if body.is_end_stream() {
        return true;
    }
    let length =
        head.headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    let is_short = length.is_some_and(|length: usize| length <= REPLAYED_BYTES_MAX);
    is_short && !head.headers.contains_key(TRANSFER_ENCODING)
}

async fn whole<K: Keys>(
    proxy: &Proxy<K>,
    body: Incoming,
    bytes_max: usize,
) -> Result<Held, Refusal> {
    if body.is_end_stream() {
        return Ok(Held::Whole(Buffered::default()));
    }
    match buffer(Patient::new(body), bytes_max, &proxy.budget).await {
        Ok(buffered) => Ok(Held::Whole(buffered)),
        Err(BodyError::Refused(why)) => Err(why),
        Err(BodyError::Source(_)) => Err(Refusal::WrongLength),
    }
}

#[cfg(test)]
mod tests {
    use rotakey_core::credential::{Credentials, Generation, SecretAccessKey};

    use super::*;
    use crate::proxy::upstream::Hosts;
    use crate::publish::Snapshot;

    #[test]
    fn only_s3_itself_is_trusted_to_compare_a_hash() {
        let id: rotakey_core::credential::AccessKeyId = "AKIAONE".parse().expect("an id");
        let credentials =
            Credentials::long_term(id.clone(), SecretAccessKey::new("secret".to_owned()));
        let current = Snapshot {
            generation: Generation(1),
            key: id,
            credentials,
            valid_until: None,
            covered_until: None,
        };
        let mut hosts = Hosts::default();
        let aws = Pair {
            current: Arc::new(current),
            other: None,
            endpoint: None,
            regions: Vec::new(),
            hosts: Arc::new(hosts.clone()),
        };
        hosts.add("s3", "s3.example.com").expect("a host");
        let elsewhere = Pair { hosts: Arc::new(hosts), ..aws.clone() };
        let server = Pair { endpoint: Endpoint::parse("http://127.0.0.1:9000"), ..aws.clone() };
        assert!(!must_check_hash("s3", &aws, false));
        assert!(must_check_hash("dynamodb", &aws, false));
        assert!(must_check_hash("s3", &server, false) && must_check_hash("s3", &server, true));
        assert!(must_check_hash("s3", &elsewhere, false));
        // It goes to the host of AWS's that the program named.
        assert!(!must_check_hash("s3", &elsewhere, true));
    }
}
