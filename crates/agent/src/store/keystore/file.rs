//! An encrypted file, for machines without a keyring.
//!
//! A passphrase (Argon2id) wraps a random data key, which encrypts each secret on its own
//! (XChaCha20-Poly1305, bound to the format's version and the access key id). Access key ids are
//! readable in the file; secrets are not. Who can write the file can put an older copy in its place.
#![allow(
    clippy::disallowed_methods,
    reason = "a store of its own: it checks owner and mode, syncs and replaces"
)]

use std::collections::BTreeMap;
use std::fs::{self, File, Metadata, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use argon2::{Algorithm, Argon2, Params, Version};
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use rotakey_core::credential::{AccessKeyId, SecretAccessKey};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

pub use super::passphrase::{Asker, Passphrase};
use super::{Keystore, KeystoreError};

/// The version of the format that is written.
const VERSION: u64 = 1;

/// How long a writer waits for another one.
const LOCK_TIMEOUT: Duration = Duration::from_secs(5);

/// Largest file read: tens of thousands of keys.
const LARGEST: u64 = 16 << 20;

/// What the derivation of a new file's key costs: memory in KiB, and passes over it.
const COST: Cost = Cost { memory_kib: 64 * 1024, passes: 3 };

type DataKey = Zeroizing<[u8; 32]>;

/// Secrets in one encrypted file, which is read anew by every call.
pub struct FileKeystore {
    path: PathBuf,
    passphrase: Passphrase,
    cost: Cost,
    // The data key, with the header it came from: only the first call pays for the derivation, and
    // a file that was replaced is not read with the key of the old one.
    opened: Mutex<Option<(Header, DataKey)>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Cost {
    memory_kib: u32,
    passes: u32,
}

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    /// Of Argon2id, with one lane.
    cost: Cost,
    #[serde(with = "hexadecimal")]
    salt: [u8; 16],
    wrapped_key: Sealed,
    /// SHA-256 of the above: tells a damaged header from a wrong passphrase.
    checksum: String,
}

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sealed {
    #[serde(with = "hexadecimal")]
    nonce: [u8; 24],
    #[serde(with = "hexadecimal")]
    ciphertext: Vec<u8>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Contents {
    version: u64,
    header: Header,
    entries: BTreeMap<AccessKeyId, Sealed>,
}

/// The one field that every version has.
#[derive(Deserialize)]
struct AnyVersion {
    version: u64,
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
        if let Some(reason) = not_private(&metadata) {
            return Err(KeystoreError::Refused { store: self.describe(), reason });
        }
        let mut text = Vec::new();
        file.take(LARGEST + 1)
            .read_to_end(&mut text)
            .map_err(|error| self.unreachable(&error.to_string()))?;
        if text.len() as u64 > LARGEST {
            return Err(self.damaged("far too large"));
        }
        let version: AnyVersion =
            serde_json::from_slice(&text).map_err(|error| self.damaged(&error.to_string()))?;
        if version.version > VERSION {
            return Err(self.damaged("was written by a newer rotakey"));
        }
        if version.version != VERSION {
            return Err(self.damaged("it names a version that never was"));
        }
        let contents: Contents =
            serde_json::from_slice(&text).map_err(|error| self.damaged(&error.to_string()))?;
        if contents.header.checksum != contents.header.sum() {
            return Err(self.damaged("the checksum of its header is wrong"));
        }
        Ok(Some(contents))
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
        let bytes = open(&wrapping, &header.wrapped_key, &header.context())
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
        let nonce = self.random()?;
        let ciphertext = XChaCha20Poly1305::new((&**key).into())
            .encrypt(&XNonce::from(nonce), Payload { msg: plain, aad: context.as_bytes() })
            .map_err(|_| self.unwritable("it could not be encrypted"))?;
        Ok(Sealed { nonce, ciphertext })
    }

    fn unseal(
        &self,
        contents: &Contents,
        id: &AccessKeyId,
    ) -> Result<Option<SecretAccessKey>, KeystoreError> {
        let Some(sealed) = contents.entries.get(id) else { return Ok(None) };
        let key = self.data_key(&contents.header)?;
        let plain = open(&key, sealed, &entry_context(id))
            .ok_or_else(|| self.damaged(&format!("the entry {id} was changed")))?;
        let text = std::str::from_utf8(&plain)
            .map_err(|_| self.damaged(&format!("the entry {id} is not text")))?;
        Ok(Some(SecretAccessKey::new(text.to_owned())))
    }

    /// Waits for the lock that all writers take. The kernel gives it back when a writer is killed.
    fn lock(&self) -> Result<File, KeystoreError> {
        let path = self.beside(".lock");
        let file = private()
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
        let written = private().create_new(true).open(&temporary).and_then(|mut file| {
            file.write_all(&text)?;
            file.sync_all()?;
            fs::rename(&temporary, &self.path)
        });
        if let Err(error) = written {
            // What is left is removed by the next writer, if not now.
            let _ = fs::remove_file(&temporary);
            return Err(failed(error));
        }
        sync_folder(self.folder()).map_err(failed)
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
                return sync_folder(self.folder())
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

impl Header {
    /// What the wrapped key is bound to.
    fn context(&self) -> String {
        let Cost { memory_kib, passes } = self.cost;
        format!("rotakey keys {VERSION} data key argon2id {memory_kib} {passes}")
    }

    fn sum(&self) -> String {
        let mut sum = Sha256::new();
        sum.update(self.context());
        sum.update(self.salt);
        sum.update(self.wrapped_key.nonce);
        sum.update(&self.wrapped_key.ciphertext);
        hex::encode(sum.finalize())
    }
}

impl Cost {
    fn derive(self, passphrase: &[u8], salt: &[u8]) -> Result<DataKey, String> {
        // A damaged file shall not make this process allocate or compute without end.
        if self.memory_kib > 1 << 20 || self.passes > 64 {
            return Err("it asks for an absurd amount of work".to_owned());
        }
        let params = Params::new(self.memory_kib, self.passes, 1, Some(32))
            .map_err(|error| error.to_string())?;
        let mut key = Zeroizing::new([0; 32]);
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into(passphrase, salt, key.as_mut_slice())
            .map_err(|error| error.to_string())?;
        Ok(key)
    }
}

/// What an entry is bound to: moved to another id, it does not open.
fn entry_context(id: &AccessKeyId) -> String {
    format!("rotakey keys {VERSION} entry {id}")
}

fn open(key: &DataKey, sealed: &Sealed, context: &str) -> Option<Zeroizing<Vec<u8>>> {
    XChaCha20Poly1305::new((&**key).into())
        .decrypt(
            &XNonce::from(sealed.nonce),
            Payload { msg: &sealed.ciphertext, aad: context.as_bytes() },
        )
        .ok()
        .map(Zeroizing::new)
}

/// Why a file is not for its owner alone, if it is not.
#[cfg(unix)]
pub(super) fn not_private(metadata: &Metadata) -> Option<String> {
    use std::os::unix::fs::MetadataExt;
    let owner = metadata.uid();
    let me = rustix::process::geteuid().as_raw();
    if !metadata.is_file() {
        Some("not a regular file".to_owned())
    } else if owner != me {
        Some(format!("owned by user {owner}, not by the user {me} of this process"))
    } else if metadata.mode() & 0o077 != 0 {
        Some(format!(
            "its mode {:04o} lets others at it; it must be 0600",
            metadata.mode() & 0o7777
        ))
    } else {
        None
    }
}

#[cfg(not(unix))]
pub(super) fn not_private(metadata: &Metadata) -> Option<String> {
    (!metadata.is_file()).then(|| "not a regular file".to_owned())
}

/// Options that open for writing, and create for the owner alone.
fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    options
}

/// Makes a rename last through a power cut.
#[cfg(unix)]
fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(not(unix))]
fn sync_folder(_folder: &Path) -> io::Result<()> {
    Ok(())
}

/// Bytes as hexadecimal text.
mod hexadecimal {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(
        bytes: impl AsRef<[u8]>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex::encode(bytes))
    }

    pub(super) fn deserialize<'de, T: TryFrom<Vec<u8>>, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<T, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = hex::decode(text).map_err(D::Error::custom)?;
        T::try_from(bytes).map_err(|_| D::Error::custom("a field has a wrong length"))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
