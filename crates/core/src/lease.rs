//! Leases: what was handed out until when, and when an old key may go.
//!
//! The ledger says which generation is served, and for each key the horizon: no program was ever told an
//! `Expiration` later than it. A horizon is on disk before the answer that needs it goes out.

mod safety;

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use self::safety::{Safety, Serving, safety};
use crate::credential::{AccessKeyId, Generation};
use crate::time::{Monotonic, Now, later};

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
    /// Sessions minted before this, by our clock, are void: the key they came from leaked, or they were revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sessions_since: Option<Timestamp>,
    /// Counts how often sessions were made void: of a clock that was set back, the time alone says nothing.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub revocations: u64,
    /// Since when nobody is served: the key leaked, and there is none in its place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub withdrawn: Option<Timestamp>,
}

/// Until when a key was handed out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Horizon {
    /// H: the latest `Expiration` that any answer carried or will carry, if there was an answer.
    pub served_until: Option<Timestamp>,
    /// The same on the monotonic clock; complete once the key was superseded.
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
        Self {
            version: 1,
            generation,
            access_key_id,
            published,
            horizons: BTreeMap::new(),
            sessions_since: None,
            revocations: 0,
            withdrawn: None,
        }
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
        horizon.raise_monotonic(now, lease + ahead);
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
            // Those answers last as long on the other clock. So do answers that needed no write since the
            // wall clock had covered them: after a reboot, or once it had been set back.
            horizon.raise_monotonic(now, lease);
            self.published = now.wall;
        }
        self.access_key_id = access_key_id;
        self.generation = generation;
    }

    /// Makes sessions void that were minted before `now`.
    pub fn void_sessions(&mut self, now: Timestamp) {
        self.revocations += 1;
        self.sessions_since = self.sessions_since.max(Some(now));
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

impl Horizon {
    /// An answer of this instant lives for `life`. Readings of an earlier boot mean nothing any more.
    fn raise_monotonic(&mut self, now: &Now, life: Duration) {
        let Monotonic { boot, since_boot } = now.monotonic.clone();
        let end = Monotonic { boot, since_boot: since_boot + life };
        let known = self.monotonic.take().filter(|known| known.boot == end.boot);
        self.monotonic = known.filter(|known| known.since_boot > end.since_boot).or(Some(end));
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

#[cfg(test)]
mod tests;
