//! What the head of a request says of its body in chunks.

use http::HeaderMap;

use super::{ChunkSigner, Payload};
use crate::proxy::refusal::Refusal;
use crate::proxy::verify::Verified;

/// Verifies with the client's placeholder, and signs with the real key.
#[derive(Debug)]
pub struct Resign {
    /// Makes the signatures that the client should have made.
    pub verifier: ChunkSigner,
    /// Makes those that go out.
    pub signer: ChunkSigner,
}

/// What is known from the head of a body in chunks.
#[derive(Debug, Default)]
pub struct Framing {
    /// If chunks are signed: how they are verified and signed anew.
    pub resign: Option<Resign>,
    /// The names of the headers behind the last chunk, in small letters, as `x-amz-trailer` announces them.
    pub trailers: Vec<String>,
    /// Whether headers behind the last chunk are signed.
    pub has_trailer: bool,
    /// The length of the data, as `x-amz-decoded-content-length` has it.
    pub data_length: Option<u64>,
}

/// What the head says of a body in chunks.
pub(super) fn framing(
    head: &HeaderMap,
    verified: &Verified,
    signer: Option<&ChunkSigner>,
    payload: Payload,
) -> Result<Framing, Refusal> {
    let resign = match payload {
        Payload::UnsignedTrailer => None,
        _ => {
            let verifier = verified.chunks().cloned().ok_or(Refusal::PayloadMode)?;
            let signer = signer.cloned().ok_or(Refusal::PayloadMode)?;
            Some(Resign { verifier, signer })
        }
    };
    let text =
        |name| head.get(name).map(|value| value.to_str().map_err(|_| Refusal::BadHead)).transpose();
    let data_length = match text("x-amz-decoded-content-length")? {
        None => None,
        Some(text) if text.bytes().all(|byte| byte.is_ascii_digit()) => {
            Some(text.parse().map_err(|_| Refusal::BadHead)?)
        }
        Some(_) => return Err(Refusal::BadHead),
    };
    let has_trailer = payload != Payload::SignedChunks;
    let mut trailers = Vec::new();
    for value in head.get_all("x-amz-trailer") {
        let text = value.to_str().map_err(|_| Refusal::BadHead)?;
        let names = text.split(',').map(|name| name.trim().to_ascii_lowercase());
        trailers.extend(names.filter(|name| !name.is_empty()));
    }
    if !has_trailer && !trailers.is_empty() {
        return Err(Refusal::BadTrailer);
    }
    Ok(Framing { resign, trailers, has_trailer, data_length })
}
