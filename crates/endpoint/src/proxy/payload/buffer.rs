//! Bodies that have to be in memory: to be hashed before their head can be verified, or to be sent a second time.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use hyper::body::Body;
use sha2::{Digest, Sha256};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::body::BodyError;
use super::signer::NOTHING;
use crate::proxy::key::digits;
use crate::proxy::refusal::Refusal;

/// The unit in which memory is counted.
const PAGE_BYTES: usize = 4096;

/// Pieces that are shorter are copied together: each may keep a whole buffer of its connection alive, 64 KiB, however
/// little of it is its own.
const COPIED_BYTES_MAX: usize = 16 * 1024;

/// How much memory all bodies together may take.
#[derive(Clone, Debug)]
pub struct Budget(Arc<Semaphore>);

impl Budget {
    /// A budget of so many bytes, rounded to pages of 4 KiB.
    pub fn new(bytes: usize) -> Self {
        Self(Arc::new(Semaphore::new((bytes / PAGE_BYTES).min(Semaphore::MAX_PERMITS))))
    }

    /// How many bytes are free.
    pub fn free_bytes(&self) -> usize {
        self.0.available_permits() * PAGE_BYTES
    }

    /// Never waits: bodies that wait for each other's memory would wait for ever.
    fn take(&self, pages: usize) -> Result<OwnedSemaphorePermit, Refusal> {
        let pages = u32::try_from(pages).map_err(|_| Refusal::TooLarge)?;
        Arc::clone(&self.0).try_acquire_many_owned(pages).map_err(|_| Refusal::Busy)
    }
}

/// A body in memory, as it came in. Its part of the budget is free again when it is dropped.
#[derive(Debug, Default)]
pub struct Buffered {
    pieces: Vec<Bytes>,
    _held: Option<OwnedSemaphorePermit>,
}

impl Buffered {
    /// The body, piece by piece. None is empty.
    pub fn pieces(&self) -> &[Bytes] {
        &self.pieces
    }

    /// The body in one piece.
    pub fn bytes(&self) -> Bytes {
        match self.pieces.as_slice() {
            [] => Bytes::new(),
            [one] => one.clone(),
            many => many.concat().into(),
        }
    }

    /// Its SHA-256.
    pub fn hash(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        self.pieces.iter().for_each(|piece| hash.update(piece));
        hash.finalize().into()
    }

    /// The same, as hexadecimal digits.
    pub(crate) fn hash_digits(&self) -> [u8; 64] {
        if self.pieces.is_empty() {
            return *NOTHING;
        }
        digits(&self.hash())
    }
}

/// Reads a body to its end, if it is no longer than `bytes_max`. Memory is taken as it comes in, not as it is announced.
pub async fn buffer<B>(
    body: B,
    bytes_max: usize,
    budget: &Budget,
) -> Result<Buffered, BodyError<B::Error>>
where
    B: Body<Data = Bytes>,
{
    if body.is_end_stream() {
        return Ok(Buffered::default());
    }
    if body.size_hint().lower() > bytes_max as u64 {
        return Err(BodyError::Refused(Refusal::TooLarge));
    }
    let mut body = pin!(body);
    let (mut pieces, mut small) = (Vec::new(), BytesMut::new());
    let (mut length, mut taken, mut held) = (0, 0, None::<OwnedSemaphorePermit>);
    while let Some(frame) = poll_fn(|context| body.as_mut().poll_frame(context)).await {
        let frame = frame.map_err(BodyError::Source)?;
        // Trailers of HTTP are not signed by anybody.
        let data = frame.into_data().map_err(|_| BodyError::Refused(Refusal::BadTrailer))?;
        if data.len() > bytes_max - length {
            return Err(BodyError::Refused(Refusal::TooLarge));
        }
        length += data.len();
        if length > taken {
            let next = length.max((2 * taken).min(bytes_max));
            let more = next.div_ceil(PAGE_BYTES) - taken.div_ceil(PAGE_BYTES);
            let more = budget.take(more).map_err(BodyError::Refused)?;
            taken = next;
            match &mut held {
                Some(held) => held.merge(more),
                None => held = Some(more),
            }
        }
        if data.len() < COPIED_BYTES_MAX {
            small.extend_from_slice(&data);
            continue;
        }
        if !small.is_empty() {
            pieces.push(small.split().freeze());
        }
        pieces.push(data);
    }
    if !small.is_empty() {
        pieces.push(small.freeze());
    }
    Ok(Buffered { pieces, _held: held })
}
