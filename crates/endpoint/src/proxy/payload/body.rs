//! Bodies on their way to AWS.

use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::HeaderMap;
use hyper::body::{Body, Frame, SizeHint};
use sha2::{Digest, Sha256};

use super::chunks::{Chunks, Framing, Resign};
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
}

impl<B: Body<Data = Bytes>> Outgoing<B> {
    /// The body of `head`, which was `verified`, with the chunks that `signer` signs. With `check_hash` a hash that was given
    /// is compared here too; AWS does so anyway.
    pub fn new(
        body: B,
        head: &HeaderMap,
        verified: &Verified,
        signer: &ChunkSigner,
        check_hash: bool,
    ) -> Result<Self, Refusal> {
        let work = match verified.payload() {
            Payload::Unsigned => Work::Plain,
            Payload::Hash(_) | Payload::Implicit => match verified.body_hash() {
                Some(right) if check_hash => {
                    Work::Hashed { hash: Sha256::new(), right, held: None }
                }
                _ => Work::Plain,
            },
            payload => {
                Work::Chunked(Box::new(Chunks::new(framing(head, verified, signer, payload)?)))
            }
        };
        Ok(Self { body, work, has_ended: false, verdict: Verdict::default() })
    }

    /// Where to look, later, for why it was refused.
    pub fn verdict(&self) -> Verdict {
        self.verdict.clone()
    }
}

/// What the head says of a body in chunks.
fn framing(
    head: &HeaderMap,
    verified: &Verified,
    signer: &ChunkSigner,
    payload: Payload,
) -> Result<Framing, Refusal> {
    let resign = match payload {
        Payload::UnsignedTrailer => None,
        _ => {
            let verifier = verified.chunks.clone().ok_or(Refusal::PayloadMode)?;
            Some(Resign { verifier, signer: signer.clone() })
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
            Some(Err(error)) => Err(BodyError::Source(error)),
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
            if let Work::Chunked(chunks) = &mut self.work
                && let Some(piece) = chunks.pop()
            {
                return Poll::Ready(Ok(Some(piece)));
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
            Work::Chunked(chunks) => {
                self.has_ended && chunks.pending_bytes() == 0 && self.verdict.refusal().is_none()
            }
        }
    }

    /// Nothing is longer or shorter than it was.
    fn size_hint(&self) -> SizeHint {
        let held = match &self.work {
            Work::Plain => 0,
            Work::Hashed { held, .. } => held.as_ref().map_or(0, |held| held.len() as u64),
            Work::Chunked(chunks) => chunks.pending_bytes(),
        };
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
