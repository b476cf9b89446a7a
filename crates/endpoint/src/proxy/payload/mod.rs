//! Bodies: how they are signed, and how they go on.
//!
//! | `x-amz-content-sha256` | what is done |
//! | --- | --- |
//! | a hash | nothing more, unless it is asked for: AWS compares it with the body |
//! | none | the body is read into memory and hashed ([`buffer`]) |
//! | `UNSIGNED-PAYLOAD` | nothing |
//! | `STREAMING-UNSIGNED-PAYLOAD-TRAILER` | it goes on byte for byte; the framing has to be well-formed |
//! | `STREAMING-AWS4-HMAC-SHA256-PAYLOAD`, `…-TRAILER` | each chunk is verified and signed anew, in the same length |
//! | `STREAMING-AWS4-HMAC-SHA256-EVENTS` | the same with each message of an event stream, where AWS is spoken to over HTTP/2 |
//!
//! A body that turns out to be wrong never ends: what would complete it is held back until all of it was seen. So nothing is
//! stored, whether its length was announced or not.

mod body;
pub mod buffer;
mod chunk;
pub mod chunks;
pub mod events;
mod framing;
mod message;
mod signer;
mod trailer;

pub use self::body::{BodyError, Outgoing, Verdict};
pub(crate) use self::message::error_event;
pub use self::signer::ChunkSigner;
pub(crate) use self::signer::is_digits;
use super::refusal::Refusal;

/// How a body is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Payload {
    /// By its SHA-256, which was given as these hexadecimal digits.
    Hash([u8; 64]),
    /// By its SHA-256, which is to be found out.
    Implicit,
    /// Not at all.
    Unsigned,
    /// Not at all, in chunks, with headers behind them.
    UnsignedTrailer,
    /// Chunk by chunk, each signature going on from the one before.
    SignedChunks,
    /// The same, with signed headers behind them.
    SignedChunksTrailer,
    /// Message by message, in an event stream over HTTP/2.
    Events,
}

const UNSIGNED: &str = "UNSIGNED-PAYLOAD";
const UNSIGNED_TRAILER: &str = "STREAMING-UNSIGNED-PAYLOAD-TRAILER";
const SIGNED: &str = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD";
const EVENTS: &str = "STREAMING-AWS4-HMAC-SHA256-EVENTS";
const SIGNED_TRAILER: &str = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER";

impl Payload {
    /// Reads `x-amz-content-sha256`.
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        match text {
            UNSIGNED => Ok(Self::Unsigned),
            UNSIGNED_TRAILER => Ok(Self::UnsignedTrailer),
            SIGNED => Ok(Self::SignedChunks),
            SIGNED_TRAILER => Ok(Self::SignedChunksTrailer),
            EVENTS => Ok(Self::Events),
            other => {
                let digits: [u8; 64] =
                    other.as_bytes().try_into().map_err(|_| Refusal::PayloadMode)?;
                is_digits(&digits).then_some(Self::Hash(digits)).ok_or(Refusal::PayloadMode)
            }
        }
    }

    /// Whether a key signs it for as long as it is sent, and not its head alone.
    pub(crate) fn goes_on_being_signed(self) -> bool {
        matches!(self, Self::SignedChunks | Self::SignedChunksTrailer | Self::Events)
    }

    /// Whether something of it is framed or signed anew on its way.
    pub(super) fn has_signer(self) -> bool {
        self.is_chunked() || self == Self::Events
    }

    /// As it stands in `x-amz-content-sha256`; nothing if that is to be found out.
    pub fn text(self) -> String {
        match self {
            Self::Hash(digits) => std::str::from_utf8(&digits).unwrap_or_default().to_owned(),
            Self::Implicit => String::new(),
            Self::Unsigned => UNSIGNED.to_owned(),
            Self::UnsignedTrailer => UNSIGNED_TRAILER.to_owned(),
            Self::SignedChunks => SIGNED.to_owned(),
            Self::SignedChunksTrailer => SIGNED_TRAILER.to_owned(),
            Self::Events => EVENTS.to_owned(),
        }
    }

    /// Whether the body is framed in chunks of its own (`aws-chunked`).
    pub fn is_chunked(self) -> bool {
        matches!(self, Self::UnsignedTrailer | Self::SignedChunks | Self::SignedChunksTrailer)
    }
}
