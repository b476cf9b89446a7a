//! Event streams on their way: both directions at once, for minutes or hours, on the key that they began with. Uploads in
//! signed chunks likewise.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, SizeHint};
use rotakey_core::credential::AccessKeyId;
use tokio::time::Instant;

use super::Download;
use super::request::Asked;
use crate::proxy::keys::Keys;
use crate::proxy::payload::{Verdict, error_event};
use crate::proxy::pool::{Broken, Upload};
use crate::proxy::refusal::Refusal;
use crate::publish::Snapshot;
use crate::table::Caller;

/// How often it is looked whether the key that a stream signs with is still the current one.
const LOOK: Duration = Duration::from_secs(60);

/// Whose stream it is.
struct Owner<K> {
    keys: Arc<K>,
    profile: String,
    service: String,
    key: AccessKeyId,
    /// A session that was made with that key, and lives on without it.
    is_session: bool,
}

/// What a program sends. Its key stays what it was; whoever is about to deactivate that one is told that it is in use.
struct Sending<K, B> {
    body: B,
    owner: Owner<K>,
    looked: Instant,
}

/// Watches over a stream, or an upload, that is signed with this key piece by piece.
pub(super) fn sending<K: Keys, B>(
    body: B,
    keys: &Arc<K>,
    asked: &Asked<'_>,
    with: &Snapshot,
) -> Upload
where
    B: Body<Data = Bytes, Error = Broken> + Unpin + Send + 'static,
{
    let owner = Owner {
        keys: Arc::clone(keys),
        profile: asked.verified.placeholder().profile.clone(),
        service: asked.verified.scope().service.clone(),
        key: with.key.clone(),
        is_session: asked.is_session(),
    };
    Sending { body, owner, looked: Instant::now() }.boxed_unsync()
}

impl<K: Keys, B> Sending<K, B> {
    fn look(&mut self) {
        if self.owner.is_session || self.looked.elapsed() < LOOK {
            return;
        }
        self.looked = Instant::now();
        let Owner { keys, profile, service, key, .. } = &self.owner;
        if keys.pair(profile, service).is_none_or(|pair| pair.current.key != *key) {
            keys.goes_on(profile, key);
        }
    }
}

impl<K: Keys, B: Body<Data = Bytes, Error = Broken> + Unpin> Body for Sending<K, B> {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let this = self.get_mut();
        let frame = ready!(Pin::new(&mut this.body).poll_frame(cx));
        this.look();
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl<K, B: Unpin> Unpin for Sending<K, B> {}

/// What AWS answers. If what the program sends turns out not to be what it signed, the answer breaks off, too: its last event
/// says why.
pub(super) struct Answering<K: Keys> {
    body: Download,
    verdict: Verdict,
    keys: Arc<K>,
    profile: String,
    caller: Caller,
    is_told: bool,
}

impl<K: Keys> Answering<K> {
    /// Watches over the answer to a stream.
    pub(super) fn new(
        body: Download,
        verdict: Verdict,
        keys: &Arc<K>,
        profile: &str,
        caller: &Caller,
    ) -> Self {
        let (keys, profile, caller) = (Arc::clone(keys), profile.to_owned(), caller.clone());
        Self { body, verdict, keys, profile, caller, is_told: false }
    }

    /// Why the stream was refused, the first time that it is asked.
    fn refusal(&mut self) -> Option<Refusal> {
        let why = self.verdict.refusal().filter(|_| !self.is_told)?;
        self.is_told = true;
        self.keys.turned_away(why, Some(&self.profile), &self.caller);
        Some(why)
    }
}

impl<K: Keys> Body for Answering<K> {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let this = self.get_mut();
        if this.is_told {
            return Poll::Ready(None);
        }
        let frame = ready!(Pin::new(&mut this.body).poll_frame(cx));
        if matches!(frame, Some(Ok(_))) {
            return Poll::Ready(frame);
        }
        Poll::Ready(match (this.refusal(), frame) {
            (Some(why), Some(Err(_))) => Some(Ok(Frame::data(error_event(why)))),
            // AWS had said all that it had to say.
            (_, frame) => frame,
        })
    }

    fn is_end_stream(&self) -> bool {
        self.is_told || self.body.is_end_stream()
    }
}

impl<K: Keys> Drop for Answering<K> {
    fn drop(&mut self) {
        // A program that does not wait for its answer is written down all the same.
        self.refusal();
    }
}

#[cfg(test)]
mod tests;
