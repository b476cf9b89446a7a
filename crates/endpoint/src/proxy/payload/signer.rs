//! The signatures of chunks and trailers, each going on from the one before.
//!
//! Not `aws_sigv4::sign::v4::sign_chunk`, which the tests hold this against: it hashes the chunk itself. Here the same data is
//! verified and signed, and its hash, which is nearly all of the work, is made once.

use std::fmt;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use rotakey_core::credential::{AccessKeyId, SecretAccessKey};
use sha2::{Digest, Sha256};

use super::message::DATE_BYTES;
use crate::proxy::date::{format_basic, parse_basic};
use crate::proxy::key::{Scope, Signature, SigningKey, SigningKeys, digits};
use crate::proxy::refusal::Refusal;

const CHUNK: &[u8] = b"AWS4-HMAC-SHA256-PAYLOAD\n";
const TRAILER: &[u8] = b"AWS4-HMAC-SHA256-TRAILER\n";

/// SHA-256 of nothing: the headers that a chunk does not have, and the body of most requests.
pub(super) const NOTHING: &[u8; 64] =
    b"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// A day's key, and the next day's.
type Days = [(Scope, Arc<SigningKey>); 2];

/// Signs what comes after a head. Starts from the head's signature.
#[derive(Clone)]
pub struct ChunkSigner {
    key: Arc<SigningKey>,
    /// Date and scope, each with the end of its line.
    scope: String,
    last: Signature,
    /// For event streams, which may go on past midnight: the keys of the head's day and of the next.
    days: Option<Arc<Days>>,
}

/// A signature is as good as the request that it signs, for some minutes.
impl fmt::Debug for ChunkSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl ChunkSigner {
    /// Goes on from the signature of a head, whose date (`20261125T120000Z`) and scope it has.
    pub fn new(key: Arc<SigningKey>, date: &str, scope: &Scope, seed: Signature) -> Self {
        let Scope { day, region, service } = scope;
        let scope = [date, "\n", day, "/", region, "/", service, "/aws4_request\n"].concat();
        Self { key, scope, last: seed, days: None }
    }

    /// The same for an event stream, whose messages have dates of their own: of the day of `scope`, or of the next.
    pub fn for_events(
        self,
        keys: &SigningKeys,
        (id, secret): (&AccessKeyId, &SecretAccessKey),
        scope: &Scope,
    ) -> Self {
        let tomorrow = parse_basic(&format!("{}T000000Z", scope.day))
            .and_then(|today| today.checked_add(SignedDuration::from_hours(24)).ok());
        let tomorrow = tomorrow.map_or(String::new(), |at| format_basic(at)[..8].to_owned());
        let next = Scope { day: tomorrow, ..scope.clone() };
        let days = [scope.clone(), next].map(|scope| {
            let key = keys.key(id, secret, &scope);
            (scope, key)
        });
        Self { days: Some(Arc::new(days)), ..self }
    }

    /// Signs the next message of an event stream: its header `:date`, and the hash of what it wraps.
    pub(super) fn sign_event(
        &mut self,
        date: &[u8; DATE_BYTES],
        payload_hash: &[u8; 32],
    ) -> Result<[u8; 32], Refusal> {
        let mut milliseconds = [0; 8];
        milliseconds.copy_from_slice(&date[DATE_BYTES - 8..]);
        let at = Timestamp::from_millisecond(i64::from_be_bytes(milliseconds));
        let at = format_basic(at.map_err(|_| Refusal::BadChunk)?);
        let days = self.days.as_ref().ok_or(Refusal::PayloadMode)?;
        let day = days.iter().find(|(scope, _)| at.starts_with(&scope.day));
        let (scope, key) = day.ok_or(Refusal::Skewed)?;
        let text = format!("{at}\n{scope}\n");
        let (date, payload) = (digits(&Sha256::digest(date).into()), digits(payload_hash));
        self.last = key.sign(&[CHUNK, text.as_bytes(), &self.last, b"\n", &date, b"\n", &payload]);
        let mut signature = [0; 32];
        hex::decode_to_slice(self.last, &mut signature).expect("half as long");
        Ok(signature)
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

/// Hexadecimal digits in small letters, as AWS writes them. All are looked at, many at a time.
pub(crate) fn is_digits(text: &[u8]) -> bool {
    let is_digit = |byte: u8| byte.is_ascii_digit() | (b'a'..=b'f').contains(&byte);
    text.iter().fold(true, |are, byte| are & is_digit(*byte))
}
