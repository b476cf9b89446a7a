//! What sessions are sealed with in their own tokens, so that they outlive this process (ADR 7).
//!
//! A seal is made from the secret of the long-term key that the session was made with. Who has that secret can make such a
//! session himself: no other secret has to be kept, and a seal ends with its key.

use std::fmt;

use chacha20poly1305::aead::{Aead, KeyInit as _, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use hmac::{Hmac, Mac};
use rotakey_core::credential::SecretAccessKey;
use sha2::Sha256;
use zeroize::Zeroizing;

/// What each of the two that are made from a secret is for.
const FOR_KEY: &[u8] = b"rotakey: the seal of sessions, 1";
const FOR_NAME: &[u8] = b"rotakey: the name of a seal, 1";

/// Bytes of a nonce.
pub(crate) const NONCE: usize = 24;

/// Tells a seal from others, and nothing else.
pub type SealName = [u8; 8];

/// Seals, and opens what it sealed.
pub struct Seal {
    name: SealName,
    key: Zeroizing<[u8; 32]>,
}

impl fmt::Debug for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl Seal {
    /// That of a key.
    pub fn of(secret: &SecretAccessKey) -> Self {
        let derived = |what: &[u8]| {
            let mac = <Hmac<Sha256> as hmac::KeyInit>::new_from_slice(secret.expose().as_bytes());
            let mac = mac.expect("a key of any length");
            Zeroizing::new(<[u8; 32]>::from(mac.chain_update(what).finalize().into_bytes()))
        };
        let mut name = SealName::default();
        name.copy_from_slice(&derived(FOR_NAME)[..8]);
        Self { name, key: derived(FOR_KEY) }
    }

    /// Its name.
    pub fn name(&self) -> &SealName {
        &self.name
    }

    /// `None` without randomness.
    pub(crate) fn seal(&self, plain: &[u8], context: &[u8]) -> Option<([u8; NONCE], Vec<u8>)> {
        let mut nonce = [0; NONCE];
        getrandom::fill(&mut nonce).ok()?;
        let payload = Payload { msg: plain, aad: context };
        Some((nonce, self.cipher().encrypt(&XNonce::from(nonce), payload).ok()?))
    }

    /// `None` if it was not sealed by this one, in this context.
    pub(crate) fn open(
        &self,
        nonce: [u8; NONCE],
        sealed: &[u8],
        context: &[u8],
    ) -> Option<Zeroizing<Vec<u8>>> {
        let payload = Payload { msg: sealed, aad: context };
        self.cipher().decrypt(&XNonce::from(nonce), payload).ok().map(Zeroizing::new)
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new((&*self.key).into())
    }
}
