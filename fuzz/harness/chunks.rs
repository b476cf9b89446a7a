//! Any bytes as a body in chunks, and what must hold whatever they are.
//!
//! The first byte says how the body is signed, the second how it is cut into pieces. Nothing may panic; what is decided does
//! not depend on the pieces; what comes out is no longer than what went in, is not complete unless all of it was right, and,
//! signed back again, is what went in.

use bytes::Bytes;
use rotakey_core::credential::SecretAccessKey;
use rotakey_endpoint::proxy::key::{Scope, SigningKey};
use rotakey_endpoint::proxy::payload::ChunkSigner;
use rotakey_endpoint::proxy::payload::chunks::{Chunks, Framing, Resign};
use rotakey_endpoint::proxy::refusal::Refusal;

/// What the corpus is signed with.
const PLACEHOLDER: &str = "placeholderSECRET";
const REAL: &str = "realSECRET";

/// How a body is signed; the third is signed with a trailer.
const UNSIGNED: u8 = 0;
const SIGNED: u8 = 1;

/// Panics if these bytes are taken for what they are not.
pub fn check(bytes: &[u8]) {
    is_right(bytes);
}

/// Whether they are a body that may end.
pub fn is_right(bytes: &[u8]) -> bool {
    let [mode, cuts, body @ ..] = bytes else { return false };
    let mode = mode % 3;
    let whole = resigned(mode, body, PLACEHOLDER, REAL, usize::MAX);
    let in_pieces = resigned(mode, body, PLACEHOLDER, REAL, usize::from(*cuts) % 40 + 1);
    match (&whole, &in_pieces) {
        (Ok(one), Ok(other)) => assert_eq!(one, other),
        (Err((one, _)), Err((other, _))) => assert_eq!(one, other),
        _ => panic!("{whole:?} and {in_pieces:?}"),
    }
    for result in [&whole, &in_pieces] {
        match result {
            Ok(out) => assert_eq!(out.len(), body.len()),
            Err((_, out)) => assert!(out.len() <= body.len(), "{}", out.len()),
        }
    }
    if let Ok(out) = &whole {
        let back = resigned(mode, out, REAL, PLACEHOLDER, usize::MAX);
        assert_eq!(back.as_deref().ok(), Some(body));
        // Not for whoever has another key.
        if mode != UNSIGNED {
            assert!(resigned(mode, body, REAL, PLACEHOLDER, usize::MAX).is_err());
        }
        // Nor with anything behind it.
        let more = [body, b"\r\n"].concat();
        let more = resigned(mode, &more, PLACEHOLDER, REAL, 7);
        assert!(more.is_err_and(|(_, sent)| sent.len() < body.len()));
    }
    whole.is_ok()
}

/// What goes out, or why it ended and what had gone out until then.
fn resigned(
    mode: u8,
    body: &[u8],
    verified_with: &str,
    signed_with: &str,
    piece: usize,
) -> Result<Vec<u8>, (Refusal, Vec<u8>)> {
    let framing = Framing {
        resign: (mode != UNSIGNED)
            .then(|| Resign { verifier: signer(verified_with), signer: signer(signed_with) }),
        trailers: if mode == SIGNED { Vec::new() } else { vec!["x-amz-checksum-crc32".to_owned()] },
        has_trailer: mode != SIGNED,
        data_length: None,
    };
    let (mut chunks, mut sent) = (Chunks::new(framing), Vec::new());
    let pieces = body.chunks(piece.min(body.len().max(1))).map(Some);
    for piece in pieces.chain([None]) {
        let step = match piece {
            Some(piece) => chunks.push(Bytes::copy_from_slice(piece)),
            None => chunks.finish(),
        };
        if let Err(why) = step {
            assert_eq!(chunks.finish(), Err(why), "an error stays");
            return Err((why, sent));
        }
        while let Some(piece) = chunks.pop() {
            sent.extend_from_slice(&piece);
        }
    }
    assert_eq!(chunks.pending_bytes(), 0);
    Ok(sent)
}

fn signer(secret: &str) -> ChunkSigner {
    let [day, region, service] = ["20261125", "eu-west-1", "s3"].map(str::to_owned);
    let scope = Scope { day, region, service };
    let key = SigningKey::derive(&SecretAccessKey::new(secret.to_owned()), &scope);
    ChunkSigner::new(key.into(), "20261125T120000Z", &scope, [b'0'; 64])
}
