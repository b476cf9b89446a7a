//! Event streams whose messages are signed, as a client writes them and as a service reads them: from the specification, with
//! nothing of ours.
#![allow(dead_code, missing_docs, unreachable_pub, reason = "each test uses its own part")]
#![allow(clippy::unwrap_used, reason = "a test")]

use aws_sigv4::sign::v4::{calculate_signature, generate_signing_key};
use jiff::Timestamp;
use sha2::{Digest, Sha256};

pub fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

pub fn date_header(at: Timestamp) -> Vec<u8> {
    [b"\x05:date\x08", &at.as_millisecond().to_be_bytes()[..]].concat()
}

pub fn signature_header(signature: &str) -> Vec<u8> {
    [b"\x10:chunk-signature\x06\x00\x20", &hex::decode(signature).unwrap()[..]].concat()
}

/// A header that is a text.
pub fn text_header(name: &str, value: &str) -> Vec<u8> {
    let name_length = [u8::try_from(name.len()).unwrap()];
    let length = u16::try_from(value.len()).unwrap().to_be_bytes();
    [&name_length, name.as_bytes(), b"\x07", &length, value.as_bytes()].concat()
}

/// A message of these headers, around this payload.
pub fn message(headers: &[u8], payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(16 + headers.len() + payload.len()).unwrap();
    let mut bytes = length.to_be_bytes().to_vec();
    bytes.extend(u32::try_from(headers.len()).unwrap().to_be_bytes());
    bytes.extend(crc32fast::hash(&bytes).to_be_bytes());
    bytes.extend_from_slice(headers);
    bytes.extend_from_slice(payload);
    bytes.extend(crc32fast::hash(&bytes).to_be_bytes());
    bytes
}

/// The signatures of a stream, each going on from the one before ("Signing" in `aws_sigv4::event_stream`, which needs a
/// feature that would build every SDK anew).
#[derive(Clone, Debug)]
pub struct Chain {
    pub secret: String,
    pub region: String,
    pub service: String,
    /// The last signature; at first the head's.
    pub last: String,
}

impl Chain {
    /// The signature of the next message.
    pub fn next(&mut self, at: Timestamp, payload: &[u8]) -> String {
        let Self { secret, region, service, last } = self;
        let (date, day) = (at.strftime("%Y%m%dT%H%M%SZ"), at.strftime("%Y%m%d"));
        let text = format!(
            "AWS4-HMAC-SHA256-PAYLOAD\n{date}\n{day}/{region}/{service}/aws4_request\n{last}\n{}\n{}",
            sha256(&date_header(at)),
            sha256(payload)
        );
        let key = generate_signing_key(secret, at.into(), region, service);
        self.last = calculate_signature(key, text.as_bytes());
        self.last.clone()
    }

    /// The next message, signed. One that wraps nothing is the last.
    pub fn signed(&mut self, at: Timestamp, payload: &[u8], date_first: bool) -> Vec<u8> {
        let (date, signature) = (date_header(at), signature_header(&self.next(at, payload)));
        let headers = if date_first { [date, signature] } else { [signature, date] };
        message(&headers.concat(), payload)
    }
}

/// The names and values of a message's headers, and its payload. Takes texts, bytes and times alone.
pub fn read(message: &[u8]) -> (Vec<(String, Vec<u8>)>, Vec<u8>) {
    let number = |at: usize| u32::from_be_bytes(message[at..at + 4].try_into().unwrap());
    let (length, headers_length) = (number(0) as usize, number(4) as usize);
    assert_eq!(length, message.len());
    assert_eq!(number(8), crc32fast::hash(&message[..8]));
    assert_eq!(number(length - 4), crc32fast::hash(&message[..length - 4]));
    let (mut rest, payload) = message[12..length - 4].split_at(headers_length);
    let mut headers = Vec::new();
    while let [name_length, after @ ..] = rest {
        let (name, after) = after.split_at(usize::from(*name_length));
        let (value, after) = match after[0] {
            8 => after[1..].split_at(8),
            6 | 7 => {
                let length = u16::from_be_bytes([after[1], after[2]]);
                after[3..].split_at(usize::from(length))
            }
            other => panic!("a header of type {other}"),
        };
        headers.push((String::from_utf8(name.to_vec()).unwrap(), value.to_vec()));
        rest = after;
    }
    (headers, payload.to_vec())
}

/// Takes the first message off, if all of it is there.
pub fn take(bytes: &mut Vec<u8>) -> Option<Vec<u8>> {
    let length =
        bytes.get(..4).map(|four| u32::from_be_bytes(four.try_into().unwrap()) as usize)?;
    (bytes.len() >= length).then(|| bytes.drain(..length).collect())
}
