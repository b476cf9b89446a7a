use std::sync::Arc;

use jiff::Timestamp;
use rotakey_core::credential::{
    AccessKeyId, Credentials, Generation, SecretAccessKey, SessionToken,
};

use super::*;
use crate::proxy::grants::{Granting, Grants};
use crate::proxy::keys::{Forwarded, Pair, Virtualised};
use crate::proxy::seal::{Seal, SealName};
use crate::proxy::sessions::token_of;
use crate::proxy::verify::{Placeholder, Placeholders};
use crate::publish::Snapshot;
use crate::table::{Caller, Refused};

const LOCAL: &str = "ROTAKEY1AAAAAAAAAAAA";

/// Two keys are held: `AKIAONE` is the profile's, `AKIATWO` another one's.
#[derive(Debug)]
struct Desk;

impl Placeholders for Desk {
    fn placeholder(&self, name: &str) -> Option<Arc<Placeholder>> {
        let secret = SecretAccessKey::new("a placeholder's".to_owned());
        let profile = "app".to_owned();
        let (token, services, regions) = (None, None, None);
        Some(Arc::new(Placeholder { id: id(name), secret, token, profile, services, regions }))
    }
}

impl Granting for Desk {
    fn grants(&self, _: &str) -> Option<Arc<Grants>> {
        None
    }
    fn session_epoch(&self, _: &str) -> u64 {
        0
    }
}

impl Keys for Desk {
    fn seal(&self, _: &str, key: &AccessKeyId) -> Option<Arc<Seal>> {
        (key.as_str() == "AKIAONE").then(|| Arc::new(seal("AKIAONE")))
    }
    fn seal_named(&self, name: &SealName) -> Result<Option<Arc<Seal>>, Refusal> {
        let mut held = ["AKIAONE", "AKIATWO"].into_iter().map(seal);
        Ok(held.find(|seal| seal.name() == name).map(Arc::new))
    }
    fn now(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH
    }

    fn pair(&self, _: &str, _: &str) -> Option<Pair> {
        None
    }
    fn fell_over(&self, _: &str, _: &AccessKeyId) {}
    fn goes_on(&self, _: &str, _: &AccessKeyId) {}
    fn unserved(&self, _: &str) {}
    fn may_ask(&self, _: &str, _: &Caller) -> bool {
        true
    }
    fn forwarded(&self, _: &Forwarded<'_>) {}
    fn virtualised(&self, _: &Virtualised<'_>) {}
    fn turned_away(&self, _: Refusal, _: Option<&str>, _: &Caller) {}
    fn refused(&self, _: Refused, _: Option<&Caller>, _: &str) {}
}

fn id(name: &str) -> AccessKeyId {
    name.parse().expect("an id")
}

fn seal(key: &str) -> Seal {
    Seal::of(&SecretAccessKey::new(format!("secret of {key}")))
}

fn credentials(name: &str) -> Credentials {
    let session_token = Some(SessionToken::new("token".to_owned()));
    Credentials {
        session_token,
        ..Credentials::long_term(id(name), SecretAccessKey::new("s".to_owned()))
    }
}

/// Whether a session of `AKIAONE` is taken up that is sealed with the seal of a key.
fn is_recalled(sealed_with: &str) -> bool {
    let expires = Timestamp::from_second(3600).expect("in range");
    let real = Snapshot {
        generation: Generation(1),
        key: id("AKIAONE"),
        credentials: credentials("ASIAREAL"),
        valid_until: Some(expires),
        covered_until: None,
    };
    let session = Session {
        local: credentials(LOCAL),
        real: Arc::new(real),
        parent: id("AKIAPARENT"),
        profile: "app".to_owned(),
        expires,
        epoch: 0,
    };
    let token = token_of(&session, &seal(sealed_with)).expect("a token");
    let signature =
        format!("AWS4-HMAC-SHA256 Credential={LOCAL}/19700101/us-east-1/s3/aws4_request");
    let request = http::Request::builder()
        .header(AUTHORIZATION, signature)
        .header("x-amz-security-token", token.expose());
    let head = request.body(()).expect("a request").into_parts().0;
    let proxy = Proxy::new(Arc::new(Desk)).expect("TLS");
    proxy.recall(&head).expect("it can be told");
    proxy.sessions.get(LOCAL, Timestamp::UNIX_EPOCH).is_some()
}

/// Whoever knows the secret of one key makes no session that is said to be of another.
#[test]
fn a_session_is_opened_by_the_seal_of_its_own_key_alone() {
    assert!(is_recalled("AKIAONE"));
    assert!(!is_recalled("AKIATWO"));
    assert!(!is_recalled("AKIATHREE"));
}
