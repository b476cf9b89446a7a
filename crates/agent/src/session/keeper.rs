//! When to mint: ahead of the end, at once for a new key, later and later while it fails.

use std::time::Duration;

use jiff::Timestamp;
use rotakey_core::credential::Generation;
use rotakey_core::time::{earlier, later};

use super::mint::{Minted, NotMinted};
use super::plan::{Plan, margin};

const BACKOFF_LEAST: Duration = Duration::from_secs(1);
const BACKOFF_MOST: Duration = Duration::from_secs(60);

/// How often is looked whether there is an MFA code by now.
const CODE_AGAIN: Duration = Duration::from_secs(30);

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Mint with the key of this generation, which is the published one, and say [`Keeper::begun`].
    Mint(Generation),
    /// Nothing before then.
    At(Timestamp),
    /// Nothing, until something happens.
    Idle,
}

/// Keeps one profile's session fresh. It does nothing itself: time is an argument, and so is what came of a mint.
#[derive(Clone, Debug)]
pub struct Keeper {
    life: Duration,
    published: Option<Generation>,
    good: Option<Minted>,
    renew_at: Option<Timestamp>,
    in_flight: Option<Generation>,
    failures: u32,
    again_at: Option<Timestamp>,
    trouble: Option<NotMinted>,
}

impl Keeper {
    /// A keeper of what a plan leads to.
    pub fn new(plan: &Plan) -> Self {
        Self {
            life: plan.life(),
            published: None,
            good: None,
            renew_at: None,
            in_flight: None,
            failures: 0,
            again_at: None,
            trouble: None,
        }
    }

    /// A key is published: from now on no older one mints, and this one does at once.
    pub fn publish(&mut self, generation: Generation) {
        if Some(generation) > self.published {
            self.published = Some(generation);
            self.at_once();
        }
    }

    /// What failed may succeed now: a code was given, the network is back. Nothing is waited for any longer.
    pub fn at_once(&mut self) {
        self.failures = 0;
        self.again_at = None;
    }

    /// What to do at `now`.
    pub fn next(&self, now: Timestamp) -> Next {
        let Some(published) = self.published else { return Next::Idle };
        if self.in_flight == Some(published) {
            return Next::Idle;
        }
        let renew_at = self.renew_at.filter(|_| self.is_of(published)).unwrap_or(now);
        // Whoever set the clock back since does not make us wait longer than we would have.
        let again_at = self.again_at.filter(|at| *at <= later(now, BACKOFF_MOST));
        let due = again_at.map_or(renew_at, |at| at.max(renew_at));
        if due <= now { Next::Mint(published) } else { Next::At(due) }
    }

    /// A mint is under way. There is never a second one with the same key.
    pub fn begun(&mut self, generation: Generation) {
        self.in_flight = Some(generation);
    }

    /// It came to this. False, and nothing is taken, if another key is published by now.
    pub fn minted(&mut self, minted: Minted, now: Timestamp) -> bool {
        self.landed(minted.generation);
        if self.published != Some(minted.generation) {
            return false;
        }
        // AWS may have given less than was asked for; and our clock, by which that seems so, may be wrong.
        let given = Duration::try_from(minted.expires.duration_since(now)).unwrap_or_default();
        self.renew_at = Some(earlier(minted.expires, margin(self.life.min(given))));
        self.good = Some(minted);
        self.trouble = None;
        self.at_once();
        true
    }

    /// It failed. `jitter`, 0 to 1, spreads the next attempts of many profiles and machines.
    pub fn failed(&mut self, generation: Generation, why: NotMinted, now: Timestamp, jitter: f64) {
        self.landed(generation);
        if self.published != Some(generation) {
            return;
        }
        let doubled = BACKOFF_LEAST.saturating_mul(1 << self.failures.min(6)).min(BACKOFF_MOST);
        let wait = match &why {
            NotMinted::Mfa(_) => CODE_AGAIN,
            // Somebody has to do something first.
            NotMinted::Denied { refusal, .. } if !refusal.class.is_transient() => BACKOFF_MOST,
            _ => doubled,
        };
        let jitter = if jitter.is_nan() { 0.0 } else { jitter.clamp(0.0, 1.0) };
        let spread = wait.mul_f64(1.0 - jitter / 2.0);
        self.again_at = Some(later(now, spread.max(BACKOFF_LEAST)));
        self.failures = self.failures.saturating_add(1);
        self.trouble = Some(why);
    }

    /// The last good session, until its end: of the published key, or of an older one while the published one has
    /// none yet. Of the latter nothing may be served that was not accounted for before the publish.
    pub fn good(&self, now: Timestamp) -> Option<&Minted> {
        self.good.as_ref().filter(|minted| minted.expires > now)
    }

    /// Why there is no newer one, if the last attempt failed.
    pub fn trouble(&self) -> Option<&NotMinted> {
        self.trouble.as_ref()
    }

    fn is_of(&self, generation: Generation) -> bool {
        self.good.as_ref().is_some_and(|minted| minted.generation == generation)
    }

    fn landed(&mut self, generation: Generation) {
        if self.in_flight == Some(generation) {
            self.in_flight = None;
        }
    }
}
