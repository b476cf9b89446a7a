//! One chunk: its line, and its data while that is held in memory.

use bytes::{Bytes, BytesMut};
use sha2::{Digest, Sha256};

use super::signer::is_digits;
use crate::proxy::refusal::Refusal;

/// The longest line before a chunk: 16 digits, and a signature.
pub(super) const LINE_BYTES_MAX: usize = 16 + EXTENSION.len() + 64 + 2;
const EXTENSION: &[u8] = b";chunk-signature=";

/// Pieces that are smaller are copied together: a chunk that comes in byte by byte must not cost a hundred times its size.
const COPIED_BYTES_MAX: usize = 4096;

/// A chunk that is being read.
#[derive(Debug, Default)]
pub(super) struct Chunk {
    pub(super) line: Bytes,
    pub(super) pieces: Vec<Bytes>,
    small: BytesMut,
    pub(super) hash: Sha256,
}

impl Chunk {
    pub(super) fn take(&mut self, piece: Bytes) {
        self.hash.update(&piece);
        if piece.len() >= COPIED_BYTES_MAX {
            self.flush();
            self.pieces.push(piece);
        } else {
            self.small.extend_from_slice(&piece);
        }
    }

    /// Ends what is copied together.
    pub(super) fn flush(&mut self) {
        if !self.small.is_empty() {
            self.pieces.push(self.small.split().freeze());
        }
    }
}

/// The size in the line before a chunk: `10000\r\n`, or `10000;chunk-signature=<64 digits>\r\n`.
pub(super) fn size_of(line: &[u8], is_signed: bool) -> Result<u64, Refusal> {
    let line = line.strip_suffix(b"\r\n").ok_or(Refusal::BadChunk)?;
    let digits = if is_signed {
        let at = line.len().checked_sub(64 + EXTENSION.len()).ok_or(Refusal::BadChunk)?;
        let (digits, extension) = line.split_at(at);
        let signature = extension.strip_prefix(EXTENSION).ok_or(Refusal::BadChunk)?;
        is_digits(signature).then_some(digits).ok_or(Refusal::BadChunk)?
    } else {
        line
    };
    let is_number = (1..=16).contains(&digits.len()) && digits.iter().all(u8::is_ascii_hexdigit);
    let text = std::str::from_utf8(digits).ok().filter(|_| is_number).ok_or(Refusal::BadChunk)?;
    u64::from_str_radix(text, 16).map_err(|_| Refusal::BadChunk)
}
