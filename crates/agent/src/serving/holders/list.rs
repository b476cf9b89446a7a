//! The list of a profile's holders, and its file.

#[cfg(test)]
mod tests;

use jiff::Timestamp;
use rotakey_core::credential::AccessKeyId;
use rotakey_endpoint::table::Source;
use serde::{Deserialize, Serialize};

use crate::proc::{self, Program};
use crate::store::disk;
use crate::store::profile::ProfileState;

/// How many holders a profile's list keeps.
const HOLDERS_MAX: usize = 1000;
/// A list that is added to line by line is written anew when it is this long.
const FILE_BYTES_MAX: u64 = 256 * 1024;

/// Somebody who was given a credential.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// The long-term key: what was given, or what it was minted from. Of the proxy: the placeholder.
    pub access_key_id: AccessKeyId,
    /// `process`, `container`, `imds` or `proxy`.
    pub source: String,
    /// The process, if it could be told.
    pub pid: Option<u32>,
    /// When that began, in clock ticks since the boot: a pid alone may be another process by now.
    pub started: Option<u64>,
    /// Its executable.
    pub exe: Option<String>,
    /// Whose it is.
    pub uid: u32,
    /// Until when; of the proxy, an hour from the last use, about.
    pub until: Timestamp,
}

/// A holder, from what is known of it.
pub fn holder(
    access_key_id: AccessKeyId,
    source: Source,
    uid: u32,
    program: Option<Program>,
    until: Timestamp,
) -> Holder {
    let (pid, started, exe) = match program {
        Some(Program { pid, started, exe }) => (Some(pid), Some(started), exe),
        None => (None, None, None),
    };
    Holder { access_key_id, source: source.name().to_owned(), pid, started, exe, uid, until }
}

/// Notes a holder on disk at once: for a process that ends now.
pub fn append(state: &ProfileState, holder: &Holder, now: Timestamp) {
    let path = state.dir().join("holders");
    let written = serde_json::to_string(holder).map_err(std::io::Error::other).and_then(|line| {
        if disk::append_line(&path, &line)? > FILE_BYTES_MAX {
            write(state, &read(state, now))?;
        }
        Ok(())
    });
    if let Err(error) = written {
        tracing::warn!(%error, "a holder is not noted");
    }
}

/// The holders noted on disk whose time is not over.
pub fn read(state: &ProfileState, now: Timestamp) -> Vec<Holder> {
    let bytes = disk::read(&state.dir().join("holders")).ok().flatten().unwrap_or_default();
    let mut list = Vec::new();
    // A line that cannot be read says nothing; the others do.
    for line in bytes.split(|byte| *byte == b'\n') {
        if let Ok(holder) = serde_json::from_slice::<Holder>(line) {
            merge(&mut list, holder);
        }
    }
    list.retain(|holder| holder.until > now);
    list
}

/// Those of a list that may still sign: their time is not over, and their process, if known, has not ended.
pub fn alive(list: &[Holder], now: Timestamp) -> Vec<Holder> {
    let lives = |holder: &Holder| match (holder.pid, holder.started) {
        (Some(pid), Some(started)) => proc::stat(pid).is_some_and(|(_, now)| now == started),
        _ => true,
    };
    list.iter().filter(|holder| holder.until > now && lives(holder)).cloned().collect()
}

/// Adds a holder, or lets him hold longer.
pub(super) fn merge(list: &mut Vec<Holder>, new: Holder) {
    let same = |old: &&mut Holder| {
        (&old.access_key_id, &old.source, old.pid, old.started, old.uid)
            == (&new.access_key_id, &new.source, new.pid, new.started, new.uid)
    };
    match list.iter_mut().find(same) {
        Some(old) => old.until = old.until.max(new.until),
        None => {
            if list.len() >= HOLDERS_MAX {
                list.remove(0);
            }
            list.push(new);
        }
    }
}

/// Puts a list in the place of what is noted on disk.
pub(super) fn write(state: &ProfileState, list: &[Holder]) -> std::io::Result<()> {
    let mut text = String::new();
    for holder in list {
        text += &serde_json::to_string(holder).map_err(std::io::Error::other)?;
        text.push('\n');
    }
    disk::replace_unlocked(&state.dir().join("holders"), text.as_bytes())
}
