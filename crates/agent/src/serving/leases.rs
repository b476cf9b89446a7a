//! Horizons, written ahead, so that no answer waits for the disk.
//!
//! A thread of its own writes them: a disk that takes its time holds up nothing else.

use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use arc_swap::ArcSwap;
use jiff::Timestamp;
use rotakey_core::credential::Generation;
use rotakey_core::time::{Now, later};
use rotakey_endpoint::lease::LIFE_MIN;

use super::{ServedKey, Serving};
use crate::clock::{Clock, SystemClock};
use crate::serve::ahead;
use crate::store::profile::StateError;

/// Between two rounds. In each, clocks are looked at, and horizons that come near are raised.
const ROUND: Duration = Duration::from_secs(30);

/// After a write that failed.
const AGAIN: Duration = Duration::from_secs(1);

/// Raises horizons when they are asked for, and before they are needed.
#[derive(Debug)]
pub struct LeaseWriter {
    orders: Sender<Order>,
    thread: Option<JoinHandle<()>>,
}

enum Order {
    Raise(Arc<ServedKey>),
    End,
}

/// What the ledger says of the served key, after its horizon was raised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Raised {
    /// The generation that the ledger has.
    pub generation: Generation,
    /// Until when its answers are accounted for.
    pub until: Timestamp,
}

/// Raises the horizon of the generation that the ledger has, if that is wanted, and says how far it reaches. `None` if the
/// profile has no key.
pub fn raise(key: &ServedKey, now: &Now) -> Result<Option<Raised>, StateError> {
    let ahead = ahead(key.lease);
    let wanted = later(now.wall, key.lease + ahead / 2);
    let covers = |ledger: &rotakey_core::lease::Ledger| {
        let horizon = ledger.horizons.get(&ledger.access_key_id);
        let until = horizon.and_then(|horizon| horizon.served_until)?;
        (until >= wanted).then_some(Raised { generation: ledger.generation, until })
    };
    let ledger = key.state.ledger()?;
    if ledger.as_ref().is_some_and(|ledger| ledger.withdrawn.is_some()) {
        return Ok(None);
    }
    if let Some(raised) = ledger.as_ref().and_then(covers) {
        return Ok(Some(raised));
    }
    key.state.update_ledger(|slot| {
        let ledger = slot.as_mut()?;
        let generation = ledger.generation;
        ledger.extend(generation, now, key.lease, ahead).ok()?;
        let horizon = ledger.horizons.get(&ledger.access_key_id);
        let until = horizon.and_then(|horizon| horizon.served_until)?;
        Some(Raised { generation, until })
    })
}

/// Tells whoever serves from memory how far the horizon reaches.
pub fn note(key: &ServedKey, raised: &Raised) {
    key.key.cover(raised.generation, raised.until);
    for served in &key.profiles {
        served.temporary.cover(raised.generation, raised.until);
    }
    key.set_covered_until(raised.until);
}

/// Whether the horizon has to be raised although nobody asked: later, an answer might have to wait for the disk.
fn is_near(key: &ServedKey, now: Timestamp) -> bool {
    let margin = ahead(key.lease) / 2;
    key.covered_until() < later(now, key.lease.min(LIFE_MIN) + ROUND.min(margin) + margin)
}

impl LeaseWriter {
    /// Begins. `superseded` is told of keys whose ledger has another generation than the one that is served.
    pub fn start(
        serving: Weak<ArcSwap<Serving>>,
        clock: SystemClock,
        superseded: impl Fn(&ServedKey) + Send + 'static,
    ) -> std::io::Result<Self> {
        let (orders, inbox) = channel();
        let thread = std::thread::Builder::new()
            .name("leases".to_owned())
            .spawn(move || run(&inbox, &serving, &clock, &superseded))?;
        Ok(Self { orders, thread: Some(thread) })
    }

    /// Whoever may ask for a horizon to be raised.
    pub fn asker(&self) -> Asker {
        Asker { orders: self.orders.clone() }
    }
}

impl Drop for LeaseWriter {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.orders.send(Order::End);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Asks for horizons to be raised, and does not wait.
#[derive(Clone, Debug)]
pub struct Asker {
    orders: Sender<Order>,
}

impl Asker {
    /// Asks, unless somebody did already.
    pub fn raise(&self, key: &Arc<ServedKey>) {
        if !key.raising.swap(true, Ordering::Relaxed) {
            let _ = self.orders.send(Order::Raise(Arc::clone(key)));
        }
    }
}

fn run(
    inbox: &Receiver<Order>,
    serving: &Weak<ArcSwap<Serving>>,
    clock: &SystemClock,
    superseded: &dyn Fn(&ServedKey),
) {
    let uptime = || clock.now().monotonic.since_boot;
    let mut round_at = Duration::ZERO;
    loop {
        let order = inbox.recv_timeout(round_at.saturating_sub(uptime()));
        let Some(serving) = serving.upgrade() else { return };
        match order {
            Ok(Order::End) | Err(RecvTimeoutError::Disconnected) => return,
            Ok(Order::Raise(key)) => {
                key.raising.store(false, Ordering::Relaxed);
                write(&key, clock, superseded);
            }
            Err(RecvTimeoutError::Timeout) => {
                let mut pause = ROUND;
                for key in serving.load().keys.values() {
                    let now = clock.now();
                    key.healthy_since(&now);
                    if is_near(key, now.wall) && !write(key, clock, superseded) {
                        pause = AGAIN;
                    }
                    pause = pause.min((ahead(key.lease) / 4).max(AGAIN / 4));
                }
                round_at = uptime() + pause;
            }
        }
    }
}

/// False if the ledger could not be written.
fn write(key: &ServedKey, clock: &SystemClock, superseded: &dyn Fn(&ServedKey)) -> bool {
    match raise(key, &clock.now()) {
        Ok(None) => true,
        Ok(Some(raised)) => {
            note(key, &raised);
            let served = key.key.subscribe().latest().as_ref().map(|seen| seen.generation);
            if served != Some(raised.generation) {
                superseded(key);
            }
            true
        }
        Err(error) => {
            tracing::warn!(profile = key.name, %error, "the lease is not recorded; serving goes on");
            false
        }
    }
}

#[cfg(test)]
mod tests;
