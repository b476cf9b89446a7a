//! A signed message of an event stream, as bytes.
//!
//! ```text
//! 4 length of all   4 length of the headers   4 CRC-32 of these eight
//! headers: 1 length of the name, the name, 1 type, the value
//! what is wrapped
//! 4 CRC-32 of all before it
//! ```

use bytes::{Bytes, BytesMut};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::proxy::refusal::Refusal;

/// Both lengths, and their checksum.
pub(super) const PRELUDE_BYTES: usize = 12;
const CRC_BYTES: usize = 4;

/// The most that a message may have (16 MiB of payload, by the specification), with its headers.
const MESSAGE_BYTES_MAX: usize = 16 * 1024 * 1024 + 1024;

/// `:date`, a timestamp; and `:chunk-signature`, 32 bytes.
const DATE: &[u8] = b"\x05:date\x08";
const SIGNATURE: &[u8] = b"\x10:chunk-signature\x06\x00\x20";
pub(super) const DATE_BYTES: usize = DATE.len() + 8;
const SIGNATURE_BYTES: usize = SIGNATURE.len() + 32;
const HEADERS_BYTES: usize = DATE_BYTES + SIGNATURE_BYTES;

/// An event that says why a stream ends, in the service's form: SDKs fail with its code and its words.
pub(crate) fn error_event(why: Refusal) -> Bytes {
    let words = why.to_string();
    let (mut headers, mut bytes) = (Vec::new(), BytesMut::new());
    for (name, value) in
        [(":message-type", "error"), (":error-code", why.codes().json), (":error-message", &words)]
    {
        // Both are known, and short. 7 is a text.
        headers.push(u8::try_from(name.len()).unwrap_or_default());
        headers.extend_from_slice(name.as_bytes());
        headers.push(7);
        headers.extend(u16::try_from(value.len()).unwrap_or_default().to_be_bytes());
        headers.extend_from_slice(value.as_bytes());
    }
    let length = PRELUDE_BYTES + headers.len() + CRC_BYTES;
    for number in [length, headers.len()] {
        bytes.extend_from_slice(&u32::try_from(number).unwrap_or_default().to_be_bytes());
    }
    let crc = crc32fast::hash(&bytes);
    bytes.extend_from_slice(&crc.to_be_bytes());
    bytes.extend_from_slice(&headers);
    let crc = crc32fast::hash(&bytes);
    bytes.extend_from_slice(&crc.to_be_bytes());
    bytes.freeze()
}

#[derive(Debug)]
pub(super) struct Message {
    bytes: BytesMut,
    date_at: usize,
    signature_at: usize,
}

/// How long a message is, by its prelude.
pub(super) fn length_of(bytes: &[u8]) -> Result<usize, Refusal> {
    let number = |at: usize| {
        let bytes = bytes.get(at..at + 4).and_then(|four| four.try_into().ok());
        bytes.map(u32::from_be_bytes).ok_or(Refusal::BadChunk)
    };
    let (length, headers, crc) = (number(0)? as usize, number(4)? as usize, number(8)?);
    if crc32fast::hash(&bytes[..8]) != crc || headers != HEADERS_BYTES {
        return Err(Refusal::BadChunk);
    }
    match length {
        _ if length > MESSAGE_BYTES_MAX => Err(Refusal::ChunkTooLarge),
        _ if length < PRELUDE_BYTES + HEADERS_BYTES + CRC_BYTES => Err(Refusal::BadChunk),
        _ => Ok(length),
    }
}

impl Message {
    /// One whole message. SDKs write its two headers in either order.
    pub(super) fn parse(bytes: BytesMut) -> Result<Self, Refusal> {
        let (body, crc) = bytes.split_at(bytes.len() - CRC_BYTES);
        if crc32fast::hash(body).to_be_bytes() != crc {
            return Err(Refusal::BadChunk);
        }
        let headers = &body[PRELUDE_BYTES..];
        let is_at = |at: usize, name: &[u8]| headers[at..].starts_with(name);
        let (date, signature) = if is_at(0, DATE) && is_at(DATE_BYTES, SIGNATURE) {
            (0, DATE_BYTES)
        } else if is_at(0, SIGNATURE) && is_at(SIGNATURE_BYTES, DATE) {
            (SIGNATURE_BYTES, 0)
        } else {
            return Err(Refusal::BadChunk);
        };
        let date_at = PRELUDE_BYTES + date;
        let signature_at = PRELUDE_BYTES + signature + SIGNATURE.len();
        Ok(Self { bytes, date_at, signature_at })
    }

    /// The header `:date`, as it is signed. Its last eight bytes are milliseconds since 1970.
    pub(super) fn date(&self) -> [u8; DATE_BYTES] {
        let mut date = [0; DATE_BYTES];
        date.copy_from_slice(&self.bytes[self.date_at..self.date_at + DATE_BYTES]);
        date
    }

    pub(super) fn payload_hash(&self) -> [u8; 32] {
        Sha256::digest(self.payload()).into()
    }

    /// Whether it wraps nothing: the last one.
    pub(super) fn is_empty(&self) -> bool {
        self.payload().is_empty()
    }

    pub(super) fn has_signature(&self, right: &[u8; 32]) -> bool {
        self.bytes[self.signature_at..self.signature_at + 32].ct_eq(right).into()
    }

    /// The same with another signature.
    pub(super) fn signed(&mut self, signature: &[u8; 32]) -> Bytes {
        self.bytes[self.signature_at..self.signature_at + 32].copy_from_slice(signature);
        let end = self.bytes.len() - CRC_BYTES;
        let crc = crc32fast::hash(&self.bytes[..end]).to_be_bytes();
        self.bytes[end..].copy_from_slice(&crc);
        self.bytes.split().freeze()
    }

    fn payload(&self) -> &[u8] {
        &self.bytes[PRELUDE_BYTES + HEADERS_BYTES..self.bytes.len() - CRC_BYTES]
    }
}
