//! Leases: what was handed out until when, and when an old key may go.
//!
//! The ledger says which generation is served, and for each key the horizon: no program was ever told an
//! `Expiration` later than it. A horizon is on disk before the answer that needs it goes out.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::credential::{AccessKeyId, Generation};
use crate::policy::Policy;
use crate::time::{Monotonic, Now, later};

/// C: served times are whole seconds.
const CLOCK_GRAIN: Duration = Duration::from_secs(1);

/// What a profile serves, and what it has served.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    /// The format, 1.
    pub version: u32,
    /// Counts publishes.
    pub generation: Generation,
    /// The key that every source serves.
    pub access_key_id: AccessKeyId,
    /// When it was published.
    pub published: Timestamp,
    /// For each key ever served and not yet deleted, until when.
    pub horizons: BTreeMap<AccessKeyId, Horizon>,
}

/// Until when a key was handed out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Horizon {
    /// H: the latest `Expiration` that any answer carried or will carry, if there was an answer.
    pub served_until: Option<Timestamp>,
    /// The same on the monotonic clock.
    pub monotonic: Option<Monotonic>,
    /// A bound for answers given while the ledger could not be written, set when the key was
    /// superseded: no answer with the key is given after that, so none outlives it by more than a lease.
    pub unrecorded_until: Option<Timestamp>,
}

/// Why a lease was not written.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("generation {asked} is no longer served; generation {current} is")]
pub struct Superseded {
    /// The generation the writer had in mind.
    pub asked: Generation,
    /// The one that is served.
    pub current: Generation,
}

impl Ledger {
    /// The ledger of a profile that serves its first key.
    pub fn new(access_key_id: AccessKeyId, generation: Generation, published: Timestamp) -> Self {
        Self { version: 1, generation, access_key_id, published, horizons: BTreeMap::new() }
    }

    /// Whether an answer of `generation` that expires at `expiration` is covered already.
    pub fn covers(
        &self,
        generation: Generation,
        expiration: Timestamp,
    ) -> Result<bool, Superseded> {
        self.check(generation)?;
        let horizon = self.horizons.get(&self.access_key_id);
        Ok(horizon.and_then(|h| h.served_until).is_some_and(|until| until >= expiration))
    }

    /// Raises the horizon of the served key, so that answers of the next while are covered too.
    ///
    /// `ahead` is that while: the horizon becomes `now + lease + ahead`, unless it is later already.
    pub fn extend(
        &mut self,
        generation: Generation,
        now: &Now,
        lease: Duration,
        ahead: Duration,
    ) -> Result<(), Superseded> {
        self.check(generation)?;
        let horizon = self.horizon_mut();
        let until = later(now.wall, lease + ahead);
        horizon.served_until = horizon.served_until.max(Some(until));
        let mono = Monotonic {
            boot: now.monotonic.boot.clone(),
            since_boot: now.monotonic.since_boot + lease + ahead,
        };
        let earlier = horizon.monotonic.take().filter(|old| old.boot == mono.boot);
        horizon.monotonic = Some(match earlier {
            Some(old) if old.since_boot > mono.since_boot => old,
            _ => mono,
        });
        Ok(())
    }

    /// Serves another key from now on.
    pub fn publish(
        &mut self,
        access_key_id: AccessKeyId,
        generation: Generation,
        now: &Now,
        lease: Duration,
    ) {
        if self.access_key_id != access_key_id {
            let horizon = self.horizon_mut();
            horizon.unrecorded_until = horizon.unrecorded_until.max(Some(later(now.wall, lease)));
            self.published = now.wall;
        }
        self.access_key_id = access_key_id;
        self.generation = generation;
    }

    /// Drops what is known of a key that is gone.
    pub fn forget(&mut self, id: &AccessKeyId) {
        if *id != self.access_key_id {
            self.horizons.remove(id);
        }
    }

    fn check(&self, asked: Generation) -> Result<(), Superseded> {
        if asked == self.generation {
            Ok(())
        } else {
            Err(Superseded { asked, current: self.generation })
        }
    }

    fn horizon_mut(&mut self) -> &mut Horizon {
        self.horizons.entry(self.access_key_id.clone()).or_insert(Horizon {
            served_until: None,
            monotonic: None,
            unrecorded_until: None,
        })
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

/// SAFE(K): `T >= max(H, U + X) + S + C`, and the monotonic clock agrees.
///
/// `healthy_since` is U: when the present uninterrupted serving of the new key began. The reasons, SDK by
/// SDK, are in `docs/leases.md`.
pub fn safety(
    horizon: Option<&Horizon>,
    healthy_since: Timestamp,
    policy: &Policy,
    now: &Now,
) -> Safety {
    let mut last = later(healthy_since, policy.client_backoff);
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
