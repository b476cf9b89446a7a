//! Bodies that have to be in memory: to be hashed before their head can be verified, or to be sent a second time.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;

use bytes::Bytes;
use hyper::body::Body;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::body::BodyError;
use crate::proxy::refusal::Refusal;
use crate::proxy::verify;

/// The unit in which memory is counted.
const PAGE_BYTES: usize = 4096;

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

/// A body in memory. Its part of the budget is free again when it is dropped.
#[derive(Debug)]
pub struct Buffered {
    bytes: Bytes,
    _held: Option<OwnedSemaphorePermit>,
}

impl Buffered {
    /// The body.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Its SHA-256.
    pub fn hash(&self) -> [u8; 32] {
        verify::hash(&self.bytes)
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
    let mut body = pin!(body);
    let (mut whole, mut held, mut pages) = (Vec::new(), None::<OwnedSemaphorePermit>, 0);
    if body.size_hint().lower() > bytes_max as u64 {
        return Err(BodyError::Refused(Refusal::TooLarge));
    }
    while let Some(frame) = poll_fn(|context| body.as_mut().poll_frame(context)).await {
        let frame = frame.map_err(BodyError::Source)?;
        // Trailers of HTTP are not signed by anybody.
        let data = frame.into_data().map_err(|_| BodyError::Refused(Refusal::BadTrailer))?;
        if data.len() > bytes_max - whole.len() {
            return Err(BodyError::Refused(Refusal::TooLarge));
        }
        let needed = whole.len() + data.len();
        if needed > whole.capacity() {
            let capacity = needed.max((2 * whole.capacity()).min(bytes_max));
            let more = capacity.div_ceil(PAGE_BYTES) - pages;
            let more = budget.take(more).map_err(BodyError::Refused)?;
            pages = capacity.div_ceil(PAGE_BYTES);
            match &mut held {
                Some(held) => held.merge(more),
                None => held = Some(more),
            }
            whole.reserve_exact(capacity - whole.len());
        }
        whole.extend_from_slice(&data);
    }
    Ok(Buffered { bytes: whole.into(), _held: held })
}
