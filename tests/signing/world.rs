//! A placeholder, a real key, and what is made of requests with them.

use std::sync::Arc;

use http::request::Parts;
use jiff::SignedDuration;
use rotakey_core::credential::{Credentials, SecretAccessKey, SessionToken};
use rotakey_endpoint::proxy::key::SigningKeys;
use rotakey_endpoint::proxy::refusal::Refusal;
use rotakey_endpoint::proxy::sign::{Clock, Destination, Signed};
use rotakey_endpoint::proxy::verify::{
    Admitted, Placeholder, Placeholders, Policy, Verified, admit,
};

pub use super::client::{Client, HOST, ID, SECRET, now, request};

pub fn placeholder() -> Placeholder {
    Placeholder {
        id: ID.parse().unwrap(),
        secret: SecretAccessKey::new(SECRET.to_owned()),
        token: None,
        profile: "deploy".to_owned(),
        services: None,
        regions: None,
    }
}

/// The real key.
pub fn real() -> Credentials {
    let secret = SecretAccessKey::new("realSECRETrealSECRETrealSECRETrealSECRET".to_owned());
    Credentials::long_term("AKIAREALREALREALREAL".parse().unwrap(), secret)
}

pub fn real_session() -> Credentials {
    let token = SessionToken::new("realTOKENrealTOKEN//+=".to_owned());
    Credentials { session_token: Some(token), ..real() }
}

/// One placeholder.
pub struct Book(pub Placeholder);

impl Placeholders for Book {
    fn placeholder(&self, id: &str) -> Option<Arc<Placeholder>> {
        (id == self.0.id.as_str()).then(|| Arc::new(self.0.clone()))
    }
}

pub fn policy<'a>() -> Policy<'a> {
    Policy {
        now: now(),
        upstream_offset: SignedDuration::ZERO,
        is_host: &|host| host == HOST,
        presigned: true,
        version_2_region: None,
    }
}

pub fn admitted(head: &Parts) -> Result<Admitted<'_>, Refusal> {
    admit(head, &policy(), &Book(placeholder()))
}

pub fn verified(head: &Parts, body: &[u8]) -> Result<Verified, Refusal> {
    let hash = rotakey_endpoint::proxy::verify::hash(body);
    admitted(head)?.verify(head, Some(hash), &SigningKeys::new())
}

/// Signs it for a service of AWS, with the region it came with.
pub fn resigned(head: &Parts, verified: &Verified, with: &Credentials) -> Signed {
    let scope = verified.scope();
    let (host, region) =
        (format!("{}.{}.amazonaws.com", scope.service, scope.region), &scope.region);
    let to = Destination { host: &host, region, service: &scope.service, path: None };
    let clock = Clock { now: now(), upstream_offset: SignedDuration::ZERO };
    rotakey_endpoint::proxy::sign::sign(head, verified, &to, with, &SigningKeys::new(), clock)
        .unwrap()
}
