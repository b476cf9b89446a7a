//! A session in its own token: `1`, the seal's name, a nonce, and what is sealed, in Base64 for URLs.

use std::sync::Arc;

use data_encoding::BASE64URL_NOPAD;
use jiff::Timestamp;
use rotakey_core::credential::{
    AccessKeyId, Credentials, Generation, SecretAccessKey, SessionToken,
};
use zeroize::Zeroizing;

use super::Session;
use crate::proxy::grants::lasting;
use crate::proxy::seal::{NONCE, Seal, SealName};
use crate::publish::Snapshot;

const VERSION: u8 = 1;
const NAME: usize = size_of::<SealName>();

/// A longer token is not made: the session is in memory alone then. AWS's own are shorter than 4 KiB.
const CHARS_MAX: usize = 8192;

/// What is sealed: the local secret; the real id, secret and token; the key that it was made with; the parent; the profile;
/// the key's generation; its end, in seconds of the Unix time; and how often the profile's sessions were made void before.
/// The local id is not in it, but what it is bound to.
type Plain<'a> = (&'a str, &'a str, &'a str, &'a str, &'a str, &'a str, &'a str, u64, i64, u64);

/// The token of a session. `None` if there can be none.
pub(crate) fn token_of(session: &Session, seal: &Seal) -> Option<SessionToken> {
    let real = &session.real.credentials;
    let real_token = real.session_token.as_ref()?.expose();
    let plain: Plain<'_> = (
        session.local.secret_access_key.expose(),
        real.access_key_id.as_str(),
        real.secret_access_key.expose(),
        real_token,
        session.real.key.as_str(),
        session.parent.as_str(),
        &session.profile,
        session.real.generation.0,
        session.expires.as_second(),
        lasting(session.epoch),
    );
    // Room for all of it: a buffer that grows leaves what it held behind.
    let room = 512 + 2 * (real_token.len() + session.profile.len());
    let mut bytes = Zeroizing::new(Vec::with_capacity(room));
    serde_json::to_writer(&mut *bytes, &plain).ok()?;
    let context = context(seal.name(), session.local.access_key_id.as_str());
    let (nonce, sealed) = seal.seal(&bytes, &context)?;
    let whole = [&[VERSION][..], seal.name(), &nonce, &sealed].concat();
    let text = BASE64URL_NOPAD.encode(&whole);
    (text.len() <= CHARS_MAX).then(|| SessionToken::new(text))
}

/// A token that may hold a session.
pub(crate) struct Sealed {
    text: String,
    name: SealName,
    nonce: [u8; NONCE],
    sealed: Vec<u8>,
}

impl Sealed {
    /// Reads a token; `None` if it is not of that form.
    pub(crate) fn read(text: &str) -> Option<Self> {
        if text.len() > CHARS_MAX {
            return None;
        }
        let bytes = BASE64URL_NOPAD.decode(text.as_bytes()).ok()?;
        let (version, rest) = bytes.split_first()?;
        let (name, rest) = rest.split_first_chunk::<NAME>()?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE>()?;
        (*version == VERSION).then(|| Self {
            text: text.to_owned(),
            name: *name,
            nonce: *nonce,
            sealed: sealed.to_vec(),
        })
    }

    /// Which seal opens it.
    pub(crate) fn name(&self) -> &SealName {
        &self.name
    }

    /// The session of a local id. Its epoch is what of that lasts: how often sessions were made void before.
    pub(crate) fn open(&self, id: &str, seal: &Seal) -> Option<Session> {
        let plain = seal.open(self.nonce, &self.sealed, &context(&self.name, id))?;
        let plain: Plain<'_> = serde_json::from_slice(&plain).ok()?;
        let (secret, real_id, real_secret, real_token, key, parent, profile, ..) = plain;
        let (.., generation, expires, epoch) = plain;
        let expires = Timestamp::from_second(expires).ok()?;
        let credentials = |id: &str, secret: &str, token: &str| {
            Some(Credentials {
                access_key_id: id.parse::<AccessKeyId>().ok()?,
                secret_access_key: SecretAccessKey::new(secret.to_owned()),
                session_token: Some(SessionToken::new(token.to_owned())),
            })
        };
        Some(Session {
            local: credentials(id, secret, &self.text)?,
            real: Arc::new(Snapshot {
                generation: Generation(generation),
                key: key.parse().ok()?,
                credentials: credentials(real_id, real_secret, real_token)?,
                valid_until: Some(expires),
                covered_until: None,
            }),
            parent: parent.parse().ok()?,
            profile: profile.to_owned(),
            expires,
            epoch,
        })
    }
}

fn context(name: &SealName, id: &str) -> Vec<u8> {
    [&[VERSION][..], name, id.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "ROTAKEY1AAAAAAAAAAAA";

    fn session(token: &str) -> Session {
        let id = |text: &str| text.parse::<AccessKeyId>().expect("an id");
        let credentials = |name: &str, secret: &str, token: &str| Credentials {
            access_key_id: id(name),
            secret_access_key: SecretAccessKey::new(secret.to_owned()),
            session_token: Some(SessionToken::new(token.to_owned())),
        };
        let expires = Timestamp::from_second(1_800_000_000).expect("in range");
        let real = Snapshot {
            generation: Generation(7),
            key: id("AKIAREAL"),
            credentials: credentials("ASIAREAL", "real/secret+", token),
            valid_until: Some(expires),
            covered_until: None,
        };
        Session {
            local: credentials(ID, "local/secret", "random"),
            real: Arc::new(real),
            parent: id("ROTAKEYPARENT"),
            profile: "p".to_owned(),
            expires,
            epoch: (9 << 32) | 3,
        }
    }

    fn seal(secret: &str) -> Seal {
        Seal::of(&SecretAccessKey::new(secret.to_owned()))
    }

    #[test]
    fn a_session_comes_back_from_its_token_as_it_was() {
        let before = session("real/token==");
        let seal = seal("one");
        let token = token_of(&before, &seal).expect("sealed");
        let sealed = Sealed::read(token.expose()).expect("a token");
        assert_eq!(sealed.name(), seal.name());
        let after = sealed.open(ID, &seal).expect("opened");
        assert_eq!(after.real.credentials, before.real.credentials);
        assert_eq!(after.real.key, before.real.key);
        assert_eq!(after.real.generation, before.real.generation);
        assert_eq!(after.local.secret_access_key, before.local.secret_access_key);
        assert_eq!(after.local.session_token, Some(token));
        assert_eq!((after.parent, after.profile), (before.parent, before.profile));
        assert_eq!((after.expires, after.epoch), (before.expires, 3), "what lasts of the epoch");
    }

    #[test]
    fn a_token_that_was_changed_or_is_anothers_opens_nothing() {
        let before = session("real/token==");
        let (one, other) = (seal("one"), seal("other"));
        let token = token_of(&before, &one).expect("sealed");
        let sealed = Sealed::read(token.expose()).expect("a token");
        assert!(sealed.open("ROTAKEY1BBBBBBBBBBBB", &one).is_none(), "of another id");
        assert!(sealed.open(ID, &other).is_none(), "of another key");
        assert_ne!(one.name(), other.name());
        let bytes = BASE64URL_NOPAD.decode(token.expose().as_bytes()).expect("its form");
        for place in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[place] ^= 1;
            let read = Sealed::read(&BASE64URL_NOPAD.encode(&changed));
            assert!(read.is_none_or(|sealed| sealed.open(ID, &one).is_none()), "byte {place}");
        }
        for odd in ["", "x", "AQ", &"A".repeat(CHARS_MAX + 4), &token.expose()[1..]] {
            let read = Sealed::read(odd);
            assert!(read.is_none_or(|sealed| sealed.open(ID, &one).is_none()), "{odd}");
        }
    }

    #[test]
    fn a_token_has_nothing_in_clear_and_bears_headers_and_urls() {
        let before = session(&"longToken+/".repeat(300));
        let token = token_of(&before, &seal("one")).expect("sealed");
        let text = token.expose();
        assert!(text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'));
        assert!(text.len() < 5200, "{}", text.len());
        let bytes = BASE64URL_NOPAD.decode(text.as_bytes()).expect("its form");
        for part in ["ASIAREAL", "real/secret+", "longToken", "AKIAREAL", "local/secret"] {
            assert!(!bytes.windows(part.len()).any(|window| window == part.as_bytes()), "{part}");
        }
        assert_ne!(token_of(&before, &seal("one")), Some(token), "no two are the same");
        let long = session(&"x".repeat(CHARS_MAX));
        assert!(token_of(&long, &seal("one")).is_none(), "none that is too long for a header");
    }
}
