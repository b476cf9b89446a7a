//! The disk, the keystore and the clock of the machine that is [`entered`](super::machine::enter), as the code under
//! test knows them.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use rotakey_agent::clock::Clock;
use rotakey_agent::store::durable::{Disk, Lock, Open, OpenFile};
use rotakey_agent::store::keystore::{Keystore, KeystoreError};
use rotakey_core::credential::{AccessKeyId, SecretAccessKey};
use rotakey_core::time::{Monotonic, Now};

use super::machine::{Half, Operation, look, operate};

/// The disk of the machine that is entered.
#[derive(Debug)]
pub struct BreakingDisk;

impl Disk for BreakingDisk {
    fn create_private_dir(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn check_private(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn read(&self, path: &Path) -> io::Result<Option<Vec<u8>>> {
        operate(Operation::Read, |here, _| {
            Ok(here.files.get(path).and_then(|file| file.now.clone()))
        })
    }

    fn open(&self, path: &Path, how: Open) -> io::Result<Box<dyn OpenFile>> {
        operate(Operation::Open, |here, _| {
            let file = match how {
                Open::Existing => here.file(path)?,
                Open::Made | Open::Emptied => here.files.entry(path.to_owned()).or_default(),
            };
            if how == Open::Emptied {
                file.now = None;
            }
            file.now.get_or_insert_default();
            Ok(())
        })?;
        Ok(Box::new(BreakingFile(path.to_owned())))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        operate(Operation::Rename, |here, _| {
            let moved = here.file(from)?;
            let (now, synced) = (moved.now.take(), moved.synced.take());
            let target = here.files.entry(to.to_owned()).or_default();
            (target.now, target.synced) = (now, synced);
            Ok(())
        })
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        // Only done to clean up: whether it works decides nothing.
        look(|here| {
            if !here.is_dead
                && let Ok(file) = here.file(path)
            {
                (file.now, file.synced) = (None, None);
            }
        });
        Ok(())
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        operate(Operation::SyncFolder, |here, _| {
            let inside = here.files.iter_mut().filter(|(name, _)| name.parent() == Some(path));
            for (_, file) in inside {
                let is_there = file.now.is_some();
                file.durable = is_there.then(|| file.synced.clone().unwrap_or_default());
            }
            Ok(())
        })
    }

    fn lock(&self, _: &Path, _: Duration) -> io::Result<Option<Lock>> {
        // The suites run one engine per machine, and every command whole.
        Ok(Some(Lock::holding(())))
    }

    fn lock_holder(&self, _: &Path) -> Option<u32> {
        None
    }
}

struct BreakingFile(PathBuf);

impl OpenFile for BreakingFile {
    fn length(&self) -> io::Result<u64> {
        look(|here| here.file(&self.0).map(|file| file.now.as_ref().map_or(0, Vec::len) as u64))
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        operate(Operation::Write, |here, half| {
            let end = if half == Half::Yes { bytes.len() / 2 } else { bytes.len() };
            here.file(&self.0)?.now.get_or_insert_default().extend_from_slice(&bytes[..end]);
            Ok(())
        })
    }

    fn sync(&mut self) -> io::Result<()> {
        operate(Operation::Sync, |here, _| {
            let file = here.file(&self.0)?;
            file.synced.clone_from(&file.now);
            // A new file's name is durable only with its folder.
            if file.durable.is_some() {
                file.durable.clone_from(&file.now);
            }
            Ok(())
        })
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        operate(Operation::Cut, |here, _| {
            let length = usize::try_from(length).expect("short");
            here.file(&self.0)?.now.get_or_insert_default().truncate(length);
            Ok(())
        })
    }
}

/// The keystore of the machine that is entered.
pub struct BreakingKeystore;

impl BreakingKeystore {
    fn unwritable(&self, error: &io::Error) -> KeystoreError {
        KeystoreError::Unwritable { store: self.describe(), reason: error.to_string() }
    }
}

impl Keystore for BreakingKeystore {
    fn describe(&self) -> String {
        "the keystore".to_owned()
    }

    fn put(&self, id: &AccessKeyId, secret: &SecretAccessKey) -> Result<(), KeystoreError> {
        operate(Operation::KeystorePut, |here, _| {
            let kept = here.secrets.entry(id.clone()).or_insert_with(|| secret.clone());
            // The only copy of a secret is never overwritten.
            if kept == secret { Ok(()) } else { Err(io::ErrorKind::AlreadyExists.into()) }
        })
        .map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => {
                KeystoreError::Conflict { store: self.describe(), id: id.clone() }
            }
            _ => self.unwritable(&error),
        })
    }

    fn get(&self, id: &AccessKeyId) -> Result<Option<SecretAccessKey>, KeystoreError> {
        operate(Operation::KeystoreGet, |here, _| Ok(here.secrets.get(id).cloned()))
            .map_err(|_| KeystoreError::Locked { store: self.describe() })
    }

    fn delete(&self, id: &AccessKeyId) -> Result<(), KeystoreError> {
        operate(Operation::KeystoreDelete, |here, _| {
            here.secrets.remove(id);
            Ok(())
        })
        .map_err(|error| self.unwritable(&error))
    }
}

/// The clocks at the instant at which the machine is entered.
pub struct EnteredClock;

impl Clock for EnteredClock {
    fn now(&self) -> Now {
        look(|here| here.now.clone()).unwrap_or(Now {
            wall: Timestamp::UNIX_EPOCH,
            monotonic: Monotonic { boot: String::new(), since_boot: Duration::ZERO },
        })
    }

    async fn sleep_until(&self, _: Timestamp) {}
}
