//! SAFE(K) as the product asks it, and with one part left out.

use std::time::Duration;

use jiff::Timestamp;
use rotakey_core::lease::{Safety, Serving, safety};
use rotakey_core::policy::{OnStraggler, Policy};
use rotakey_core::time::later;

use crate::world::World;

const MINUTE: Duration = Duration::from_secs(60);

/// What is known of the serving.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Watch {
    /// When the new key was published, and no more. `credential-process` without an agent.
    Published,
    /// An agent sees outages end, and the wall clock gain on the monotonic one.
    Agent,
}

/// A part of the rule, to be left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// X.
    Backoff,
    /// S.
    SignatureWindow,
    /// Mx.
    Monotonic,
    /// That Mx is at least a lease after the cutover.
    MonotonicOfCutover,
    Unrecorded,
    /// That the horizon is written before the answer goes out.
    WrittenAhead,
    /// That U is not before the end of an outage.
    Outages,
    /// That U is not before the wall clock last gained on the monotonic one.
    Gains,
    /// That a fail-over of the proxy holds K.
    FailOvers,
}

impl World {
    /// U.
    fn healthy_since(&self) -> Timestamp {
        match self.watch {
            Watch::Agent if self.without == Some(Part::Outages) => self.ledger.published,
            // Not healthy at all.
            Watch::Agent if self.outage => self.healthy_since.max(self.wall),
            Watch::Agent => self.healthy_since,
            Watch::Published => self.ledger.published,
        }
    }

    /// SAFE(K), but for the part that is to be left out.
    pub fn safety(&self) -> Safety {
        let mut horizon = self.horizon().cloned();
        let mut policy = self.policy.clone();
        match self.without {
            Some(Part::Backoff) => policy.client_backoff = Duration::ZERO,
            Some(Part::SignatureWindow) => policy.signature_window = Duration::ZERO,
            Some(Part::Monotonic) => horizon.iter_mut().for_each(|h| h.monotonic = None),
            Some(Part::Unrecorded) => horizon.iter_mut().for_each(|h| h.unrecorded_until = None),
            _ => {}
        }
        let fell_over = self.fell_over.filter(|_| self.without != Some(Part::FailOvers));
        let serving = Serving { healthy_since: self.healthy_since(), fell_over };
        safety(horizon.as_ref(), serving, &policy, &self.now())
    }

    /// `max(H, U + X)`: from then on, by the wall clock, every client has stopped or asked again.
    pub fn bound(&self) -> Timestamp {
        let horizon = self.horizon();
        let ends = horizon.iter().flat_map(|h| [h.served_until, h.unrecorded_until]).flatten();
        let healed = later(self.healthy_since(), self.policy.client_backoff);
        ends.fold(healed, Timestamp::max)
    }

    /// Whether the monotonic clock alone holds K for S at least.
    pub fn monotonic_holds(&self) -> bool {
        let monotonic = self.horizon().and_then(|horizon| horizon.monotonic.as_ref());
        let now = self.now().monotonic;
        monotonic.is_some_and(|held| held.boot == now.boot && now.since_boot < held.since_boot)
    }
}

/// The product's defaults, but for the lease.
pub fn policy(lease: Duration) -> Policy {
    Policy {
        successes: 5,
        spacing: Duration::from_secs(2),
        settle: Duration::from_secs(30),
        deadline: 5 * MINUTE,
        vantages: Vec::new(),
        lease,
        client_backoff: 15 * MINUTE,
        signature_window: 15 * MINUTE,
        presigned_ttl: Duration::ZERO,
        observe: Duration::ZERO,
        soak: 60 * MINUTE,
        orphan_wait: 60 * MINUTE,
        on_straggler: OnStraggler::Hold,
        create_timeout: MINUTE,
        lost_reply_wait: MINUTE,
    }
}
