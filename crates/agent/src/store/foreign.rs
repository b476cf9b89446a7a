//! Files that are others' as well as ours, replaced as carefully as can be: a link stays a link, mode and group stay,
//! what somebody else changed meanwhile is not overwritten, and a crash leaves the old file or the new one.
//!
//! The new bytes go into `.NAME.rotakey-new` in the file's own folder first, mode 0600. Whoever is killed in between
//! leaves that behind; the next one removes it. It never holds more than the file next to it does.
#![allow(
    clippy::disallowed_methods,
    reason = "it follows links and keeps modes, as the private store must not"
)]

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use zeroize::Zeroizing;

use super::disk::{create_private_dir, open_regular, sync_dir};

/// Largest file read.
const LARGEST: u64 = 16 << 20;

/// A file as it was read.
pub struct Foreign {
    /// Where it really is, past all links.
    pub path: PathBuf,
    /// What stood in it; empty if it was not there.
    pub bytes: Zeroizing<Vec<u8>>,
    stamp: Option<Stamp>,
}

/// By what a change is noticed.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    length: u64,
    modified: (i64, i64),
    changed: (i64, i64),
    mode: u32,
    uid: u32,
    gid: u32,
    links: u64,
}

/// Why a file is not replaced.
#[derive(Debug, thiserror::Error)]
pub enum NotReplaced {
    /// It must not, or cannot, be replaced at all.
    #[error("{path} is not changed: {why}")]
    Refused {
        /// Which file.
        path: PathBuf,
        /// Why not.
        why: String,
        /// What to do about it.
        hint: String,
    },
    /// Somebody else changed it since it was read.
    #[error("{path} was changed by another program just now", path = .0.display())]
    Changed(PathBuf),
    /// The disk said no.
    #[error("cannot replace {path}: {source}", path = .0.display(), source = .1)]
    Io(PathBuf, io::Error),
}

impl Foreign {
    /// Reads a file, past links; one that is not there is empty.
    pub fn read(path: &Path) -> io::Result<Self> {
        let path = match fs::canonicalize(path) {
            Ok(path) => path,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if fs::symlink_metadata(path).is_ok() {
                    return Err(io::Error::other("it is a link that leads nowhere"));
                }
                let bytes = Zeroizing::default();
                return Ok(Self { path: path.to_owned(), bytes, stamp: None });
            }
            Err(error) => return Err(error),
        };
        // Neither waits at a pipe nor trips over a socket.
        let no_file = || io::Error::other("it is not a file");
        if !fs::metadata(&path)?.is_file() {
            return Err(no_file());
        }
        let mut file = open_regular(&path)?.ok_or_else(no_file)?;
        let about = file.metadata()?;
        let mut bytes = Zeroizing::new(Vec::new());
        (&mut file).take(LARGEST + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > LARGEST {
            return Err(io::Error::other("it is larger than 16 MiB"));
        }
        Ok(Self { path, bytes, stamp: Some(Stamp::of(&about)) })
    }

    /// Whether it is there.
    pub fn exists(&self) -> bool {
        self.stamp.is_some()
    }

    /// The mode, if group or others may read it.
    pub fn readable_by_others(&self) -> Option<u32> {
        self.stamp.map(|stamp| stamp.mode & 0o777).filter(|mode| mode & 0o044 != 0)
    }

    /// Whether it could be replaced, before anything is begun.
    pub fn check(&self) -> Result<(), NotReplaced> {
        let refused = |why: String, hint: String| {
            Err(NotReplaced::Refused { path: self.path.clone(), why, hint })
        };
        let shown = self.path.display();
        let us = rustix::process::geteuid().as_raw();
        if let Some(stamp) = self.stamp {
            if stamp.uid != us {
                let why = format!("it belongs to user id {}, not to {us}", stamp.uid);
                return refused(why, "run rotakey as that user".to_owned());
            }
            if stamp.mode & 0o200 == 0 {
                let why = format!("it is read-only (mode {:04o})", stamp.mode & 0o777);
                return refused(why, format!("chmod u+w {shown}"));
            }
            if !self.may_keep_group(stamp.gid) {
                let why = format!("it belongs to group id {}, which you are not in", stamp.gid);
                let own = rustix::process::getegid().as_raw();
                let hint = format!("chgrp {own} {shown}, or run rotakey as a member of that group");
                return refused(why, hint);
            }
            if stamp.links > 1 {
                let why = "it has another name (a hard link), which would keep what is taken out";
                return refused(
                    why.to_owned(),
                    format!("find -samefile {shown}; remove the other"),
                );
            }
        }
        let folder = self.folder();
        match fs::metadata(folder) {
            Ok(about) if about.uid() == us && about.mode() & 0o200 == 0 => refused(
                format!("its folder is read-only (mode {:04o})", about.mode() & 0o777),
                format!("chmod u+w {}", folder.display()),
            ),
            Ok(_) => {
                let access = rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK;
                rustix::fs::access(folder, access).or_else(|error| {
                    refused(
                        format!("its folder cannot be written: {error}"),
                        "make the folder writable for you".to_owned(),
                    )
                })
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound && self.stamp.is_none() => Ok(()),
            Err(error) => Err(NotReplaced::Io(folder.to_owned(), error)),
        }
    }

    /// Puts other bytes in its place, unless it was changed since it was read.
    pub fn replace(&self, bytes: &[u8]) -> Result<(), NotReplaced> {
        self.check()?;
        let io = |error| NotReplaced::Io(self.path.clone(), error);
        if !self.folder().exists() {
            create_private_dir(self.folder()).map_err(io)?;
            sync_dir(self.folder().parent().unwrap_or(Path::new("/"))).map_err(io)?;
        }
        self.clean().map_err(io)?;
        let temporary = self.temporary();
        let written = self.write(&temporary, bytes).map_err(io).and_then(|()| {
            // From here to the next line somebody could still come in between: nothing that renames can be sure.
            if !self.is_unchanged() {
                return Err(NotReplaced::Changed(self.path.clone()));
            }
            fs::rename(&temporary, &self.path).map_err(io)
        });
        if written.is_err() {
            let _ = fs::remove_file(&temporary);
        }
        written?;
        sync_dir(self.folder()).map_err(io)
    }

    /// Removes what somebody who was killed left behind.
    pub fn clean(&self) -> io::Result<()> {
        match fs::remove_file(self.temporary()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn write(&self, temporary: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut options = OpenOptions::new();
        let mut file = options.write(true).create_new(true).mode(0o600).open(temporary)?;
        file.write_all(bytes)?;
        // The folder may have a default list for what is new in it: nobody was given that for this file.
        remove_list(&file)?;
        if let Some(stamp) = self.stamp {
            if file.metadata()?.gid() != stamp.gid {
                fchown(&file, None, Some(stamp.gid))?;
            }
            // With a list, the group's bits are those that anybody on it can have at most. The list is not carried over,
            // and the group would get them all.
            let gone = if has_list(&self.path) { 0o070 } else { 0 };
            file.set_permissions(Permissions::from_mode(stamp.mode & 0o7777 & !gone))?;
        }
        file.sync_all()
    }

    /// Whether a new file can be given this group: it is ours, or that of all files in the folder, or we may do anything.
    fn may_keep_group(&self, gid: u32) -> bool {
        let ours = || rustix::process::getgroups().unwrap_or_default();
        rustix::process::geteuid().is_root()
            || rustix::process::getegid().as_raw() == gid
            || ours().iter().any(|group| group.as_raw() == gid)
            || fs::metadata(self.folder())
                .is_ok_and(|folder| folder.mode() & 0o2000 != 0 && folder.gid() == gid)
    }

    fn is_unchanged(&self) -> bool {
        match (Self::read(&self.path), &self.stamp) {
            (Ok(now), stamp) => now.stamp == *stamp && now.bytes == self.bytes,
            (Err(_), _) => false,
        }
    }

    fn folder(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new("/"))
    }

    fn temporary(&self) -> PathBuf {
        let mut name = std::ffi::OsString::from(".");
        name.push(self.path.file_name().unwrap_or_default());
        name.push(".rotakey-new");
        self.path.with_file_name(name)
    }
}

/// The access control list of a file (acl(5)).
const LIST: &str = "system.posix_acl_access";

fn has_list(path: &Path) -> bool {
    let none = [Errno::NODATA, Errno::OPNOTSUPP];
    rustix::fs::getxattr(path, LIST, &mut [0; 1024])
        .map_or_else(|why| !none.contains(&why), |_| true)
}

fn remove_list(file: &File) -> io::Result<()> {
    match rustix::fs::fremovexattr(file, LIST) {
        Err(why) if ![Errno::NODATA, Errno::OPNOTSUPP].contains(&why) => Err(why.into()),
        _ => Ok(()),
    }
}

impl NotReplaced {
    /// What to do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::Refused { hint, .. } => hint.clone(),
            Self::Changed(_) => "nothing is lost: run the command again".to_owned(),
            Self::Io(..) => {
                "make room or make the folder writable, then run the command again: nothing is lost"
                    .to_owned()
            }
        }
    }
}

impl Stamp {
    fn of(about: &fs::Metadata) -> Self {
        Self {
            device: about.dev(),
            inode: about.ino(),
            length: about.len(),
            modified: (about.mtime(), about.mtime_nsec()),
            changed: (about.ctime(), about.ctime_nsec()),
            mode: about.mode(),
            uid: about.uid(),
            gid: about.gid(),
            links: about.nlink(),
        }
    }
}
