//! The framing of `aws-chunked`, read as it comes in: bytes are pushed, pieces come out, and nothing waits.
//!
//! ```text
//! 10000;chunk-signature=ad80…\r\n
//! <65536 bytes>\r\n
//! 0;chunk-signature=b6c6…\r\n
//! x-amz-checksum-crc32:NSRBwg==\r\n          with a trailer
//! x-amz-trailer-signature:d81f…\r\n          if that is signed
//! \r\n
//! ```
//!
//! What comes out is as long as what went in, so `Content-Length` stays true. A signed chunk comes out when all of it was
//! verified. From the line of the last chunk on nothing comes out before [`Chunks::finish`]: until then the body may still
//! turn out to be wrong.

use std::collections::VecDeque;

use bytes::{Buf, Bytes, BytesMut};
use sha2::Digest;

use super::chunk::{Chunk, LINE_BYTES_MAX, size_of};
pub use super::framing::{Framing, Resign};
use super::trailer::{self, Trailer};
use crate::proxy::key::is_same;
use crate::proxy::refusal::Refusal;

/// The largest signed chunk: it is held in memory. SDKs send 64 KiB.
pub const SIGNED_CHUNK_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// The longest trailer.
const TRAILER_BYTES_MAX: usize = 16 * 1024;

/// A body in chunks that is being read.
#[derive(Debug)]
pub struct Chunks {
    framing: Framing,
    state: State,
    line: BytesMut,
    chunk: Chunk,
    /// What goes out before the next piece.
    before: BytesMut,
    out: VecDeque<Bytes>,
    data_seen: u64,
    pending_bytes: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Reads the line before a chunk.
    Line,
    /// Reads the data of a chunk; so many bytes are to come.
    Data(u64),
    /// Reads the end of a chunk's line; so many bytes of it were seen.
    End(usize),
    /// Reads what is behind the last chunk.
    Trailer,
    /// Refused: nothing is read any more.
    Broken(Refusal),
}

impl Chunks {
    /// Nothing read yet.
    pub fn new(framing: Framing) -> Self {
        Self {
            framing,
            state: State::Line,
            line: BytesMut::new(),
            chunk: Chunk::default(),
            before: BytesMut::new(),
            out: VecDeque::new(),
            data_seen: 0,
            pending_bytes: 0,
        }
    }

    /// Reads what came in. After an error, every further call gives the same one.
    pub fn push(&mut self, mut bytes: Bytes) -> Result<(), Refusal> {
        if let State::Broken(why) = self.state {
            return Err(why);
        }
        self.pending_bytes += bytes.len() as u64;
        while !bytes.is_empty() {
            if let Err(why) = self.step(&mut bytes) {
                self.state = State::Broken(why);
                return Err(why);
            }
        }
        Ok(())
    }

    /// The body has ended. What was held back comes out, if all of it was right.
    pub fn finish(&mut self) -> Result<(), Refusal> {
        let result = match self.state {
            State::Trailer => self.finish_trailer(),
            State::Broken(why) => Err(why),
            _ => Err(Refusal::WrongLength),
        };
        if let Err(why) = result {
            self.state = State::Broken(why);
        }
        result
    }

    /// The next piece that may go out.
    pub fn pop(&mut self) -> Option<Bytes> {
        let piece = self.out.pop_front()?;
        self.pending_bytes -= piece.len() as u64;
        Some(piece)
    }

    /// How much has come in and not gone out.
    pub fn pending_bytes(&self) -> u64 {
        self.pending_bytes
    }

    fn step(&mut self, bytes: &mut Bytes) -> Result<(), Refusal> {
        match self.state {
            State::Line => self.read_line(bytes),
            State::Data(left) => {
                let piece =
                    bytes.split_to(bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX)));
                let left = left - piece.len() as u64;
                self.take_data(piece);
                self.state = if left == 0 { State::End(0) } else { State::Data(left) };
                Ok(())
            }
            State::End(seen) => self.read_end(bytes, seen),
            State::Trailer => {
                self.line.extend_from_slice(bytes);
                bytes.clear();
                let is_short = self.line.len() <= TRAILER_BYTES_MAX;
                is_short.then_some(()).ok_or(Refusal::BadTrailer)
            }
            State::Broken(why) => Err(why),
        }
    }

    fn read_line(&mut self, bytes: &mut Bytes) -> Result<(), Refusal> {
        let end = bytes.iter().position(|byte| *byte == b'\n');
        let part = bytes.split_to(end.map_or(bytes.len(), |at| at + 1));
        if self.line.len() + part.len() > LINE_BYTES_MAX {
            return Err(Refusal::BadChunk);
        }
        self.line.extend_from_slice(&part);
        if end.is_none() {
            return Ok(());
        }
        let line = self.line.split().freeze();
        let size = size_of(&line, self.framing.resign.is_some())?;
        self.data_seen = self.data_seen.checked_add(size).ok_or(Refusal::BadChunk)?;
        if self.framing.data_length.is_some_and(|length| self.data_seen > length) {
            return Err(Refusal::WrongLength);
        }
        if self.framing.resign.is_some() && size > SIGNED_CHUNK_BYTES_MAX {
            return Err(Refusal::ChunkTooLarge);
        }
        self.chunk.line = line;
        if size == 0 {
            // Its line stays in `before`: the trailer, and the end of the body, may still be wrong.
            self.state = State::Trailer;
            return self.release_line();
        }
        if self.framing.resign.is_none() {
            self.release_line()?;
        }
        self.state = State::Data(size);
        Ok(())
    }

    fn take_data(&mut self, piece: Bytes) {
        if self.framing.resign.is_none() {
            return self.release(piece);
        }
        self.chunk.take(piece);
    }

    fn read_end(&mut self, bytes: &mut Bytes, seen: usize) -> Result<(), Refusal> {
        if bytes.get_u8() != b"\r\n"[seen] {
            return Err(Refusal::BadChunk);
        }
        if seen == 0 {
            self.state = State::End(1);
            return Ok(());
        }
        if self.framing.resign.is_some() {
            self.release_line()?;
            self.chunk.flush();
            for piece in std::mem::take(&mut self.chunk.pieces) {
                self.release(piece);
            }
        }
        // There is always something behind it, and they go out together.
        self.before.extend_from_slice(b"\r\n");
        self.state = State::Line;
        Ok(())
    }

    /// Verifies the chunk that was read, and puts its line, signed anew, before the data.
    fn release_line(&mut self) -> Result<(), Refusal> {
        let line = std::mem::take(&mut self.chunk.line);
        let hash = self.chunk.hash.finalize_reset();
        let Some(resign) = &mut self.framing.resign else {
            self.before.extend_from_slice(&line);
            return Ok(());
        };
        let (size, given) = line.split_at(line.len() - 66);
        if !is_same(&resign.verifier.sign_chunk(&hash.into()), &given[..64]) {
            return Err(Refusal::ChunkSignature);
        }
        self.before.extend_from_slice(size);
        self.before.extend_from_slice(&resign.signer.sign_chunk(&hash.into()));
        self.before.extend_from_slice(b"\r\n");
        Ok(())
    }

    fn release(&mut self, piece: Bytes) {
        if !self.before.is_empty() {
            self.out.push_back(self.before.split().freeze());
        }
        self.out.push_back(piece);
    }

    fn finish_trailer(&mut self) -> Result<(), Refusal> {
        if self.framing.data_length.is_some_and(|length| self.data_seen != length) {
            return Err(Refusal::WrongLength);
        }
        let bytes = self.line.split().freeze();
        let is_signed = self.framing.resign.is_some() && self.framing.has_trailer;
        let trailer = Trailer::parse(&bytes, &self.framing.trailers, is_signed)?;
        let end = match &mut self.framing.resign {
            Some(resign) if is_signed => trailer::resigned(&bytes, &trailer, resign)?,
            _ => bytes,
        };
        self.release(end);
        Ok(())
    }
}
