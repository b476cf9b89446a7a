//! Bodies on their way to AWS.

use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::HeaderMap;
use hyper::body::{Body, Frame, SizeHint};
use sha2::{Digest, Sha256};

use super::chunks::Chunks;
use super::events::Events;
use super::framing::{Resign, framing};
use super::{ChunkSigner, Payload};
use crate::proxy::refusal::Refusal;
use crate::proxy::verify::Verified;

/// Why a body ended without an end.
#[derive(Debug, thiserror::Error)]
pub enum BodyError<E> {
    /// Reading it failed.
    #[error("reading the body failed")]
    Source(#[source] E),
    /// It is not what was signed.
    #[error("the body was refused: {0}")]
    Refused(Refusal),
}

/// What became of a body. The body itself is with whoever sends it.
#[derive(Clone, Debug, Default)]
pub struct Verdict(Arc<OnceLock<Refusal>>);

impl Verdict {
    /// Why it was refused, if it was.
    pub fn refusal(&self) -> Option<Refusal> {
        self.0.get().copied()
    }

    /// One that is decided.
    #[cfg(test)]
    pub(crate) fn refused(why: Refusal) -> Self {
        Self(Arc::new(OnceLock::from(why)))
    }
}

/// A body that goes out as it was verified and signed anew. It fails, and never ends, if it is not what was signed; then the
/// connection to AWS has to be closed.
#[derive(Debug)]
pub struct Outgoing<B> {
    body: B,
    work: Work,
    has_ended: bool,
    verdict: Verdict,
}

#[derive(Debug)]
enum Work {
    /// Goes on as it is.
    Plain,
    /// Goes on as it is; the last piece once the hash is known to be right.
    Hashed { hash: Sha256, right: [u8; 32], held: Option<Bytes> },
    /// In chunks.
    Chunked(Box<Chunks>),
    /// In messages.
    Events(Box<Events>),
}

impl<B: Body<Data = Bytes>> Outgoing<B> {
    /// The body of `head`, which was `verified`, with the chunks that `signer` signs. With `check_hash` a hash that was given
    /// is compared here too; AWS does so anyway.
    pub fn new(
        body: B,
        head: &HeaderMap,
        verified: &Verified,
        signer: Option<&ChunkSigner>,
        check_hash: bool,
    ) -> Result<Self, Refusal> {
        let work = match verified.payload() {
            Payload::Unsigned => Work::Plain,
            Payload::Hash(_) | Payload::Implicit if !check_hash => Work::Plain,
            Payload::Hash(_) | Payload::Implicit => match verified.body_hash() {
                Some(right) => Work::Hashed { hash: Sha256::new(), right, held: None },
                None => Work::Plain,
            },
            // They need HTTP/2, and whoever has it says so.
            Payload::Events => return Err(Refusal::PayloadMode),
            payload => {
                Work::Chunked(Box::new(Chunks::new(framing(head, verified, signer, payload)?)))
            }
        };
        // Nobody asks for the rest of a body that has none, so it would never be compared.
        if body.size_hint().exact() == Some(0) {
            match &work {
                Work::Hashed { right, .. } if Sha256::digest(b"")[..] != right[..] => {
                    return Err(Refusal::WrongHash);
                }
                Work::Chunked(_) => return Err(Refusal::WrongLength),
                _ => {}
            }
        }
        Ok(Self { body, work, has_ended: false, verdict: Verdict::default() })
    }

    /// An event stream, to be sent over HTTP/2: AWS answers while it goes on.
    pub fn events(
        body: B,
        verified: &Verified,
        signer: Option<&ChunkSigner>,
    ) -> Result<Self, Refusal> {
        if verified.payload() != Payload::Events {
            return Err(Refusal::PayloadMode);
        }
        let verifier = verified.chunks().cloned().ok_or(Refusal::PayloadMode)?;
        let signer = signer.cloned().ok_or(Refusal::PayloadMode)?;
        let events = Events::new(Resign { verifier, signer });
        let work = Work::Events(Box::new(events));
        Ok(Self { body, work, has_ended: false, verdict: Verdict::default() })
    }

    /// Where to look, later, for why it was refused.
    pub fn verdict(&self) -> Verdict {
        self.verdict.clone()
    }
}

impl<B> Outgoing<B> {
    /// How much has come in and not gone out.
    fn held_bytes(&self) -> u64 {
        match &self.work {
            Work::Plain => 0,
            Work::Hashed { held, .. } => held.as_ref().map_or(0, |held| held.len() as u64),
            Work::Chunked(chunks) => chunks.pending_bytes(),
            Work::Events(events) => events.pending_bytes(),
        }
    }
}

type Next<E> = Poll<Option<Result<Frame<Bytes>, BodyError<E>>>>;

impl<B: Body<Data = Bytes> + Unpin> Outgoing<B> {
    /// One piece of the body under it; `None` at its end.
    fn poll_data(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Result<Option<Bytes>, BodyError<B::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        Poll::Ready(match frame {
            None => Ok(None),
            Some(Err(error)) => {
                // It was cut, or is no body of HTTP: the program's doing, and not AWS's.
                self.verdict.0.get_or_init(|| Refusal::WrongLength);
                Err(BodyError::Source(error))
            }
            // Trailers of HTTP are not signed by anybody.
            Some(Ok(frame)) => {
                frame.into_data().map(Some).map_err(|_| self.refuse(Refusal::BadTrailer))
            }
        })
    }

    fn refuse(&mut self, why: Refusal) -> BodyError<B::Error> {
        self.verdict.0.get_or_init(|| why);
        BodyError::Refused(why)
    }

    fn poll_next(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Result<Option<Bytes>, BodyError<B::Error>>> {
        loop {
            let piece = match &mut self.work {
                Work::Chunked(chunks) => chunks.pop(),
                Work::Events(events) => events.pop(),
                _ => None,
            };
            if piece.is_some() {
                return Poll::Ready(Ok(piece));
            }
            if self.has_ended {
                return Poll::Ready(Ok(None));
            }
            let data = ready!(self.poll_data(context))?;
            self.has_ended = data.is_none();
            let step = match (&mut self.work, data) {
                (Work::Plain, data) => return Poll::Ready(Ok(data)),
                (Work::Hashed { hash, held, .. }, Some(data)) if !data.is_empty() => {
                    hash.update(&data);
                    match held.replace(data) {
                        Some(before) => return Poll::Ready(Ok(Some(before))),
                        None => Ok(()),
                    }
                }
                (Work::Hashed { .. }, Some(_)) => Ok(()),
                (Work::Hashed { hash, right, held }, None) => {
                    if hash.finalize_reset()[..] == right[..] {
                        return Poll::Ready(Ok(held.take()));
                    }
                    Err(Refusal::WrongHash)
                }
                (Work::Chunked(chunks), Some(data)) => chunks.push(data),
                (Work::Chunked(chunks), None) => chunks.finish(),
                (Work::Events(events), Some(data)) => events.push(&data),
                (Work::Events(events), None) => events.finish(),
            };
            if let Err(why) = step {
                return Poll::Ready(Err(self.refuse(why)));
            }
        }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Outgoing<B> {
    type Data = Bytes;
    type Error = BodyError<B::Error>;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Next<B::Error> {
        let this = &mut *self;
        if let Some(why) = this.verdict.refusal() {
            return Poll::Ready(Some(Err(BodyError::Refused(why))));
        }
        Poll::Ready(match ready!(this.poll_next(context)) {
            Ok(data) => data.map(|data| Ok(Frame::data(data))),
            Err(error) => Some(Err(error)),
        })
    }

    fn is_end_stream(&self) -> bool {
        match &self.work {
            Work::Plain => self.body.is_end_stream(),
            // The end is what is verified.
            Work::Hashed { held, .. } => {
                self.has_ended && held.is_none() && self.verdict.refusal().is_none()
            }
            Work::Chunked(_) | Work::Events(_) => {
                self.has_ended && self.held_bytes() == 0 && self.verdict.refusal().is_none()
            }
        }
    }

    /// Nothing is longer or shorter than it was.
    fn size_hint(&self) -> SizeHint {
        let held = self.held_bytes();
        let mut hint = self.body.size_hint();
        let upper = hint.upper().map(|upper| upper.saturating_add(held));
        let lower = hint.lower().saturating_add(held);
        hint = SizeHint::new();
        hint.set_lower(lower);
        if let Some(upper) = upper {
            hint.set_upper(upper);
        }
        hint
    }
}
