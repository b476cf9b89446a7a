//! Handing the served key out, from the ledger and the keystore alone; or, without an agent, a session of it.
//!
//! It never waits for a rotation, and for the key itself never asks AWS. The horizon is on disk before the answer
//! goes out.

use std::time::Duration;

use jiff::Timestamp;
use rotakey_core::credential::{AccessKeyId, Credentials};
use rotakey_core::lease::Ledger;
use rotakey_core::time::{Now, later};
use rotakey_endpoint::publish::Snapshot;

use crate::clock::Clock;
use crate::iam::KeyService;
use crate::session::{Minter, NotMinted, Plan, RoleCache};
use crate::store::keystore::{Keystore, KeystoreError};
use crate::store::profile::{ProfileState, StateError};

/// A publish may come in between: then the ledger is read again.
const ATTEMPTS_MAX: u32 = 5;

/// A credential that may go out, its lease written.
#[derive(Debug)]
pub struct Handed {
    /// What is served.
    pub snapshot: Snapshot,
    /// Until when its holder may use it.
    pub expiration: Timestamp,
}

/// Why nothing is handed out.
#[derive(Debug, thiserror::Error)]
pub enum NotHanded {
    /// No key was ever taken over.
    #[error("the profile has no key")]
    NoKey,
    /// It leaked, and nothing is in its place.
    #[error("{}", withdrawn(.0))]
    Withdrawn(AccessKeyId),
    /// The keystore is readable, and does not hold the served key.
    #[error("the keystore does not hold the secret of {0}")]
    NotHeld(AccessKeyId),
    /// The ledger cannot be read.
    #[error(transparent)]
    State(#[from] StateError),
    /// The keystore cannot be read.
    #[error(transparent)]
    Keystore(#[from] KeystoreError),
    /// One publish after the other.
    #[error("the served key kept changing while it was read")]
    Unsettled,
    /// STS gives no session.
    #[error(transparent)]
    NotMinted(#[from] NotMinted),
}

/// What programs are told of a key that was taken out of service.
pub fn withdrawn(id: &AccessKeyId) -> String {
    format!(
        "the key {id} leaked, and was taken out of service by a person; nothing is in its place yet"
    )
}

/// Hands out the served key of a profile for the time of a lease.
pub fn hand_out(
    state: &ProfileState,
    keystore: &dyn Keystore,
    clock: &impl Clock,
    lease: Duration,
) -> Result<Handed, NotHanded> {
    for _ in 0..ATTEMPTS_MAX {
        let Some((ledger, credentials)) = served(state, keystore)? else { continue };
        let now = clock.now();
        let expiration = later(now.wall, lease);
        if is_lease_written(state, &ledger, &now, lease) {
            let (generation, key) = (ledger.generation, ledger.access_key_id);
            let snapshot =
                Snapshot { generation, key, credentials, valid_until: None, covered_until: None };
            return Ok(Handed { snapshot, expiration });
        }
    }
    Err(NotHanded::Unsettled)
}

/// How far a horizon is written ahead of the answer that needs it: most answers then need no write.
pub fn ahead(lease: Duration) -> Duration {
    (lease / 6).min(Duration::from_secs(600)).max(Duration::from_secs(1))
}

/// Hands out a new session of what is served, accounted for like the key it is minted from. It is kept nowhere.
pub async fn hand_out_minted<S: KeyService, C: Clock>(
    state: &ProfileState,
    minter: &Minter<'_, S, C>,
    plan: &Plan,
    lease: Duration,
) -> Result<Handed, NotHanded> {
    for _ in 0..ATTEMPTS_MAX {
        let Some((ledger, key)) = served(state, minter.keystore)? else { continue };
        let minted = minter.mint(plan, &key, ledger.generation, &RoleCache::default()).await?;
        // That took a while, and another key may be served by now: then nobody ever sees this session.
        let ledger = state.ledger()?.filter(|newer| newer.generation == minted.generation);
        let Some(ledger) = ledger else { continue };
        let now = minter.clock.now();
        let expiration = minted.expires.min(later(now.wall, lease));
        if is_lease_written(state, &ledger, &now, lease) {
            let snapshot = Snapshot {
                generation: minted.generation,
                key: minted.key,
                credentials: minted.credentials,
                valid_until: Some(minted.expires),
                covered_until: None,
            };
            return Ok(Handed { snapshot, expiration });
        }
    }
    Err(NotHanded::Unsettled)
}

/// The served key, both halves. `None` if another one was published while it was read.
fn served(
    state: &ProfileState,
    keystore: &dyn Keystore,
) -> Result<Option<(Ledger, Credentials)>, NotHanded> {
    let ledger = state.ledger()?.ok_or(NotHanded::NoKey)?;
    let id = ledger.access_key_id.clone();
    if ledger.withdrawn.is_some() {
        return Err(NotHanded::Withdrawn(id));
    }
    let Some(secret_access_key) = keystore.get(&id)? else {
        if state.ledger()?.is_some_and(|newer| newer.generation != ledger.generation) {
            return Ok(None);
        }
        return Err(NotHanded::NotHeld(id));
    };
    Ok(Some((ledger, Credentials::long_term(id, secret_access_key))))
}

/// Whether an answer may go out: its horizon is on disk, or cannot be, in which case serving goes on.
/// False if another generation is served by now.
fn is_lease_written(state: &ProfileState, ledger: &Ledger, now: &Now, lease: Duration) -> bool {
    match ledger.covers(ledger.generation, later(now.wall, lease)) {
        Err(_) => return false,
        Ok(true) => return true,
        Ok(false) => {}
    }
    let ahead = ahead(lease);
    let written = state.update_ledger(|slot| match slot {
        Some(fresh) => fresh.extend(ledger.generation, now, lease, ahead).is_ok(),
        None => false,
    });
    match written {
        Ok(is_current) => is_current,
        // A full disk must not stop programs. What is not written here is covered when the key is
        // superseded, if that is still to come: the horizon is then raised by a whole lease.
        Err(error) => {
            tracing::warn!(%error, "the lease is not recorded");
            matches!(state.ledger(), Ok(Some(fresh)) if fresh.generation == ledger.generation)
        }
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "a test breaks a file")]
mod tests {
    use std::sync::Once;

    use rotakey_core::credential::{Generation, SecretAccessKey};

    use super::*;
    use crate::clock::SystemClock;

    const LEASE: Duration = Duration::from_secs(3600);

    /// While the first secret is read, another key is published, and the ledger cannot be written any more.
    struct Overtaken<'a> {
        state: &'a ProfileState,
        once: Once,
    }

    impl Keystore for Overtaken<'_> {
        fn describe(&self) -> String {
            "the test".to_owned()
        }

        fn put(&self, _: &AccessKeyId, _: &SecretAccessKey) -> Result<(), KeystoreError> {
            Ok(())
        }

        fn get(&self, asked: &AccessKeyId) -> Result<Option<SecretAccessKey>, KeystoreError> {
            self.once.call_once(|| {
                let now = SystemClock::new().now();
                let publish = |slot: &mut Option<Ledger>| {
                    let ledger = slot.as_mut().expect("written");
                    ledger.publish(id("AKIANEW"), Generation(2), &now, LEASE);
                };
                self.state.update_ledger(publish).expect("writable");
                let lock = self.state.dir().join("ledger.lock");
                std::fs::remove_file(&lock).expect("there");
                std::fs::create_dir(&lock).expect("writable");
            });
            Ok(Some(SecretAccessKey::new(format!("of {asked}"))))
        }

        fn delete(&self, _: &AccessKeyId) -> Result<(), KeystoreError> {
            Ok(())
        }
    }

    fn id(text: &str) -> AccessKeyId {
        text.parse().expect("an id")
    }

    #[test]
    fn an_answer_that_cannot_be_recorded_is_never_of_a_superseded_key() {
        let dir = tempfile::tempdir().expect("a folder");
        let state = ProfileState::new(dir.path(), "p");
        drop(state.lock().expect("free"));
        let clock = SystemClock::new();
        let ledger = Ledger::new(id("AKIAOLD"), Generation(1), clock.now().wall);
        state.update_ledger(|slot| *slot = Some(ledger)).expect("writable");
        let keystore = Overtaken { state: &state, once: Once::new() };
        let handed = hand_out(&state, &keystore, &clock, LEASE).expect("serving goes on");
        assert_eq!(handed.snapshot.credentials.access_key_id, id("AKIANEW"));
    }
}
