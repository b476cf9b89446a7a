//! The one module that touches files: those of this machine, private to their owner.
#![allow(clippy::disallowed_methods, reason = "this is the module that may name the file system")]

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::OFlags;
use zeroize::Zeroizing;

use super::durable::{self, Disk, Lock, Open, OpenFile};

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

/// Whose a file is, and who may touch it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    /// Its owner.
    pub uid: u32,
    /// Its permissions, as in `chmod`.
    pub mode: u32,
    /// It is a regular file, and may be run by somebody.
    pub is_program: bool,
}

/// The access to a file, or to what a link leads to; `None` if it does not exist.
pub fn access(path: &Path) -> io::Result<Option<Access>> {
    let metadata = match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other?,
    };
    let mode = metadata.mode() & 0o7777;
    let is_program = metadata.is_file() && mode & 0o111 != 0;
    Ok(Some(Access { uid: metadata.uid(), mode, is_program }))
}

/// Whether two paths lead to one file.
pub fn is_same(one: &Path, other: &Path) -> bool {
    let real = |path: &Path| fs::canonicalize(path);
    matches!((real(one), real(other)), (Ok(one), Ok(other)) if one == other)
}

/// How many bytes, and how many files, a folder's disk has room for.
pub fn room(path: &Path) -> io::Result<(u64, u64)> {
    let disk = rustix::fs::statvfs(path)?;
    Ok((disk.f_bavail.saturating_mul(disk.f_frsize), disk.f_favail))
}

/// A file's bytes; `None` if it does not exist.
pub fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Opens a file of anybody's to look at; `None` if it is a folder, a pipe, a device or a socket. Never waits for one, and
/// never makes a terminal ours.
pub fn open_regular(path: &Path) -> io::Result<Option<File>> {
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    let mut options = OpenOptions::new();
    let file = options.read(true).custom_flags(flags.bits().cast_signed()).open(path)?;
    Ok(file.metadata()?.is_file().then_some(file))
}

/// The same, read; no more than `most` bytes. Wiped when dropped, as there may be secrets in it.
pub fn read_regular(path: &Path, most: u64) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
    let Some(file) = open_regular(path)? else { return Ok(None) };
    // Room for all of it, and for what is being added: a vector that grows leaves copies behind.
    let room = usize::try_from(file.metadata()?.len().min(most)).unwrap_or_default() + 4096;
    let mut bytes = Zeroizing::new(Vec::with_capacity(room));
    file.take(most.min(room as u64)).read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

/// Where a path truly is, past all links, and what is there. Nothing is opened.
pub fn target(path: &Path) -> io::Result<(PathBuf, fs::FileType)> {
    let real = fs::canonicalize(path)?;
    let kind = fs::metadata(&real)?.file_type();
    Ok((real, kind))
}

/// Adds a line to a private file, and says how long that is now. Not synced: for what may be lost.
pub fn append_line(path: &Path, line: &str) -> io::Result<u64> {
    let mut file = OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
    file.write_all(format!("{line}\n").as_bytes())?;
    Ok(file.metadata()?.len())
}

/// The names in a folder, sorted; none if there is no such folder.
pub fn names(path: &Path) -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other?,
    };
    let mut names = Vec::new();
    for entry in entries {
        names.extend(entry?.file_name().into_string());
    }
    names.sort();
    Ok(names)
}

/// The last bytes of a file, as many as asked for or as there are, and how long it is; `None` if it does not exist.
pub fn read_end(path: &Path, bytes: u64) -> io::Result<Option<(Vec<u8>, u64)>> {
    use std::io::{Seek, SeekFrom};
    let mut file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other?,
    };
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(bytes)))?;
    let mut end = Vec::new();
    file.read_to_end(&mut end)?;
    Ok(Some((end, length)))
}

/// Moves a file to another name, and makes that durable.
pub fn rename(from: &Path, to: &Path) -> io::Result<()> {
    fs::rename(from, to)?;
    sync_dir(to.parent().unwrap_or(Path::new(".")))
}

/// Listens at a socket that only its owner can reach, in a private folder. One that is there is replaced.
pub fn bind_private(path: &Path) -> io::Result<UnixListener> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Replaces a file of this machine: after a crash at any point it holds the old bytes or the new ones.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    durable::replace(&System, path, bytes)
}

/// The same where no lock is held: whoever does it at the same moment does not get in our way. The last one counts.
pub fn replace_unlocked(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if fs::read(path).is_ok_and(|before| before == bytes) {
        return check_private(path);
    }
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let temporary = path.with_file_name(name);
    let write = || {
        let mut options = OpenOptions::new();
        let mut file = options.write(true).create_new(true).mode(0o600).open(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    };
    write().inspect_err(|_| {
        let _ = fs::remove_file(&temporary);
    })
}

/// Writes a file that anybody may read, such as a manual page. Not atomic: it can be written again.
pub fn write_shared(path: &Path, bytes: &[u8]) -> io::Result<()> {
    fs::write(path, bytes)
}

/// Removes a file that an install of ours wrote; says whether it was there.
pub fn remove(path: &Path) -> io::Result<bool> {
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// The same, if it is a symbolic link.
pub fn remove_link(path: &Path) -> io::Result<bool> {
    let is_link = fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_symlink());
    if is_link { remove(path) } else { Ok(false) }
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

/// The file systems of this machine.
#[derive(Clone, Copy, Debug)]
pub struct System;

impl Disk for System {
    fn create_private_dir(&self, path: &Path) -> io::Result<()> {
        create_private_dir(path)
    }

    fn check_private(&self, path: &Path) -> io::Result<()> {
        check_private(path)
    }

    fn read(&self, path: &Path) -> io::Result<Option<Vec<u8>>> {
        read(path)
    }

    fn open(&self, path: &Path, how: Open) -> io::Result<Box<dyn OpenFile>> {
        let mut options = OpenOptions::new();
        match how {
            Open::Existing => options.append(true),
            Open::Made => options.append(true).create(true),
            Open::Emptied => options.write(true).create(true).truncate(true),
        };
        Ok(Box::new(options.mode(0o600).open(path)?))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        sync_dir(path)
    }

    fn lock(&self, path: &Path, patience: Duration) -> io::Result<Option<Lock>> {
        let file = lock_file(path)?;
        let pause = Duration::from_millis(5);
        let mut waited = Duration::ZERO;
        loop {
            match file.try_lock() {
                Ok(()) => {
                    // For messages only: whose it is, the kernel knows, and the disk may be full.
                    let pid = std::process::id().to_string();
                    let _ = file.set_len(0).and_then(|()| (&file).write_all(pid.as_bytes()));
                    return Ok(Some(Lock::holding(file)));
                }
                Err(fs::TryLockError::WouldBlock) if waited < patience => {
                    std::thread::sleep(pause);
                    waited += pause;
                }
                Err(fs::TryLockError::WouldBlock) => return Ok(None),
                Err(fs::TryLockError::Error(error)) => return Err(error),
            }
        }
    }

    fn lock_holder(&self, path: &Path) -> Option<u32> {
        let mut text = String::new();
        File::open(path).ok()?.read_to_string(&mut text).ok()?;
        text.trim().parse().ok()
    }
}

impl OpenFile for File {
    fn length(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_all()
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        self.set_len(length)
    }
}

fn lock_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

/// Removes a folder that the demo made.
pub fn remove_demo_dir(path: &Path) -> io::Result<()> {
    fs::remove_dir_all(path)
}
