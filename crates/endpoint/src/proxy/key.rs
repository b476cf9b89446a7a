//! Signing keys: of a secret, for one day, region and service.
//!
//! Own code, and not `aws_sigv4::sign::v4::generate_signing_key`, which the tests hold it against: that one leaves the
//! secret in memory that is never wiped, and derives anew, four HMACs, for every chunk.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use hmac::{Hmac, KeyInit, Mac};
use rotakey_core::credential::{AccessKeyId, SecretAccessKey};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// The algorithm of every signature here, as it stands in headers and in what is signed.
pub(crate) const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// How many keys are remembered: some accounts' worth of services and regions.
const REMEMBERED_MAX: usize = 256;

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
        parts.iter().for_each(|part| mac.update(part));
        let mut signature = [0; 64];
        hex::encode_to_slice(mac.finalize().into_bytes(), &mut signature).expect("twice as long");
        signature
    }
}

fn mac(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("HMAC takes keys of any length")
}

/// Whether two signatures are the same, in a time that does not tell where they differ.
pub(crate) fn is_same(right: &Signature, given: &[u8]) -> bool {
    right.as_slice().ct_eq(given).into()
}

type Derived = (SecretAccessKey, Arc<SigningKey>);

/// Keys that were derived once. The same id with another secret is another key.
#[derive(Debug, Default)]
pub struct SigningKeys(Mutex<HashMap<(AccessKeyId, Scope), Derived>>);

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
        let name = (id.clone(), scope.clone());
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((of, key)) = known.get(&name)
            && bool::from(of.expose().as_bytes().ct_eq(secret.expose().as_bytes()))
        {
            return Arc::clone(key);
        }
        let key = Arc::new(SigningKey::derive(secret, scope));
        if known.len() >= REMEMBERED_MAX {
            // Most of them are of days that are over.
            known.clear();
        }
        known.insert(name, (secret.clone(), Arc::clone(&key)));
        key
    }
}
