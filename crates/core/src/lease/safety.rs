//! The rule by which a superseded key may go.

use std::time::Duration;

use jiff::Timestamp;

use super::Horizon;
use crate::policy::Policy;
use crate::time::{Now, later};

/// C: served times are whole seconds.
const CLOCK_GRAIN: Duration = Duration::from_secs(1);

/// What is known of how programs were served since a key was superseded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Serving {
    /// U: when the present uninterrupted serving of the new key began. Who computes it raises it and never lowers it.
    pub healthy_since: Timestamp,
    /// F: when the proxy last signed a request with the superseded key, if it did.
    pub fell_over: Option<Timestamp>,
}

impl From<Timestamp> for Serving {
    /// Nobody goes through a proxy.
    fn from(healthy_since: Timestamp) -> Self {
        Self { healthy_since, fell_over: None }
    }
}

/// Whether no SDK client can still sign with a superseded key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Safety {
    /// None can.
    Safe,
    /// One might, until about then.
    NotBefore(Timestamp),
}

/// SAFE(K): `T >= max(H, U + X, F) + S + C`, and the monotonic clock agrees.
///
/// A fail-over of the proxy is no outage: the program holds nothing that it could go on with. What was signed is good for S,
/// and no longer. The reasons, SDK by SDK, and what this does not cover, are in `docs/leases.md`;
/// `tests/safe.rs` plays it against them.
pub fn safety(
    horizon: Option<&Horizon>,
    serving: impl Into<Serving>,
    policy: &Policy,
    now: &Now,
) -> Safety {
    let Serving { healthy_since, fell_over } = serving.into();
    let mut last = later(healthy_since, policy.client_backoff);
    last = fell_over.map_or(last, |used| used.max(last));
    for until in horizon.iter().flat_map(|h| [h.served_until, h.unrecorded_until]).flatten() {
        last = last.max(until);
    }
    let wall = later(last, policy.signature_window + CLOCK_GRAIN + policy.presigned_ttl);
    if now.wall < wall {
        return Safety::NotBefore(wall);
    }
    let monotonic = horizon.and_then(|h| h.monotonic.as_ref());
    // Another boot: every program that held the key is gone.
    if let Some(held) = monotonic.filter(|held| held.boot == now.monotonic.boot) {
        let end = held.since_boot + policy.signature_window;
        if now.monotonic.since_boot < end {
            return Safety::NotBefore(later(now.wall, end - now.monotonic.since_boot));
        }
    }
    Safety::Safe
}
