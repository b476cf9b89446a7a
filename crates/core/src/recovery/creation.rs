//! What became of a creation whose reply was lost.
//!
//! A key is *ours* only if it was not there before, was created while the request was under way, was never
//! used, and is the only such key. A person's key that looks the same to us is fenced: it is set Inactive
//! first, and left alone as soon as anybody touches it.

use std::time::Duration;

use jiff::Timestamp;

use crate::credential::AccessKeyId;
use crate::iam::ListedKey;
use crate::time::{earlier, later};

/// `CreateDate` and `Date` are whole seconds.
const GRAIN: Duration = Duration::from_secs(1);

/// When the request was under way, by the server's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    from: Timestamp,
    to: Timestamp,
}

impl Window {
    /// The window of a request sent at `sent` that was given up at `given_up`, both by our clock, when the
    /// server's clock was `offset_ms` ahead of ours.
    pub fn new(sent: Timestamp, given_up: Timestamp, offset_ms: i64) -> Self {
        let shift = |at: Timestamp| {
            let span = Duration::from_millis(offset_ms.unsigned_abs());
            if offset_ms < 0 { earlier(at, span) } else { later(at, span) }
        };
        Self { from: earlier(shift(sent), GRAIN), to: later(shift(given_up), GRAIN) }
    }

    fn contains(&self, at: Timestamp) -> bool {
        self.from <= at && at <= self.to
    }
}

/// A key that was not there before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The key.
    pub key: ListedKey,
    /// The keystore holds its secret.
    pub held: bool,
    /// It was used.
    pub used: bool,
}

/// What became of the creation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It made this key, and the secret is in the keystore.
    Adopt(ListedKey),
    /// It made this key, and nobody holds the secret.
    Orphan(ListedKey),
    /// It made none.
    Nothing,
    /// Somebody else made a key meanwhile; whether ours is among them cannot be told.
    Strangers(Vec<AccessKeyId>),
}

/// Decides, once no more keys can come.
pub fn judge(candidates: &[Candidate], window: Window) -> Verdict {
    if let Some(held) = candidates.iter().find(|c| c.held) {
        return Verdict::Adopt(held.key.clone());
    }
    match candidates {
        [] => Verdict::Nothing,
        [only] if !only.used && window.contains(only.key.created) => {
            Verdict::Orphan(only.key.clone())
        }
        several => {
            Verdict::Strangers(several.iter().map(|c| c.key.access_key_id.clone()).collect())
        }
    }
}
