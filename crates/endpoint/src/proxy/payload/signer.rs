//! The signatures of chunks and trailers, each going on from the one before.
//!
//! Not `aws_sigv4::sign::v4::sign_chunk`, which the tests hold this against: it hashes the chunk itself. Here the same data is
//! verified and signed, and its hash, which is nearly all of the work, is made once.

use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::proxy::key::{Scope, Signature, SigningKey};

const CHUNK: &[u8] = b"AWS4-HMAC-SHA256-PAYLOAD\n";
const TRAILER: &[u8] = b"AWS4-HMAC-SHA256-TRAILER\n";

/// SHA-256 of nothing: the headers that a chunk does not have.
const NOTHING: &[u8; 64] = b"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// Signs what comes after a head. Starts from the head's signature.
#[derive(Clone, Debug)]
pub struct ChunkSigner {
    key: Arc<SigningKey>,
    /// Date and scope, each with the end of its line.
    scope: String,
    last: Signature,
}

impl ChunkSigner {
    pub(crate) fn new(key: Arc<SigningKey>, date: &str, scope: &Scope, seed: Signature) -> Self {
        Self { key, scope: format!("{date}\n{scope}\n"), last: seed }
    }

    /// The signature of the head.
    pub fn seed(&self) -> &Signature {
        &self.last
    }

    /// Signs the next chunk, by the hash of its data.
    pub fn sign_chunk(&mut self, data_hash: &[u8; 32]) -> Signature {
        let hash = digits(data_hash);
        let scope = self.scope.as_bytes();
        self.last = self.key.sign(&[CHUNK, scope, &self.last, b"\n", NOTHING, b"\n", &hash]);
        self.last
    }

    /// Signs the headers after the last chunk: each `name:value\n`, in the order of their names.
    pub fn sign_trailer(&mut self, canonical: &[u8]) -> Signature {
        let hash = digits(&Sha256::digest(canonical).into());
        let scope = self.scope.as_bytes();
        self.last = self.key.sign(&[TRAILER, scope, &self.last, b"\n", &hash]);
        self.last
    }
}

fn digits(hash: &[u8; 32]) -> [u8; 64] {
    let mut digits = [0; 64];
    hex::encode_to_slice(hash, &mut digits).expect("twice as long");
    digits
}

/// Hexadecimal digits in small letters, as AWS writes them.
pub(super) fn is_digits(text: &[u8]) -> bool {
    text.iter().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(byte))
}
