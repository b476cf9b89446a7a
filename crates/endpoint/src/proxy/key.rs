//! Signing keys: of a secret, for one day, region and service.
//!
//! Own code, and not `aws_sigv4::sign::v4::generate_signing_key`, which the tests hold it against: that one leaves the
//! secret in memory that is never wiped, and derives anew, four HMACs, for every chunk.

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use arc_swap::ArcSwap;
use hmac::{Hmac, KeyInit, Mac};
use rotakey_core::credential::{AccessKeyId, SecretAccessKey};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// The algorithm of every signature here, as it stands in headers and in what is signed.
pub(crate) const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// How many ids are remembered, and how many keys of each: a day's services and regions.
const IDS_MAX: usize = 256;
const KEYS_MAX: usize = 64;

/// What a signature is good for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Scope {
    /// `20261125`
    pub day: String,
    /// `eu-west-1`
    pub region: String,
    /// The signing name: `s3`
    pub service: String,
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}/aws4_request", self.day, self.region, self.service)
    }
}

/// Longer than what is signed of most requests: a date, a scope and digits.
const TEXT_BYTES: usize = 256;

/// The hexadecimal digits of a signature.
pub type Signature = [u8; 64];

/// A key that signs. `Hmac` wipes its state when it is dropped.
#[derive(Clone)]
pub struct SigningKey(Hmac<Sha256>);

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl SigningKey {
    /// Derives the key of a scope.
    pub fn derive(secret: &SecretAccessKey, scope: &Scope) -> Self {
        let mut start = Zeroizing::new(Vec::with_capacity(4 + secret.expose().len()));
        start.extend_from_slice(b"AWS4");
        start.extend_from_slice(secret.expose().as_bytes());
        let steps = [&*scope.day, &*scope.region, &*scope.service, "aws4_request"];
        Self(steps.into_iter().fold(mac(&start), |key, step| {
            let tag =
                Zeroizing::new(<[u8; 32]>::from(key.chain_update(step).finalize().into_bytes()));
            mac(&*tag)
        }))
    }

    /// The signature of these parts, one after the other.
    pub fn sign(&self, parts: &[&[u8]]) -> Signature {
        let mut mac = self.0.clone();
        // Each update costs as much as a short part itself: they are put together.
        let mut text = [0; TEXT_BYTES];
        let length = parts.iter().map(|part| part.len()).sum::<usize>();
        if let Some(text) = text.get_mut(..length) {
            let mut rest = &mut *text;
            for part in parts {
                let (place, next) = rest.split_at_mut(part.len());
                place.copy_from_slice(part);
                rest = next;
            }
            mac.update(text);
        } else {
            parts.iter().for_each(|part| mac.update(part));
        }
        digits(&mac.finalize().into_bytes().into())
    }
}

fn mac(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("HMAC takes keys of any length")
}

/// A hash in hexadecimal digits.
pub(super) fn digits(hash: &[u8; 32]) -> [u8; 64] {
    let digit = |half: u8| if half < 10 { b'0' + half } else { b'a' + (half - 10) };
    let mut digits = [0; 64];
    // Four for each request: the encoders of libraries take five times as long.
    for (pair, byte) in digits.chunks_exact_mut(2).zip(hash) {
        pair.copy_from_slice(&[digit(byte >> 4), digit(byte & 15)]);
    }
    digits
}

/// Whether two signatures are the same, in a time that does not tell where they differ.
pub(crate) fn is_same(right: &Signature, given: &[u8]) -> bool {
    right.as_slice().ct_eq(given).into()
}

/// Keys that were derived once. The same id with another secret has other keys. They are read with every request, without a
/// lock.
#[derive(Debug, Default)]
pub struct SigningKeys {
    known: ArcSwap<Known>,
    /// Tells the secrets of an id apart, by a hash that this process alone can make. SHA-256 takes five times as long.
    told_by: RandomState,
}

/// The keys of each id.
type Known = HashMap<AccessKeyId, Arc<Vec<Derived>>>;

#[derive(Clone, Debug)]
struct Derived {
    scope: Scope,
    /// Of the secret: that itself is not kept here, and a key of a day is good for that day alone.
    of: u64,
    key: Arc<SigningKey>,
}

impl SigningKeys {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The key of a secret for a scope.
    pub fn key(
        &self,
        id: &AccessKeyId,
        secret: &SecretAccessKey,
        scope: &Scope,
    ) -> Arc<SigningKey> {
        let of = self.told_by.hash_one(secret.expose());
        let is_it = |known: &&Derived| known.of == of && known.scope == *scope;
        if let Some(known) = self.known.load().get(id).and_then(|keys| keys.iter().find(is_it)) {
            return Arc::clone(&known.key);
        }
        let key = Arc::new(SigningKey::derive(secret, scope));
        let derived = Derived { scope: scope.clone(), of, key: Arc::clone(&key) };
        self.known.rcu(|before| with(before, id, &derived));
        key
    }
}

/// The keys that are known, and one more.
fn with(before: &Known, id: &AccessKeyId, derived: &Derived) -> Known {
    let mut known = before.clone();
    if known.len() >= IDS_MAX && !known.contains_key(id) {
        known.clear();
    }
    let keys = Arc::make_mut(known.entry(id.clone()).or_default());
    let is_same = |known: &Derived| known.of == derived.of && known.scope == derived.scope;
    // Days that are over; and another request may have derived the same meanwhile.
    keys.retain(|known| known.scope.day >= derived.scope.day && !is_same(known));
    if keys.len() >= KEYS_MAX {
        keys.clear();
    }
    keys.push(derived.clone());
    known
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(service: &str) -> Scope {
        let [day, region] = ["20261125", "eu-west-1"].map(str::to_owned);
        Scope { day, region, service: service.to_owned() }
    }

    #[test]
    fn a_key_is_derived_once_and_another_secret_has_another() {
        let keys = SigningKeys::new();
        let id: AccessKeyId = "RKEXAMPLE".parse().expect("an id");
        let [one, other] = ["one", "other"].map(|it| SecretAccessKey::new(it.to_owned()));
        let first = keys.key(&id, &one, &scope("s3"));
        assert!(Arc::ptr_eq(&first, &keys.key(&id, &one, &scope("s3"))));
        let sign = |key: &SigningKey| key.sign(&[b"a", b"b"]);
        assert_eq!(sign(&first), first.sign(&[b"ab"]));
        assert_ne!(sign(&first), sign(&keys.key(&id, &one, &scope("sts"))));
        // The same id was imported again, with the secret put right.
        assert_ne!(sign(&first), sign(&keys.key(&id, &other, &scope("s3"))));
        assert_eq!(sign(&first), sign(&keys.key(&id, &one, &scope("s3"))));
    }

    #[test]
    fn what_is_remembered_has_a_limit() {
        let keys = SigningKeys::new();
        let secret = SecretAccessKey::new("one".to_owned());
        for number in 0..IDS_MAX + 10 {
            let id: AccessKeyId = format!("RK{number:04}").parse().expect("an id");
            keys.key(&id, &secret, &scope("s3"));
        }
        for number in 0..KEYS_MAX + 10 {
            let id: AccessKeyId = "RKEXAMPLE".parse().expect("an id");
            keys.key(&id, &secret, &scope(&format!("s{number}")));
        }
        let tomorrow = Scope { day: "20261126".to_owned(), ..scope("s3") };
        keys.key(&"RKEXAMPLE".parse().expect("an id"), &secret, &tomorrow);
        let known = keys.known.load();
        assert_eq!(known[&"RKEXAMPLE".parse().expect("an id")].len(), 1, "yesterday's are gone");
        assert!(known.len() <= IDS_MAX && known.values().all(|keys| keys.len() <= KEYS_MAX));
    }

    #[test]
    fn nothing_of_a_key_is_printed() {
        let keys = SigningKeys::new();
        let secret = SecretAccessKey::new("hunter2".to_owned());
        keys.key(&"RKEXAMPLE".parse().expect("an id"), &secret, &scope("s3"));
        let text = format!("{keys:?}");
        assert!(text.contains("[redacted]") && !text.contains("hunter"), "{text}");
    }
}
