//! Any bytes as the head of a signed request, and what must hold whatever they are.
//!
//! Nothing may panic. Whatever is verified was signed with the placeholder, in full; and what goes out for it carries nothing
//! of the old signature, goes where it was told to, and would be verified itself.

#[path = "heads.rs"]
mod heads;

use std::sync::Arc;

use http::request::Parts;
use jiff::{SignedDuration, Timestamp};
use rotakey_core::credential::{Credentials, SecretAccessKey};
use rotakey_endpoint::proxy::key::SigningKeys;
use rotakey_endpoint::proxy::refusal::Refusal;
use rotakey_endpoint::proxy::render::Protocol;
use rotakey_endpoint::proxy::sign::{Clock, Destination, sign};
use rotakey_endpoint::proxy::verify::{Placeholder, Placeholders, Policy, Verified, admit, hash};

use self::heads::read_head;

const HOST: &str = "127.0.0.1:25000";
const UPSTREAM: &str = "upstream.example";

/// Panics if these bytes get through, and should not.
pub fn check(bytes: &[u8]) {
    is_right(bytes);
}

/// Whether they get through.
pub fn is_right(bytes: &[u8]) -> bool {
    let Some(head) = read_head(bytes) else { return false };
    let verified = match verify(&head, HOST, "RKPLACEHOLDER0000001", "placeholderSECRET") {
        Ok(verified) => verified,
        Err(why) => {
            let answer = why.answer(Protocol::of(&head, None), "1");
            assert!(answer.status().is_client_error() || answer.status().is_server_error());
            return false;
        }
    };
    must_be_signed(&head);
    let secret = SecretAccessKey::new("realSECRET".to_owned());
    let real = Credentials::long_term("AKIAREAL".parse().expect("an id"), secret);
    let scope = verified.scope();
    let to =
        Destination { host: UPSTREAM, region: &scope.region, service: &scope.service, path: None };
    let clock = Clock { now: now(), upstream_offset: SignedDuration::ZERO };
    let signed = sign(&head, &verified, &to, &real, &SigningKeys::new(), clock);
    let signed = match signed {
        Ok(signed) => signed,
        Err(why) => {
            assert_eq!(why, Refusal::CannotSign);
            return true;
        }
    };
    let host: Vec<_> = signed.headers.get_all("host").iter().collect();
    assert_eq!(host, [UPSTREAM]);
    for name in ["connection", "expect", "transfer-encoding", "te", "upgrade", "x-forwarded-for"] {
        assert!(!signed.headers.contains_key(name), "{name}");
    }
    let mut out = http::Request::builder().method(signed.method).uri(signed.target);
    *out.headers_mut().expect("it is good") = signed.headers;
    let out = out.body(()).expect("it is good").into_parts().0;
    must_be_signed(&out);
    let again = verify(&out, UPSTREAM, "AKIAREAL", "realSECRET");
    assert!(again.is_ok_and(|again| !again.is_presigned()), "{out:?}");
    true
}

/// What AWS acts on is signed, and what decides a request stands there once.
fn must_be_signed(head: &Parts) {
    let query = head.uri.query().unwrap_or_default();
    let in_header = head.headers.get("authorization").map(|value| value.to_str().expect("text"));
    assert!(in_header.is_some() != query.contains("X-Amz-Signature"), "{head:?}");
    let names = match in_header {
        Some(text) => text.split("SignedHeaders=").nth(1).expect("there are some"),
        None => return,
    };
    let names = names.split([',', ' ']).next().unwrap_or_default();
    let is_signed = |name: &str| names.split(';').any(|signed| signed == name);
    for name in head.headers.keys().map(http::HeaderName::as_str) {
        assert!(!name.starts_with("x-amz-") || is_signed(name), "{name}");
    }
    assert!(is_signed("host") || is_signed(":authority"));
    for name in ["host", "authorization", "content-length", "x-amz-date", "x-amz-content-sha256"] {
        assert!(head.headers.get_all(name).iter().count() <= 1, "{name}");
    }
    let has = |name| head.headers.contains_key(name);
    assert!(!(has("content-length") && has("transfer-encoding")));
    assert!(!has("origin"));
}

fn verify(head: &Parts, host: &str, id: &str, secret: &str) -> Result<Verified, Refusal> {
    let book = Book(id.to_owned(), secret.to_owned());
    let policy = Policy {
        now: now(),
        upstream_offset: SignedDuration::ZERO,
        is_host: &|own| own == host,
        presigned: true,
        version_2_region: None,
    };
    admit(head, &policy, &book)?.verify(head, Some(hash(b"")), &SigningKeys::new())
}

struct Book(String, String);

impl Placeholders for Book {
    fn placeholder(&self, id: &str) -> Option<Arc<Placeholder>> {
        (id == self.0).then(|| {
            Arc::new(Placeholder {
                id: id.parse().expect("an id"),
                secret: SecretAccessKey::new(self.1.clone()),
                token: None,
                profile: "deploy".to_owned(),
                services: None,
                regions: None,
            })
        })
    }
}

fn now() -> Timestamp {
    "2026-11-25T12:00:00Z".parse().expect("a date")
}
