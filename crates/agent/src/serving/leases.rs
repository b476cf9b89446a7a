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
mod tests {
    use rotakey_core::credential::{AccessKeyId, Credentials, SecretAccessKey};
    use rotakey_core::lease::Ledger;
    use rotakey_endpoint::lease::Grant;
    use rotakey_endpoint::publish::Snapshot;

    use super::*;
    use crate::store::profile::ProfileState;

    const LEASE: Duration = Duration::from_secs(3600);

    fn id(text: &str) -> AccessKeyId {
        text.parse().expect("an id")
    }

    /// A key that is served, its horizon written.
    fn served(state: ProfileState, now: &Now) -> ServedKey {
        drop(state.lock().expect("free"));
        let first = Ledger::new(id("AKIAOLD"), Generation(1), now.wall);
        state.update_ledger(|slot| *slot = Some(first)).expect("writable");
        let key = ServedKey::for_test(state, LEASE);
        let credentials =
            Credentials::long_term(id("AKIAOLD"), SecretAccessKey::new("s".to_owned()));
        let snapshot = Snapshot {
            generation: Generation(1),
            key: id("AKIAOLD"),
            credentials,
            valid_until: None,
            covered_until: None,
        };
        key.key.publish(snapshot).expect("the first");
        note(&key, &raise(&key, now).expect("writable").expect("a key"));
        key
    }

    fn grant(key: &ServedKey, now: Timestamp) -> Grant {
        key.key.subscribe().latest().as_ref().expect("published").grant(now, LEASE)
    }

    /// ADR 4: nobody tells us of another process's publish, and still no answer outlives what it counted with.
    #[test]
    fn what_is_promised_after_a_publish_by_another_process_was_counted_before_it() {
        let dir = tempfile::tempdir().expect("a folder");
        let state = ProfileState::new(dir.path(), "p");
        let now = SystemClock::new().now();
        let key = served(state.clone(), &now);
        let later = |seconds| later(now.wall, Duration::from_secs(seconds));
        assert_eq!(grant(&key, now.wall), Grant::Covered(later(3600)));
        let flip = |slot: &mut Option<Ledger>| {
            let ledger = slot.as_mut().expect("written");
            ledger.publish(id("AKIANEW"), Generation(2), &now, LEASE);
            ledger.horizons[&id("AKIAOLD")].served_until.expect("it was served")
        };
        let counted = state.update_ledger(flip).expect("writable");
        // The horizon that is raised from now on is the new key's.
        let raised = raise(&key, &now).expect("writable").expect("a key");
        assert_eq!(raised.generation, Generation(2));
        note(&key, &raised);
        for after in [0, 60, 600, 1800, 2400, 3600, 4200] {
            match grant(&key, later(after)) {
                Grant::Covered(until) => assert!(until <= counted, "{after} s later: {until}"),
                Grant::Uncovered(_) | Grant::Over => assert!(after > 1800, "{after} s later"),
            }
        }
    }

    #[test]
    fn a_horizon_is_raised_ahead_and_not_for_each_answer() {
        let dir = tempfile::tempdir().expect("a folder");
        let state = ProfileState::new(dir.path(), "p");
        let now = SystemClock::new().now();
        let key = served(state.clone(), &now);
        let first = key.covered_until();
        assert_eq!(first.as_second(), later(now.wall, LEASE + ahead(LEASE)).as_second());
        let mut soon = now.clone();
        soon.wall = later(now.wall, ahead(LEASE) / 3);
        note(&key, &raise(&key, &soon).expect("writable").expect("a key"));
        assert_eq!(key.covered_until(), first, "it reaches far enough");
        soon.wall = later(now.wall, ahead(LEASE));
        assert!(!is_near(&key, soon.wall));
        note(&key, &raise(&key, &soon).expect("writable").expect("a key"));
        assert!(key.covered_until() > first);
        // Nobody asked for long: it is raised before an answer would have to wait for the disk.
        assert!(is_near(&key, later(now.wall, Duration::from_secs(2700))));
    }
}
