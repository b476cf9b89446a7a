//! A machine that breaks to order: a disk that loses what was not synced, a keystore, and the clocks.
//!
//! The code under test knows them by the unit structs of [`breaking`](super::breaking); what these touch is the
//! machine that is [`entered`](enter) on this thread. So a whole world is plain data, and can be copied.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use rotakey_core::credential::{AccessKeyId, SecretAccessKey};
use rotakey_core::time::Now;

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
    pub(super) now: Option<Now>,
}

/// A file as it reads now, as far as its bytes are synced, and as it is found after a power cut.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct File {
    pub now: Option<Vec<u8>>,
    pub(super) synced: Option<Vec<u8>>,
    pub(super) durable: Option<Vec<u8>>,
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

/// Looks at the machine that is entered, past whatever goes wrong with it.
pub(super) fn look<T>(at: impl FnOnce(&mut Machine) -> T) -> T {
    HERE.with_borrow_mut(at)
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

    pub(super) fn file(&mut self, path: &Path) -> io::Result<&mut File> {
        let file = self.files.get_mut(path).filter(|file| file.now.is_some());
        file.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Half {
    Yes,
    No,
}

/// Carries an operation out on the machine that is entered.
pub(super) fn operate<T: Default>(
    operation: Operation,
    act: impl FnOnce(&mut Machine, Half) -> io::Result<T>,
) -> io::Result<T> {
    HERE.with_borrow_mut(|here| here.operate(operation, act))
}
