//! Bodies of an upload, mode by mode, and what may be wrong with them.

use aws_sigv4::http_request::SignableBody;
use data_encoding::BASE64;

use super::pattern::{BLOCK_BYTES, Pattern};
use super::sign::{Chain, Head, Signer};

/// How a body is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Mode {
    /// By its hash, which the head has.
    Hash,
    Unsigned,
    UnsignedTrailer,
    SignedChunks,
    SignedTrailer,
}

/// How the end of a body is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Frame {
    /// `Content-Length`.
    Length,
    /// `Transfer-Encoding: chunked`.
    Chunked,
}

/// What is done to a body after it was signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Nothing,
    /// A bit of the block in the middle.
    Middle,
    /// A bit of the last block.
    Last,
    /// A bit of the signature of the block in the middle.
    Signature,
    /// The signature of the chunk that has no data.
    End,
    /// The trailer's value.
    Trailer,
    /// The trailer's signature.
    TrailerSignature,
    /// The trailer is left out.
    NoTrailer,
    /// The block in the middle is left out, with its line.
    LeftOut,
    /// The block in the middle comes twice.
    Twice,
    /// All ends behind the last chunk that has data.
    CutShort,
    /// Something comes behind the end.
    More,
}

const TRAILER: &str = "x-amz-checksum-sha256";

impl Mode {
    pub(crate) const ALL: [Self; 5] = [
        Self::Hash,
        Self::Unsigned,
        Self::UnsignedTrailer,
        Self::SignedChunks,
        Self::SignedTrailer,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Hash => "hash",
            Self::Unsigned => "unsigned",
            Self::UnsignedTrailer => "unsigned trailer",
            Self::SignedChunks => "signed chunks",
            Self::SignedTrailer => "signed chunks and trailer",
        }
    }

    const fn is_chunked(self) -> bool {
        matches!(self, Self::UnsignedTrailer | Self::SignedChunks | Self::SignedTrailer)
    }

    const fn is_signed(self) -> bool {
        matches!(self, Self::SignedChunks | Self::SignedTrailer)
    }

    const fn has_trailer(self) -> bool {
        matches!(self, Self::UnsignedTrailer | Self::SignedTrailer)
    }
}

/// A body on its way: pieces as they are sent, without the framing of HTTP.
pub(crate) struct Body {
    mode: Mode,
    change: Change,
    data: Pattern,
    chain: Chain,
    hash: String,
    at: u64,
    blocks: u64,
    is_over: bool,
}

/// An upload that may begin: of `data`, whose SHA-256 is `hash`.
pub(crate) fn upload(
    signer: &Signer,
    target: &str,
    (mode, frame, change): (Mode, Frame, Change),
    data: Pattern,
    length: u64,
    hash: &str,
) -> (Head, Body) {
    let (text, own) = (length.to_string(), hash.to_owned());
    let mut headers = Vec::new();
    if mode.is_chunked() {
        headers.push(("content-encoding", "aws-chunked"));
        headers.push(("x-amz-decoded-content-length", &text));
    }
    if mode.has_trailer() {
        headers.push(("x-amz-trailer", TRAILER));
    }
    let signable = match mode {
        Mode::Hash => SignableBody::Precomputed(own),
        Mode::Unsigned => SignableBody::UnsignedPayload,
        Mode::UnsignedTrailer => SignableBody::StreamingUnsignedPayloadTrailer,
        Mode::SignedChunks => {
            SignableBody::Precomputed("STREAMING-AWS4-HMAC-SHA256-PAYLOAD".to_owned())
        }
        Mode::SignedTrailer => {
            SignableBody::Precomputed("STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER".to_owned())
        }
    };
    let (head, chain) = signer.head("s3", ("PUT", target), &headers, signable, false);
    let blocks = length.div_ceil(BLOCK_BYTES as u64);
    let (hash, at, is_over) = (hash.to_owned(), 0, false);
    let body = Body { mode, change, data, chain, hash, at, blocks, is_over };
    let head = match frame {
        Frame::Length => head.with("content-length", &body.length(length).to_string()),
        Frame::Chunked => head.with("transfer-encoding", "chunked"),
    };
    (head, body)
}

impl Body {
    /// How long all of it is, if nothing is changed.
    fn length(&self, data: u64) -> u64 {
        if !self.mode.is_chunked() {
            return data;
        }
        let signature = if self.mode.is_signed() { ";chunk-signature=".len() + 64 } else { 0 };
        let line = |size: u64| (format!("{size:x}").len() + signature + 2) as u64;
        let (whole, rest) = (data / BLOCK_BYTES as u64, data % BLOCK_BYTES as u64);
        let mut length = whole * (line(BLOCK_BYTES as u64) + BLOCK_BYTES as u64 + 2) + line(0) + 2;
        if rest > 0 {
            length += line(rest) + rest + 2;
        }
        if self.mode.has_trailer() {
            length += (TRAILER.len() + 1 + 44 + 2) as u64;
        }
        if self.mode == Mode::SignedTrailer {
            length += ("x-amz-trailer-signature:".len() + 64 + 2) as u64;
        }
        length
    }

    /// A block with its line.
    fn block(&mut self, mut block: Vec<u8>) -> Vec<u8> {
        let is_middle = self.at == self.blocks / 2;
        let is_last = self.at + 1 == self.blocks;
        self.at += 1;
        let mut signature = match self.mode.is_signed() {
            true => self.chain.chunk(&block).to_owned(),
            false => String::new(),
        };
        match self.change {
            Change::Middle if is_middle => block[9] ^= 1,
            Change::Last if is_last => block[0] ^= 1,
            Change::Signature if is_middle => signature = other(&signature),
            Change::LeftOut if is_middle => return Vec::new(),
            _ => {}
        }
        let mut piece = Vec::with_capacity(block.len() + 100);
        if self.mode.is_chunked() {
            piece.extend(self.line(block.len(), &signature).bytes());
        }
        piece.extend(block);
        if self.mode.is_chunked() {
            piece.extend(b"\r\n");
        }
        if self.change == Change::Twice && is_middle { piece.repeat(2) } else { piece }
    }

    fn line(&self, size: usize, signature: &str) -> String {
        match self.mode.is_signed() {
            true => format!("{size:x};chunk-signature={signature}\r\n"),
            false => format!("{size:x}\r\n"),
        }
    }

    /// What is behind the data.
    fn end(&mut self) -> Vec<u8> {
        if self.change == Change::CutShort {
            return Vec::new();
        }
        let mut end = String::new();
        if self.mode.is_chunked() {
            let mut signature = match self.mode.is_signed() {
                true => self.chain.chunk(b"").to_owned(),
                false => String::new(),
            };
            if self.change == Change::End {
                signature = other(&signature);
            }
            end += &self.line(0, &signature);
            if self.mode.has_trailer() && self.change != Change::NoTrailer {
                end += &self.trailer();
            }
            end += "\r\n";
        }
        if self.change == Change::More {
            end += "GET / HTTP/1.1\r\n\r\n";
        }
        end.into_bytes()
    }

    fn trailer(&mut self) -> String {
        let mut value = BASE64.encode(&hex::decode(&self.hash).unwrap());
        let signature = match self.mode {
            Mode::SignedTrailer => {
                let mut signature = self.chain.trailer(TRAILER, &value).to_owned();
                if self.change == Change::TrailerSignature {
                    signature = other(&signature);
                }
                format!("x-amz-trailer-signature:{signature}\r\n")
            }
            _ => String::new(),
        };
        if self.change == Change::Trailer {
            value = BASE64.encode(&[7; 32]);
        }
        format!("{TRAILER}:{value}\r\n{signature}")
    }
}

/// A signature that is wrong in its first digit.
fn other(signature: &str) -> String {
    let first = if signature.starts_with('0') { "1" } else { "0" };
    format!("{first}{}", &signature[1..])
}

impl Iterator for Body {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        if let Some(block) = self.data.next() {
            return Some(self.block(block));
        }
        let is_over = std::mem::replace(&mut self.is_over, true);
        (!is_over).then(|| self.end())
    }
}
