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

fn session(local: &str, expires: i64) -> Session {
    let expires = Timestamp::from_second(expires).expect("in range");
    let real = Snapshot {
        generation: Generation(1),
        key: id("AKIAONE"),
        credentials: credentials("ASIAREAL"),
        valid_until: Some(expires),
        covered_until: None,
    };
    Session {
        local: credentials(local),
        real: Arc::new(real),
        parent: id("AKIAPARENT"),
        profile: "app".to_owned(),
        expires,
        epoch: 0,
    }
}

/// The head of a request with the token of a session, sealed with the seal of a key.
fn head(sealed_with: &str) -> Parts {
    let token = token_of(&session(LOCAL, 3600), &seal(sealed_with)).expect("a token");
    let request = http::Request::builder().header("x-amz-security-token", token.expose());
    request.body(()).expect("a request").into_parts().0
}

fn proxy() -> Proxy<Desk> {
    Proxy::new(Arc::new(Desk)).expect("TLS")
}

/// Whoever knows the secret of one key makes no session that is said to be of another.
#[test]
fn a_session_is_opened_by_the_seal_of_its_own_key_alone() {
    let proxy = proxy();
    for (sealed_with, is_good) in [("AKIATHREE", false), ("AKIATWO", false), ("AKIAONE", true)] {
        let head = head(sealed_with);
        let found = Known::new(&proxy, &head).find(LOCAL).expect("it can be told");
        assert_eq!(found.is_some(), is_good, "{sealed_with}");
    }
}

/// A program may have more sessions than are in memory: others of its own take the place of one that is in use.
#[test]
fn a_session_that_makes_room_meanwhile_is_good_for_the_request_that_found_it() {
    let (proxy, head) = (proxy(), head("AKIAONE"));
    let crowd = || {
        // Each ends later than the one that is looked for.
        for number in 0..300 {
            let other = session(&format!("ROTAKEY1{number:012}"), 4000 + number);
            proxy.sessions.keep(other, Timestamp::UNIX_EPOCH);
        }
        assert!(proxy.sessions.get(LOCAL, Timestamp::UNIX_EPOCH).is_none(), "it made room");
    };
    crowd();
    let known = Known::new(&proxy, &head);
    assert!(known.placeholder(LOCAL).is_some());
    crowd();
    assert!(known.placeholder(LOCAL).is_some(), "looked for again");
    crowd();
    let found = known.into_session().expect("the one that was found");
    assert_eq!(found.local.access_key_id.as_str(), LOCAL);
}
