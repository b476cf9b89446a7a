//! The one module that touches files: private, synced, replaced whole.
#![allow(clippy::disallowed_methods, reason = "this is the module that may name the file system")]

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::time::Duration;

/// Makes a folder, and those above it, that only its owner can enter.
pub fn create_private_dir(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Refuses what another user owns, or what group or others may touch.
pub fn check_private(path: &Path) -> io::Result<()> {
    let metadata = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    let refuse = |why: String| Err(io::Error::new(io::ErrorKind::PermissionDenied, why));
    let us = rustix::process::geteuid().as_raw();
    if metadata.uid() != us {
        return refuse(format!("it belongs to user id {}, not to {us}", metadata.uid()));
    }
    if !metadata.file_type().is_symlink() && metadata.mode() & 0o077 != 0 {
        let mode = metadata.mode() & 0o777;
        return refuse(format!("group or others may access it (mode {mode:04o})"));
    }
    Ok(())
}

/// A file's bytes; `None` if it does not exist.
pub fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The names of the folders in a folder; none if it does not exist.
pub fn subfolders(path: &Path) -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other?,
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            names.extend(entry.file_name().into_string());
        }
    }
    names.sort();
    Ok(names)
}

/// Replaces a file: after a crash at any point it holds the old bytes or the new ones.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let dir = path.parent().unwrap_or(Path::new("."));
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let temporary = dir.join(name);
    let write = || {
        // A leftover of a crash is written over: whoever replaces holds the lock for it.
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        sync_dir(dir)
    };
    write().inspect_err(|_| {
        // The disk may be full: do not leave half a file on it.
        let _ = fs::remove_file(&temporary);
    })
}

/// Moves a folder away, in one step.
pub fn rename_dir(from: &Path, to: &Path) -> io::Result<()> {
    fs::rename(from, to)?;
    sync_dir(to.parent().unwrap_or(Path::new(".")))?;
    sync_dir(from.parent().unwrap_or(Path::new(".")))
}

/// Makes a folder's entries durable.
pub fn sync_dir(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// A file that only grows, each append synced.
#[derive(Debug)]
pub struct AppendOnly {
    file: File,
    length: u64,
    /// An append or a sync failed: nobody knows what is on the disk, so nothing more is written.
    broken: bool,
}

impl AppendOnly {
    /// Opens or makes the file, and cuts it to `length`, where its last whole record ends.
    pub fn open(path: &Path, length: u64) -> io::Result<Self> {
        let file =
            OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path)?;
        if file.metadata()?.len() > length {
            file.set_len(length)?;
            file.sync_all()?;
        }
        sync_dir(path.parent().unwrap_or(Path::new(".")))?;
        Ok(Self { file, length, broken: false })
    }

    /// Appends and syncs; on failure, cuts what was half written.
    pub fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.broken {
            return Err(io::Error::other("an earlier write failed"));
        }
        let result = self.file.write_all(bytes).and_then(|()| self.file.sync_data());
        match result {
            Ok(()) => {
                self.length += bytes.len() as u64;
                Ok(())
            }
            Err(error) => {
                self.broken = true;
                let _ = self.file.set_len(self.length);
                Err(error)
            }
        }
    }
}

/// A lock across processes. The kernel gives it back when its holder ends, however it ends.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock, unless somebody holds it.
    pub fn try_take(path: &Path) -> io::Result<Option<Self>> {
        let file = lock_file(path)?;
        match file.try_lock() {
            Ok(()) => {
                // For messages only: whose it is, the kernel knows.
                let mut writer = &file;
                file.set_len(0)?;
                writer.write_all(std::process::id().to_string().as_bytes())?;
                Ok(Some(Self { _file: file }))
            }
            Err(fs::TryLockError::WouldBlock) => Ok(None),
            Err(fs::TryLockError::Error(error)) => Err(error),
        }
    }

    /// Takes the lock, waiting for at most `patience`.
    pub fn take(path: &Path, patience: Duration) -> io::Result<Option<Self>> {
        let file = lock_file(path)?;
        let pause = Duration::from_millis(5);
        let mut waited = Duration::ZERO;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Some(Self { _file: file })),
                Err(fs::TryLockError::WouldBlock) if waited < patience => {
                    std::thread::sleep(pause);
                    waited += pause;
                }
                Err(fs::TryLockError::WouldBlock) => return Ok(None),
                Err(fs::TryLockError::Error(error)) => return Err(error),
            }
        }
    }

    /// The process that wrote its id into the lock file last.
    pub fn holder(path: &Path) -> Option<u32> {
        let mut text = String::new();
        File::open(path).ok()?.read_to_string(&mut text).ok()?;
        text.trim().parse().ok()
    }
}

fn lock_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

/// Removes a folder that the demo made.
pub fn remove_demo_dir(path: &Path) -> io::Result<()> {
    fs::remove_dir_all(path)
}
