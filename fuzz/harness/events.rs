//! Any bytes as an event stream, and what must hold whatever they are.
//!
//! The first byte says what is made right before (nothing; the checksums; those and the signatures), or nothing would get
//! behind the first checksum; the second how they are cut into pieces. Nothing may panic; what is decided does not depend on
//! the pieces; what comes out is not complete unless all of it was right, and, signed back again, is what went in.

use bytes::Bytes;
use jiff::Timestamp;
use rotakey_core::credential::{AccessKeyId, SecretAccessKey};
use rotakey_endpoint::proxy::key::{Scope, Signature, SigningKey, SigningKeys};
use rotakey_endpoint::proxy::payload::ChunkSigner;
use rotakey_endpoint::proxy::payload::chunks::Resign;
use rotakey_endpoint::proxy::payload::events::Events;
use rotakey_endpoint::proxy::refusal::Refusal;
use sha2::{Digest, Sha256};

/// What the corpus is signed with.
const PLACEHOLDER: &str = "placeholderSECRET";
const REAL: &str = "realSECRET";

const SEED: Signature = [b'0'; 64];

/// The two headers of a message, by their names and types.
const DATE: &[u8] = b"\x05:date\x08";
const SIGNATURE: &[u8] = b"\x10:chunk-signature\x06\x00\x20";

/// Panics if these bytes are taken for what they are not.
pub fn check(bytes: &[u8]) {
    is_right(bytes);
}

/// Whether they are a stream that may end.
pub fn is_right(bytes: &[u8]) -> bool {
    let [mode, cuts, body @ ..] = bytes else { return false };
    let body = mended(*mode % 3, body);
    let whole = resigned(&body, PLACEHOLDER, REAL, usize::MAX);
    let in_pieces = resigned(&body, PLACEHOLDER, REAL, usize::from(*cuts) % 40 + 1);
    match (&whole, &in_pieces) {
        (Ok(one), Ok(other)) => assert_eq!(one, other),
        (Err((one, _)), Err((other, _))) => assert_eq!(one, other),
        _ => panic!("{whole:?} and {in_pieces:?}"),
    }
    for result in [&whole, &in_pieces] {
        match result {
            Ok(out) => assert_eq!(out.len(), body.len()),
            Err((_, out)) => assert!(out.len() <= body.len() && !has_end(out), "{}", out.len()),
        }
    }
    if let Ok(out) = &whole {
        let back = resigned(out, REAL, PLACEHOLDER, usize::MAX);
        assert_eq!(back.as_deref().ok(), Some(&body[..]));
        // Not for whoever has another key.
        assert!(resigned(&body, REAL, PLACEHOLDER, usize::MAX).is_err());
        // Nor with anything behind it, nor without its end.
        let more = [&body[..], b"\0"].concat();
        let more = resigned(&more, PLACEHOLDER, REAL, 7);
        assert!(more.is_err_and(|(_, sent)| sent.len() < body.len()));
        assert!(resigned(&body[..body.len() - 1], PLACEHOLDER, REAL, 7).is_err());
    }
    whole.is_ok()
}

/// Whether the message that wraps nothing is among these.
fn has_end(mut messages: &[u8]) -> bool {
    while let Some(four) = messages.first_chunk() {
        let length = u32::from_be_bytes(*four) as usize;
        if length == 12 + DATE.len() + 8 + SIGNATURE.len() + 32 + 4 {
            return true;
        }
        messages = &messages[length..];
    }
    false
}

/// What goes out, or why it ended and what had gone out until then.
fn resigned(
    body: &[u8],
    verified_with: &str,
    signed_with: &str,
    piece: usize,
) -> Result<Vec<u8>, (Refusal, Vec<u8>)> {
    let resign = Resign { verifier: signer(verified_with), signer: signer(signed_with) };
    let (mut events, mut sent) = (Events::new(resign), Vec::new());
    let pieces = body.chunks(piece.min(body.len().max(1))).map(Some);
    for piece in pieces.chain([None]) {
        let step = match piece {
            Some(piece) => events.push(&Bytes::copy_from_slice(piece)),
            None => events.finish(),
        };
        if let Err(why) = step {
            assert_eq!(events.finish(), Err(why), "an error stays");
            return Err((why, sent));
        }
        while let Some(message) = events.pop() {
            sent.extend_from_slice(&message);
        }
    }
    assert_eq!(events.pending_bytes(), 0);
    Ok(sent)
}

fn scope() -> Scope {
    let [day, region, service] = ["20261125", "eu-west-1", "transcribe"].map(str::to_owned);
    Scope { day, region, service }
}

fn signer(secret: &str) -> ChunkSigner {
    let id: AccessKeyId = "RKPLACEHOLDER0000001".parse().expect("an id");
    let secret = SecretAccessKey::new(secret.to_owned());
    let key = SigningKey::derive(&secret, &scope());
    let signer = ChunkSigner::new(key.into(), "20261125T120000Z", &scope(), SEED);
    signer.for_events(&SigningKeys::new(), (&id, &secret), &scope())
}

/// The same with checksums, and with signatures of the placeholder, that are right, as far as it is messages at all.
fn mended(mode: u8, body: &[u8]) -> Vec<u8> {
    let (mut bytes, mut at, mut last) = (body.to_vec(), 0, SEED);
    if mode == 0 {
        return bytes;
    }
    loop {
        let length = bytes.get(at..at + 4).and_then(|four| four.try_into().ok());
        let length = length.map_or(0, u32::from_be_bytes) as usize;
        if length < 16 || length > bytes.len() - at {
            return bytes;
        }
        let message = &mut bytes[at..at + length];
        if mode == 2 {
            mend_signature(message, &mut last);
        }
        let prelude = crc32fast::hash(&message[..8]).to_be_bytes();
        message[8..12].copy_from_slice(&prelude);
        let crc = crc32fast::hash(&message[..length - 4]).to_be_bytes();
        message[length - 4..].copy_from_slice(&crc);
        at += length;
    }
}

fn mend_signature(message: &mut [u8], last: &mut Signature) {
    let (date_bytes, signature_bytes) = (DATE.len() + 8, SIGNATURE.len() + 32);
    let Some((payload_at, end)) = Some((12 + date_bytes + signature_bytes, message.len() - 4))
        .filter(|(from, to)| from <= to)
    else {
        return;
    };
    let is_at = |at: usize, name: &[u8]| message[at..].starts_with(name);
    let (date_at, signature_at) = match () {
        () if is_at(12, DATE) && is_at(12 + date_bytes, SIGNATURE) => (12, 12 + date_bytes),
        () if is_at(12, SIGNATURE) && is_at(12 + signature_bytes, DATE) => {
            (12 + signature_bytes, 12)
        }
        () => return,
    };
    let date = &message[date_at..date_at + date_bytes];
    let milliseconds = date[DATE.len()..].try_into().map_or(0, i64::from_be_bytes);
    let Ok(at) = Timestamp::from_millisecond(milliseconds) else { return };
    let at = at.strftime("%Y%m%dT%H%M%SZ").to_string();
    let scope = Scope { day: at[..8].to_owned(), ..scope() };
    let key = SigningKey::derive(&SecretAccessKey::new(PLACEHOLDER.to_owned()), &scope);
    let hash = |bytes: &[u8]| hex::encode(Sha256::digest(bytes));
    let chained = String::from_utf8_lossy(last);
    let (date, payload) = (hash(date), hash(&message[payload_at..end]));
    let text = format!("AWS4-HMAC-SHA256-PAYLOAD\n{at}\n{scope}\n{chained}\n{date}\n{payload}");
    *last = key.sign(&[text.as_bytes()]);
    let signature_at = signature_at + SIGNATURE.len();
    let place = &mut message[signature_at..signature_at + 32];
    hex::decode_to_slice(&last[..], place).expect("half as long");
}
