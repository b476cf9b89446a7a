//! Keys and ciphertext: Argon2id, and XChaCha20-Poly1305.

use argon2::{Algorithm, Argon2, Params, Version};
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use zeroize::Zeroizing;

use super::format::{Cost, Sealed};

pub(super) type DataKey = Zeroizing<[u8; 32]>;

impl Cost {
    /// The key that a passphrase gives.
    pub(super) fn derive(self, passphrase: &[u8], salt: &[u8]) -> Result<DataKey, String> {
        // A damaged file shall not make this process allocate or compute without end.
        if self.memory_kib > 1 << 20 || self.passes > 64 {
            return Err("it asks for an absurd amount of work".to_owned());
        }
        let params = Params::new(self.memory_kib, self.passes, 1, Some(32))
            .map_err(|error| error.to_string())?;
        let mut key = Zeroizing::new([0; 32]);
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into(passphrase, salt, key.as_mut_slice())
            .map_err(|error| error.to_string())?;
        Ok(key)
    }
}

/// Encrypts, bound to `context`. `None` only of more bytes than the cipher takes.
pub(super) fn seal(key: &DataKey, nonce: [u8; 24], plain: &[u8], context: &str) -> Option<Sealed> {
    let ciphertext = XChaCha20Poly1305::new((&**key).into())
        .encrypt(&XNonce::from(nonce), Payload { msg: plain, aad: context.as_bytes() })
        .ok()?;
    Some(Sealed { nonce, ciphertext })
}

/// Decrypts. `None` if key, context or bytes are not those of [`seal`].
pub(super) fn open(key: &DataKey, sealed: &Sealed, context: &str) -> Option<Zeroizing<Vec<u8>>> {
    XChaCha20Poly1305::new((&**key).into())
        .decrypt(
            &XNonce::from(sealed.nonce),
            Payload { msg: &sealed.ciphertext, aad: context.as_bytes() },
        )
        .ok()
        .map(Zeroizing::new)
}
