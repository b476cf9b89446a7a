//! The headers behind the last chunk.

use bytes::{Bytes, BytesMut};

use super::chunks::Resign;
use crate::proxy::key::is_same;
use crate::proxy::refusal::Refusal;

const SIGNATURE: &[u8] = b"x-amz-trailer-signature";

/// What stands there, and where.
#[derive(Debug)]
pub(super) struct Trailer {
    /// `name:value\n` for each, in the order of their names: what is signed.
    canonical: Vec<u8>,
    /// Where the digits of the signature start, and what they are.
    signature: Option<(usize, [u8; 64])>,
}

impl Trailer {
    /// Reads all that is behind the last chunk's line, up to the end of the body. Lines may end with a bare line feed, as
    /// some SDKs have it; and before the signature there may be an empty line, as in the S3 user guide.
    pub(super) fn parse(
        bytes: &[u8],
        announced: &[String],
        is_signed: bool,
    ) -> Result<Self, Refusal> {
        let body = bytes.strip_suffix(b"\r\n").ok_or(Refusal::BadTrailer)?;
        if !(body.is_empty() || body.ends_with(b"\n")) {
            return Err(Refusal::BadTrailer);
        }
        let (mut lines, mut signature, mut at) = (Vec::new(), None, 0);
        let mut was_empty = false;
        for whole in body.split_inclusive(|byte| *byte == b'\n') {
            let start = at;
            at += whole.len();
            let line = &whole[..whole.len() - 1];
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if signature.is_some() || (line.is_empty() && (was_empty || !is_signed)) {
                return Err(Refusal::BadTrailer);
            }
            if line.is_empty() {
                was_empty = true;
                continue;
            }
            let (name, value) = split(line)?;
            if name == SIGNATURE && is_signed {
                let digits =
                    <[u8; 64]>::try_from(trimmed(value)).map_err(|_| Refusal::BadTrailer)?;
                let blanks = value.iter().take_while(|byte| **byte == b' ').count();
                signature = Some((start + line.len() - value.len() + blanks, digits));
            } else if !was_empty && announced.iter().any(|own| own.as_bytes() == name) {
                lines.push((name, trimmed(value)));
            } else {
                return Err(Refusal::BadTrailer);
            }
        }
        lines.sort_unstable();
        // Each that was announced, once.
        if lines.len() != announced.len() || lines.windows(2).any(|pair| pair[0].0 == pair[1].0) {
            return Err(Refusal::BadTrailer);
        }
        if is_signed && signature.is_none() {
            return Err(Refusal::TrailerSignature);
        }
        let line = |(name, value): &(Vec<u8>, &[u8])| [&name[..], b":", value, b"\n"].concat();
        Ok(Self { canonical: lines.iter().flat_map(line).collect(), signature })
    }
}

/// Name, in small letters, and value: text, which may have spaces around it.
fn split(line: &[u8]) -> Result<(Vec<u8>, &[u8]), Refusal> {
    let colon = line.iter().position(|byte| *byte == b':').ok_or(Refusal::BadTrailer)?;
    let (name, value) = (&line[..colon], &line[colon + 1..]);
    let is_text = value.iter().all(|byte| (b' '..=b'~').contains(byte));
    is_text.then(|| (name.to_ascii_lowercase(), value)).ok_or(Refusal::BadTrailer)
}

/// Of spaces; `split` lets no other blanks through.
fn trimmed(value: &[u8]) -> &[u8] {
    value.trim_ascii()
}

/// The same bytes with another signature, if the one that stands there is right.
pub(super) fn resigned(
    bytes: &[u8],
    trailer: &Trailer,
    resign: &mut Resign,
) -> Result<Bytes, Refusal> {
    let (at, given) = trailer.signature.ok_or(Refusal::TrailerSignature)?;
    if !is_same(&resign.verifier.sign_trailer(&trailer.canonical), &given) {
        return Err(Refusal::TrailerSignature);
    }
    let mut signed = BytesMut::from(bytes);
    signed[at..at + 64].copy_from_slice(&resign.signer.sign_trailer(&trailer.canonical));
    Ok(signed.freeze())
}
