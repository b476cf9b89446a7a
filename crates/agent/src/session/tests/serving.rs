//! Sessions without an agent: never of a key that is superseded by the time that they are there.

use std::sync::Once;
use std::time::Duration;

use jiff::Timestamp;
use rotakey_core::credential::{Credentials, Generation};
use rotakey_core::lease::Ledger;
use rotakey_core::time::{Now, later};

use super::super::Minter;
use super::world::{Stopped, World, plan};
use crate::clock::Clock;
use crate::serve::hand_out_minted;
use crate::store::keystore::Keystore;
use crate::store::profile::ProfileState;

const LEASE: Duration = Duration::from_secs(1800);

/// Whoever asks for the time, which the minter does once its session is there, makes another key the served one.
struct Overtaking<'a> {
    clock: &'a Stopped,
    state: &'a ProfileState,
    newer: &'a Credentials,
    once: Once,
}

impl Clock for Overtaking<'_> {
    fn now(&self) -> Now {
        let now = self.clock.now();
        self.once.call_once(|| {
            let id = self.newer.access_key_id.clone();
            let publish = |slot: &mut Option<Ledger>| {
                slot.as_mut().expect("there").publish(id, Generation(2), &now, LEASE);
            };
            self.state.update_ledger(publish).expect("writable");
        });
        now
    }

    async fn sleep_until(&self, until: Timestamp) {
        self.clock.sleep_until(until).await;
    }
}

#[tokio::test]
async fn a_session_of_a_key_that_is_superseded_meanwhile_is_never_seen() {
    for is_covered in [false, true] {
        let world = World::new();
        let newer = world.new_key();
        for key in [&world.key, &newer] {
            world.keystore.put(&key.access_key_id, &key.secret_access_key).expect("kept");
        }
        let dir = tempfile::tempdir().expect("a folder");
        let state = ProfileState::new(dir.path(), "app");
        drop(state.lock().expect("free"));
        let now = world.clock.now();
        let mut ledger = Ledger::new(world.key.access_key_id.clone(), Generation(1), now.wall);
        if is_covered {
            ledger.extend(Generation(1), &now, LEASE, LEASE).expect("served");
        }
        state.update_ledger(|slot| *slot = Some(ledger)).expect("writable");
        let clock =
            Overtaking { clock: &world.clock, state: &state, newer: &newer, once: Once::new() };
        let minter = Minter {
            service: &world.service,
            keystore: &world.keystore,
            clock: &clock,
            mfa: &world.mfa,
            patience: Duration::ZERO,
        };
        let handed = hand_out_minted(&state, &minter, &plan("[profile.app]\n", "app"), LEASE).await;
        let handed = handed.expect("handed out");
        assert_eq!(handed.snapshot.key, newer.access_key_id, "covered: {is_covered}");
        assert_eq!(handed.snapshot.generation, Generation(2));
        assert_eq!(handed.expiration, later(now.wall, LEASE));
        let ledger = state.ledger().expect("readable").expect("there");
        let horizon = ledger.horizons[&newer.access_key_id].served_until;
        assert!(horizon >= Some(handed.expiration), "{horizon:?}");
    }
}
