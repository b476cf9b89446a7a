//! Secrets in the memory of this process: for the demo and for tests, which can make it fail.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rotakey_core::credential::{AccessKeyId, SecretAccessKey};

use super::{Keystore, KeystoreError};

const NAME: &str = "the memory of this process";

/// A keystore that forgets everything with its last clone.
#[derive(Clone, Debug, Default)]
pub struct MemoryKeystore {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    secrets: BTreeMap<AccessKeyId, SecretAccessKey>,
    reads: BTreeMap<AccessKeyId, u64>,
    locked: bool,
    next_put: Option<KeystoreError>,
}

impl MemoryKeystore {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes the next put fail with this error, and store nothing.
    pub fn fail_next_put(&self, error: KeystoreError) {
        self.state().next_put = Some(error);
    }

    /// Locks or unlocks it: every call on a locked one is [`KeystoreError::Locked`].
    pub fn set_locked(&self, locked: bool) {
        self.state().locked = locked;
    }

    /// The ids it holds, sorted, whether locked or not.
    pub fn ids(&self) -> Vec<AccessKeyId> {
        self.state().secrets.keys().cloned().collect()
    }

    /// How often this id was asked for while unlocked, found or not.
    pub fn reads(&self, id: &AccessKeyId) -> u64 {
        self.state().reads.get(id).copied().unwrap_or(0)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No call leaves the maps half changed, so a panic elsewhere spoils nothing.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn unlocked(&self) -> Result<MutexGuard<'_, State>, KeystoreError> {
        let state = self.state();
        if state.locked {
            return Err(KeystoreError::Locked { store: NAME.to_owned() });
        }
        Ok(state)
    }
}

impl Keystore for MemoryKeystore {
    fn describe(&self) -> String {
        NAME.to_owned()
    }

    fn put(&self, id: &AccessKeyId, secret: &SecretAccessKey) -> Result<(), KeystoreError> {
        let mut state = self.unlocked()?;
        if let Some(error) = state.next_put.take() {
            return Err(error);
        }
        match state.secrets.get(id) {
            Some(held) if held != secret => {
                Err(KeystoreError::Conflict { store: NAME.to_owned(), id: id.clone() })
            }
            _ => {
                state.secrets.insert(id.clone(), secret.clone());
                Ok(())
            }
        }
    }

    fn get(&self, id: &AccessKeyId) -> Result<Option<SecretAccessKey>, KeystoreError> {
        let mut state = self.unlocked()?;
        *state.reads.entry(id.clone()).or_default() += 1;
        Ok(state.secrets.get(id).cloned())
    }

    fn delete(&self, id: &AccessKeyId) -> Result<(), KeystoreError> {
        self.unlocked()?.secrets.remove(id);
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::probe;
    use super::*;

    #[test]
    fn it_keeps_counts_and_fails_when_told() {
        let store = MemoryKeystore::new();
        let id: AccessKeyId = "AKIAONE".parse().unwrap();
        let secret = SecretAccessKey::new("s1".to_owned());
        store.fail_next_put(KeystoreError::Unwritable {
            store: NAME.to_owned(),
            reason: "disk full".to_owned(),
        });
        assert!(matches!(store.put(&id, &secret), Err(KeystoreError::Unwritable { .. })));
        assert!(store.ids().is_empty());
        store.put(&id, &secret).unwrap();
        store.put(&id, &secret).unwrap();
        let other = SecretAccessKey::new("s2".to_owned());
        assert!(matches!(store.put(&id, &other), Err(KeystoreError::Conflict { .. })));
        assert_eq!(store.clone().get(&id).unwrap(), Some(secret));
        assert_eq!(store.reads(&id), 1);
        store.set_locked(true);
        assert!(matches!(store.get(&id), Err(KeystoreError::Locked { .. })));
        store.set_locked(false);
        store.delete(&id).unwrap();
        store.delete(&id).unwrap();
        assert_eq!(store.get(&id).unwrap(), None);
    }

    #[test]
    fn a_probe_leaves_nothing_behind() {
        let store = MemoryKeystore::new();
        probe(&store, "app").unwrap();
        assert!(store.ids().is_empty());
        store.set_locked(true);
        assert!(matches!(probe(&store, "app"), Err(KeystoreError::Locked { .. })));
    }
}
