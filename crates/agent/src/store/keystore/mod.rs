//! Where secrets live, each under its access key id.

pub mod file;
pub mod keyring;
pub mod passphrase;
mod private;

use rotakey_core::credential::{AccessKeyId, SecretAccessKey};
use sha2::{Digest, Sha256};

/// What the ids of items begin with that only prove that the store keeps them.
pub const PROBE_PREFIX: &str = "rotakey-probe-";

/// A place for secrets. Calls block, for a bounded time.
pub trait Keystore: Send + Sync {
    /// What it is, for messages: "the keyring (Secret Service)", "the key file /home/…/keys".
    fn describe(&self) -> String;

    /// Stores a secret durably, under its id. An item of that id is replaced by an equal one only;
    /// a different one is [`KeystoreError::Conflict`].
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
    /// It holds another secret under that id; the only copy of a secret is never overwritten.
    #[error("{store} already holds a different secret under {id}")]
    Conflict {
        /// Which store.
        store: String,
        /// The id whose secret was to be replaced.
        id: AccessKeyId,
    },
    /// Others could read or change it, so it is not used.
    #[error("{store} is not used: {reason}")]
    Refused {
        /// Which store.
        store: String,
        /// What was seen.
        reason: String,
    },
}

impl KeystoreError {
    /// What the owner can do about it, in one line. No hint is ever carried out by itself: moving to
    /// a weaker store is the owner's decision.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Locked { .. } => {
                "unlock the keyring (log in to the desktop, or open it in its own program); \
                 without a desktop, use the key file (docs/headless.md): `[store] kind = \"file\"` \
                 and a passphrase in config.toml"
            }
            Self::Unreachable { store, .. } if store.starts_with("the key file") => {
                "make right what `[store]` names: passphrase_file, passphrase_command or \
                 passphrase_credential"
            }
            Self::Unreachable { .. } => {
                "start the keyring in this session; on a machine without one, use the key file \
                 (docs/headless.md): `[store] kind = \"file\"` and a passphrase in config.toml"
            }
            Self::WrongPassphrase { .. } => {
                "check where `[store]` takes the passphrase from; the keys are still in the file"
            }
            Self::Damaged { .. } => {
                "keep a copy of it, then restore it from a backup or install the newest rotakey"
            }
            Self::Unwritable { .. } => {
                "free some space, or make it writable; then try again, nothing was changed"
            }
            Self::Conflict { .. } => {
                "look at both secrets before you delete one: each may be the only copy"
            }
            Self::Refused { .. } => {
                "make it private: owned by the user who runs rotakey, `chmod 600`"
            }
        }
    }
}

/// Finds out whether a store really keeps secrets: writes a random item, reads it back and removes
/// it, also if something went wrong in between.
///
/// One prober at a time for each profile. What a crash leaves behind, the profile's next probe removes.
pub fn probe(store: &dyn Keystore, profile: &str) -> Result<(), KeystoreError> {
    let mut random = [0; 32];
    getrandom::fill(&mut random).map_err(|error| KeystoreError::Unreachable {
        store: store.describe(),
        reason: format!("the system gave no random bytes: {error}"),
    })?;
    let name = hex::encode(&Sha256::digest(profile.as_bytes())[..8]);
    let id: AccessKeyId =
        format!("{PROBE_PREFIX}{name}").parse().expect("letters, digits and '-' make an id");
    let secret = SecretAccessKey::new(hex::encode(random));

    store.delete(&id)?;
    let damaged = |reason: &str| KeystoreError::Damaged {
        store: store.describe(),
        reason: reason.to_owned(),
    };
    let kept = store.put(&id, &secret).and_then(|()| match store.get(&id)? {
        Some(read) if read == secret => Ok(()),
        Some(_) => Err(damaged("it returned something else than was written")),
        None => Err(damaged("it did not keep what was written")),
    });
    // A put that failed may have written all the same, so the item is removed either way. The first
    // failure is the one that tells.
    let removed = store.delete(&id);
    kept.and(removed)
}
