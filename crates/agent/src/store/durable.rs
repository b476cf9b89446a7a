//! What must survive a power cut: files replaced whole, files that only grow. Over any [`Disk`], so that tests
//! can have one that loses whatever was not synced.

use std::any::Any;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What the state of a profile asks of a file system.
pub trait Disk: fmt::Debug + Send + Sync {
    /// Makes a folder, and those above it, that only its owner can enter.
    fn create_private_dir(&self, path: &Path) -> io::Result<()>;

    /// Refuses what another user owns, or what group or others may touch.
    fn check_private(&self, path: &Path) -> io::Result<()>;

    /// A file's bytes; `None` if it does not exist.
    fn read(&self, path: &Path) -> io::Result<Option<Vec<u8>>>;

    /// Opens a file for writing.
    fn open(&self, path: &Path, how: Open) -> io::Result<Box<dyn OpenFile>>;

    /// Moves a file over another, in one step.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Makes a folder's entries durable.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;

    /// Takes a lock across processes, waiting for at most `patience`; `None` if somebody holds it still.
    fn lock(&self, path: &Path, patience: Duration) -> io::Result<Option<Lock>>;

    /// The process that took the lock last.
    fn lock_holder(&self, path: &Path) -> Option<u32>;
}

/// How a file is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Open {
    /// To append; it must be there.
    Existing,
    /// To append; it is made if it is not there.
    Made,
    /// To write anew: it is made, or emptied.
    Emptied,
}

/// A file open for writing.
pub trait OpenFile {
    /// Its length in bytes.
    fn length(&self) -> io::Result<u64>;

    /// Writes at its end.
    fn write(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Makes what was written durable.
    fn sync(&mut self) -> io::Result<()>;

    /// Cuts it to a length.
    fn cut(&mut self, length: u64) -> io::Result<()>;
}

/// A lock across processes, held until this is dropped or its holder ends, however it ends.
pub struct Lock {
    _held: Box<dyn Any + Send + Sync>,
}

impl Lock {
    /// A lock that is given back when `held` is dropped.
    pub fn holding(held: impl Any + Send + Sync) -> Self {
        Self { _held: Box::new(held) }
    }
}

impl fmt::Debug for Lock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Lock")
    }
}

/// Replaces a file: after a crash at any point it holds the old bytes or the new ones.
pub fn replace(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let dir = path.parent().unwrap_or(Path::new("."));
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let temporary = dir.join(name);
    let write = || {
        // A leftover of a crash is written over: whoever replaces holds the lock for it.
        let mut file = disk.open(&temporary, Open::Emptied)?;
        file.write(bytes)?;
        file.sync()?;
        drop(file);
        disk.rename(&temporary, path)?;
        disk.sync_dir(dir)
    };
    write().inspect_err(|_| {
        // The disk may be full: do not leave half a file on it.
        let _ = disk.remove(&temporary);
    })
}

/// The end of a file that only grows, each append synced.
#[derive(Clone, Debug)]
pub struct AppendOnly {
    path: PathBuf,
    length: u64,
    /// An append or a sync failed: nobody knows what is on the disk, so nothing more is written.
    broken: bool,
}

impl AppendOnly {
    /// Makes the file if it is not there, and cuts it to `length`, where its last whole record ends.
    pub fn open(disk: &dyn Disk, path: &Path, length: u64) -> io::Result<Self> {
        let mut file = disk.open(path, Open::Made)?;
        if file.length()? > length {
            file.cut(length)?;
        }
        // What the last process wrote or cut may not be synced; what is gone by now must not come back.
        file.sync()?;
        disk.sync_dir(path.parent().unwrap_or(Path::new(".")))?;
        Ok(Self { path: path.to_owned(), length, broken: false })
    }

    /// Appends and syncs; on failure, cuts what was half written.
    pub fn append(&mut self, disk: &dyn Disk, bytes: &[u8]) -> io::Result<()> {
        if self.broken {
            return Err(io::Error::other("an earlier write failed"));
        }
        // From here on, only success mends it.
        self.broken = true;
        let mut file = disk.open(&self.path, Open::Existing)?;
        if file.length()? != self.length {
            return Err(io::Error::other("somebody else wrote to it"));
        }
        if let Err(error) = file.write(bytes).and_then(|()| file.sync()) {
            let _ = file.cut(self.length);
            return Err(error);
        }
        self.length += bytes.len() as u64;
        self.broken = false;
        Ok(())
    }
}
