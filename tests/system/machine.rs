//! A machine that breaks to order: a disk that loses what was not synced, a keystore, and the clocks.
//!
//! The code under test names its disk, its keystore and its clock by the unit structs below; what they touch is
//! the machine that is [`entered`](enter) on this thread. So a whole world is plain data, and can be copied.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use rotakey_agent::clock::Clock;
use rotakey_agent::store::durable::{Disk, Lock, Open, OpenFile};
use rotakey_agent::store::keystore::{Keystore, KeystoreError};
use rotakey_core::credential::{AccessKeyId, SecretAccessKey};
use rotakey_core::time::{Monotonic, Now};

/// What one installation keeps on its machine.
#[derive(Clone, Default)]
pub struct Machine {
    pub files: BTreeMap<PathBuf, File>,
    pub secrets: BTreeMap<AccessKeyId, SecretAccessKey>,
    /// What goes wrong with the operation of this number, counted from 0 within one command.
    pub trouble: Option<(usize, Trouble)>,
    /// Nothing can be written to the disk, for as long as this holds.
    pub is_full: bool,
    /// The keystore answers nothing, for as long as this holds.
    pub is_locked: bool,
    /// The operations of the command under way.
    pub operations: Vec<Operation>,
    /// The process died in the middle of the command.
    pub is_dead: bool,
    now: Option<Now>,
}

/// A file as it reads now, as far as its bytes are synced, and as it is found after a power cut.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct File {
    pub now: Option<Vec<u8>>,
    synced: Option<Vec<u8>>,
    durable: Option<Vec<u8>>,
}

/// Something that can go wrong on its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operation {
    Read,
    Open,
    Write,
    Sync,
    Cut,
    Rename,
    SyncFolder,
    KeystorePut,
    KeystoreGet,
    KeystoreDelete,
}

/// How an operation goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Trouble {
    /// The process dies before it.
    DiesBefore,
    /// The process dies half-way: half of the bytes are written.
    DiesWithin,
    /// The process dies after it, before anything else.
    DiesAfter,
    /// It fails, and nothing was done.
    Fails,
    /// It fails half-way.
    FailsWithin,
    /// It fails, and was done all the same.
    FailsDone,
}

/// What is found of unsynced bytes after a power cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PowerCut {
    Lost,
    Kept,
}

impl Operation {
    /// Whether it is the keystore's, not the disk's.
    pub fn is_keystore(self) -> bool {
        matches!(self, Self::KeystorePut | Self::KeystoreGet | Self::KeystoreDelete)
    }

    /// The ways in which it can go wrong.
    pub fn troubles(self) -> &'static [Trouble] {
        use Trouble as T;
        match self {
            // Dying around a read is dying around the command.
            Self::Read | Self::KeystoreGet => &[T::Fails],
            Self::Write => &[
                T::DiesBefore,
                T::DiesWithin,
                T::DiesAfter,
                T::Fails,
                T::FailsWithin,
                T::FailsDone,
            ],
            _ => &[T::DiesBefore, T::DiesAfter, T::Fails, T::FailsDone],
        }
    }
}

impl Trouble {
    /// Whether the process is dead after it.
    pub fn is_deadly(self) -> bool {
        matches!(self, Self::DiesBefore | Self::DiesWithin | Self::DiesAfter)
    }
}

impl File {
    /// A file that reads so, and was synced when it was `durable`.
    pub fn found(now: Vec<u8>, durable: Vec<u8>) -> Self {
        Self { now: Some(now), synced: Some(durable.clone()), durable: Some(durable) }
    }

    /// What is found of it after a power cut.
    pub fn durable(&self) -> Option<&[u8]> {
        self.durable.as_deref()
    }
}

thread_local! {
    static HERE: RefCell<Machine> = RefCell::default();
}

/// Runs code on a machine, at an instant.
pub fn enter<T>(machine: &mut Machine, now: &Now, run: impl FnOnce() -> T) -> T {
    machine.now = Some(now.clone());
    HERE.with_borrow_mut(|here| std::mem::swap(here, machine));
    let result = run();
    HERE.with_borrow_mut(|here| std::mem::swap(here, machine));
    result
}

impl Machine {
    /// Power goes and comes back.
    pub fn power_cut(&mut self, what: PowerCut) {
        for file in self.files.values_mut() {
            if what == PowerCut::Kept {
                file.durable.clone_from(&file.now);
            }
            file.now.clone_from(&file.durable);
            file.synced.clone_from(&file.durable);
        }
        self.files.retain(|_, file| file.now.is_some());
        self.is_dead = false;
    }

    /// Whether a power cut now could change this file.
    pub fn is_unsynced(&self, path: &str) -> bool {
        self.files.get(Path::new(path)).is_none_or(|file| file.now != file.durable)
    }

    /// Whether a power cut now could lose something.
    pub fn has_unsynced(&self) -> bool {
        self.files.values().any(|file| file.now != file.durable)
    }

    /// Carries one operation out, or lets it go wrong.
    fn operate<T: Default>(
        &mut self,
        operation: Operation,
        act: impl FnOnce(&mut Self, Half) -> io::Result<T>,
    ) -> io::Result<T> {
        if self.is_dead {
            return Err(io::Error::other("the process is dead"));
        }
        let is_broken = match operation {
            Operation::Read => false,
            keystore if keystore.is_keystore() => self.is_locked,
            _ => self.is_full,
        };
        if is_broken {
            return Err(io::Error::from(io::ErrorKind::StorageFull));
        }
        let number = self.operations.len();
        self.operations.push(operation);
        let trouble = self.trouble.filter(|(when, _)| *when == number).map(|(_, how)| how);
        let Some(trouble) = trouble else { return act(self, Half::No) };
        let result = match trouble {
            Trouble::DiesBefore | Trouble::Fails => Ok(T::default()),
            Trouble::DiesWithin | Trouble::FailsWithin => act(self, Half::Yes),
            Trouble::DiesAfter | Trouble::FailsDone => act(self, Half::No),
        };
        self.is_dead = trouble.is_deadly();
        result.and(Err(io::Error::from(io::ErrorKind::StorageFull)))
    }

    fn file(&mut self, path: &Path) -> io::Result<&mut File> {
        let file = self.files.get_mut(path).filter(|file| file.now.is_some());
        file.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Half {
    Yes,
    No,
}

fn operate<T: Default>(
    operation: Operation,
    act: impl FnOnce(&mut Machine, Half) -> io::Result<T>,
) -> io::Result<T> {
    HERE.with_borrow_mut(|here| here.operate(operation, act))
}

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
        HERE.with_borrow_mut(|here| {
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
        HERE.with_borrow_mut(|here| {
            here.file(&self.0).map(|file| file.now.as_ref().map_or(0, Vec::len) as u64)
        })
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
        HERE.with_borrow(|here| here.now.clone()).unwrap_or(Now {
            wall: Timestamp::UNIX_EPOCH,
            monotonic: Monotonic { boot: String::new(), since_boot: Duration::ZERO },
        })
    }

    async fn sleep_until(&self, _: Timestamp) {}
}
