//! An encrypted file, for machines without a keyring.
//!
//! A passphrase (Argon2id) wraps a random data key, which encrypts each secret on its own
//! (XChaCha20-Poly1305, bound to the format's version and the access key id). Access key ids are
//! readable in the file; secrets are not. Who can write the file can put an older copy in its place.
#![allow(
    clippy::disallowed_methods,
    reason = "a store of its own: it checks owner and mode, syncs and replaces"
)]

mod format;
mod sealing;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;

use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rotakey_core::credential::{AccessKeyId, SecretAccessKey};
use zeroize::Zeroizing;

use self::format::{Contents, Cost, Header, Sealed, VERSION, entry_context};
use self::sealing::DataKey;
pub use super::passphrase::{Asker, Passphrase};
use super::{Keystore, KeystoreError, private};
use crate::store::disk;

/// How long a writer waits for another one.
const LOCK_TIMEOUT: Duration = Duration::from_secs(5);

/// Largest file read: tens of thousands of keys.
const LARGEST: u64 = 16 << 20;

/// What the derivation of a new file's key costs: memory in KiB, and passes over it.
const COST: Cost = Cost { memory_kib: 64 * 1024, passes: 3 };

/// Secrets in one encrypted file, which is read anew by every call.
pub struct FileKeystore {
    path: PathBuf,
    passphrase: Passphrase,
    cost: Cost,
    // The data key, with the header it came from: only the first call pays for the derivation, and
    // a file that was replaced is not read with the key of the old one.
    opened: Mutex<Option<(Header, DataKey)>>,
}

impl FileKeystore {
    /// Touches nothing yet: the passphrase is first asked for by the first call that needs it, and
    /// the file made by the first put. Its folder has to exist.
    pub fn new(path: impl Into<PathBuf>, passphrase: Passphrase) -> Self {
        Self { path: path.into(), passphrase, cost: COST, opened: Mutex::new(None) }
    }

    /// The contents, or `None` if there is no file yet.
    fn load(&self) -> Result<Option<Contents>, KeystoreError> {
        let file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                // A file this process has read does not end as "there are no keys".
                let opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
                return match *opened {
                    Some(_) => Err(self.unreachable("it was there before and is gone")),
                    None => Ok(None),
                };
            }
            Err(error) => return Err(self.unreachable(&error.to_string())),
        };
        let metadata = file.metadata().map_err(|error| self.unreachable(&error.to_string()))?;
        if let Some(reason) = private::not_private(&metadata) {
            return Err(KeystoreError::Refused { store: self.describe(), reason });
        }
        let mut text = Vec::new();
        file.take(LARGEST + 1)
            .read_to_end(&mut text)
            .map_err(|error| self.unreachable(&error.to_string()))?;
        if text.len() as u64 > LARGEST {
            return Err(self.damaged("far too large"));
        }
        Contents::parse(&text).map(Some).map_err(|reason| self.damaged(&reason))
    }

    /// The data key of a file with this header.
    fn data_key(&self, header: &Header) -> Result<DataKey, KeystoreError> {
        // Held while deriving, so that callers at the same moment derive once, not each.
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, key)) = opened.as_ref()
            && known == header
        {
            return Ok(key.clone());
        }
        let passphrase = self.obtain()?;
        let wrapping = header
            .cost
            .derive(&passphrase, &header.salt)
            .map_err(|reason| self.damaged(&reason))?;
        let bytes = sealing::open(&wrapping, &header.wrapped_key, &header.context())
            .ok_or_else(|| KeystoreError::WrongPassphrase { store: self.describe() })?;
        let bytes: &[u8; 32] =
            bytes.as_slice().try_into().map_err(|_| self.damaged("its key has a wrong length"))?;
        let key = Zeroizing::new(*bytes);
        *opened = Some((header.clone(), key.clone()));
        Ok(key)
    }

    fn obtain(&self) -> Result<Zeroizing<Vec<u8>>, KeystoreError> {
        self.passphrase.obtain().map_err(|reason| self.unreachable(&reason))
    }

    /// An empty file's contents, with a new data key.
    fn create(&self) -> Result<Contents, KeystoreError> {
        let passphrase = self.obtain()?;
        let mut header = Header {
            cost: self.cost,
            salt: self.random()?,
            wrapped_key: Sealed { nonce: self.random()?, ciphertext: Vec::new() },
            checksum: String::new(),
        };
        let wrapping =
            self.cost.derive(&passphrase, &header.salt).map_err(|reason| self.damaged(&reason))?;
        let key: DataKey = Zeroizing::new(self.random()?);
        header.wrapped_key = self.seal(&wrapping, key.as_slice(), &header.context())?;
        header.checksum = header.sum();
        Ok(Contents { version: VERSION, header, entries: BTreeMap::new() })
    }

    fn random<const N: usize>(&self) -> Result<[u8; N], KeystoreError> {
        let mut bytes = [0; N];
        getrandom::fill(&mut bytes)
            .map_err(|error| self.unwritable(&format!("no random bytes: {error}")))?;
        Ok(bytes)
    }

    fn seal(&self, key: &DataKey, plain: &[u8], context: &str) -> Result<Sealed, KeystoreError> {
        sealing::seal(key, self.random()?, plain, context)
            .ok_or_else(|| self.unwritable("it could not be encrypted"))
    }

    fn unseal(
        &self,
        contents: &Contents,
        id: &AccessKeyId,
    ) -> Result<Option<SecretAccessKey>, KeystoreError> {
        let Some(sealed) = contents.entries.get(id) else { return Ok(None) };
        let key = self.data_key(&contents.header)?;
        let plain = sealing::open(&key, sealed, &entry_context(id))
            .ok_or_else(|| self.damaged(&format!("the entry {id} was changed")))?;
        let text = std::str::from_utf8(&plain)
            .map_err(|_| self.damaged(&format!("the entry {id} is not text")))?;
        Ok(Some(SecretAccessKey::new(text.to_owned())))
    }

    /// Waits for the lock that all writers take. The kernel gives it back when a writer is killed.
    fn lock(&self) -> Result<File, KeystoreError> {
        let path = self.beside(".lock");
        let file = private::options()
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(|error| self.unwritable(&format!("{}: {error}", path.display())))?;
        let deadline = Instant::now() + LOCK_TIMEOUT;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => {
                    thread::sleep(Duration::from_millis(5));
                }
                Err(TryLockError::WouldBlock) => {
                    return Err(self.unreachable("another process has held its lock for 5 s"));
                }
                Err(TryLockError::Error(error)) => return Err(self.unwritable(&error.to_string())),
            }
        }
    }

    /// Puts new contents in the file's place, whole or not at all.
    fn store(&self, contents: &Contents) -> Result<(), KeystoreError> {
        let failed = |error: io::Error| self.unwritable(&error.to_string());
        let text = serde_json::to_vec_pretty(contents)
            .map_err(|error| self.unwritable(&error.to_string()))?;
        let suffix: [u8; 8] = self.random()?;
        let temporary = self.beside(&format!(".tmp-{}", hex::encode(suffix)));
        let written = private::options().create_new(true).open(&temporary).and_then(|mut file| {
            file.write_all(&text)?;
            file.sync_all()?;
            fs::rename(&temporary, &self.path)
        });
        if let Err(error) = written {
            // What is left is removed by the next writer, if not now.
            let _ = fs::remove_file(&temporary);
            return Err(failed(error));
        }
        disk::sync_dir(self.folder()).map_err(failed)
    }

    /// Removes what killed writers left. Only under the lock, where no other writer is at work.
    fn tidy(&self) {
        let prefix = self.beside(".tmp-");
        let Some(prefix) = prefix.file_name().and_then(|name| name.to_str()) else { return };
        let Ok(names) = fs::read_dir(self.folder()) else { return };
        for name in names.flatten() {
            if name.file_name().to_str().is_some_and(|name| name.starts_with(prefix)) {
                // An old file costs space only, so failing to remove it is no reason to fail.
                let _ = fs::remove_file(name.path());
            }
        }
    }

    fn folder(&self) -> &Path {
        match self.path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        }
    }

    fn beside(&self, suffix: &str) -> PathBuf {
        let mut path = self.path.clone().into_os_string();
        path.push(suffix);
        path.into()
    }

    fn damaged(&self, reason: &str) -> KeystoreError {
        KeystoreError::Damaged { store: self.describe(), reason: reason.to_owned() }
    }

    fn unreachable(&self, reason: &str) -> KeystoreError {
        KeystoreError::Unreachable { store: self.describe(), reason: reason.to_owned() }
    }

    fn unwritable(&self, reason: &str) -> KeystoreError {
        KeystoreError::Unwritable { store: self.describe(), reason: reason.to_owned() }
    }
}

impl Keystore for FileKeystore {
    fn describe(&self) -> String {
        format!("the key file {}", self.path.display())
    }

    fn put(&self, id: &AccessKeyId, secret: &SecretAccessKey) -> Result<(), KeystoreError> {
        // The derivation is slow, so it is done before the lock, where it can be.
        if let Some(contents) = self.load()? {
            self.data_key(&contents.header)?;
        }
        let _lock = self.lock()?;
        self.tidy();
        let mut contents = match self.load()? {
            Some(contents) => contents,
            None => self.create()?,
        };
        match self.unseal(&contents, id)? {
            // Equal, but perhaps of a writer killed before the folder was written to the disk.
            Some(held) if held == *secret => {
                return disk::sync_dir(self.folder())
                    .map_err(|error| self.unwritable(&error.to_string()));
            }
            Some(_) => {
                return Err(KeystoreError::Conflict { store: self.describe(), id: id.clone() });
            }
            None => {}
        }
        let key = self.data_key(&contents.header)?;
        let sealed = self.seal(&key, secret.expose().as_bytes(), &entry_context(id))?;
        contents.entries.insert(id.clone(), sealed);
        self.store(&contents)
    }

    fn get(&self, id: &AccessKeyId) -> Result<Option<SecretAccessKey>, KeystoreError> {
        // No lock: a rename is seen whole or not at all.
        match self.load()? {
            Some(contents) => self.unseal(&contents, id),
            None => Ok(None),
        }
    }

    fn delete(&self, id: &AccessKeyId) -> Result<(), KeystoreError> {
        if self.load()?.is_none() {
            return Ok(());
        }
        let _lock = self.lock()?;
        self.tidy();
        let Some(mut contents) = self.load()? else { return Ok(()) };
        if contents.entries.remove(id).is_some() { self.store(&contents) } else { Ok(()) }
    }
}
