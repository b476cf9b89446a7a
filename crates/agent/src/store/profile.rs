//! The state of one profile: `state/<profile>/{journal,ledger.json,engine.lock,ledger.lock}`.
//!
//! Two locks. The engine's is held by whoever rotates, for as long as that takes. The ledger's is held for
//! milliseconds, by whoever writes a horizon or publishes. Serving never waits for the engine's.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rotakey_core::journal::{Chain, Entry, HEADER, Status, decode};
use rotakey_core::lease::Ledger;

use super::disk::System;
use super::durable::{self, AppendOnly, Disk, Lock};

/// How long the engine's lock is waited for: whoever asks who holds it takes it for a moment.
const ENGINE_PATIENCE: Duration = Duration::from_millis(300);

/// How long the ledger's lock is waited for. Its holders need milliseconds; one that was stopped in the
/// middle must not stop others for ever.
const LEDGER_PATIENCE: Duration = Duration::from_secs(2);

/// Where a profile's state is.
#[derive(Clone, Debug)]
pub struct ProfileState {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
}

/// Why the state of a profile cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The disk said no.
    #[error("cannot {act} {path}: {source}")]
    Io {
        /// What was tried.
        act: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is not what rotakey wrote.
    #[error("{path} cannot be used: {why}")]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// Somebody else holds the lock.
    #[error("another rotakey process{} is at work on this profile", .pid.map(|pid| format!(" (pid {pid})")).unwrap_or_default())]
    Busy {
        /// Who, if it can be told.
        pid: Option<u32>,
    },
}

impl StateError {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Io { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                "make the folder yours alone (chmod 700), or set ROTAKEY_HOME to one that is"
            }
            Self::Io { .. } => {
                "make room or make the disk writable, then run `rotakey resume`: nothing is lost"
            }
            Self::Damaged { .. } => {
                "if a newer rotakey wrote it, use that one; else restore the file from a backup, or move the folder away and `rotakey add` the key again"
            }
            Self::Busy { .. } => "wait for it, or see `rotakey status`",
        }
    }
}

impl ProfileState {
    /// The state of `profile` under the state folder.
    pub fn new(state_dir: &Path, profile: &str) -> Self {
        Self::on(Arc::new(System), state_dir, profile)
    }

    /// The same, on another disk than this machine's.
    pub fn on(disk: Arc<dyn Disk>, state_dir: &Path, profile: &str) -> Self {
        Self { disk, dir: state_dir.join(profile) }
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The profile's name.
    pub fn profile(&self) -> &str {
        self.dir.file_name().and_then(OsStr::to_str).unwrap_or_default()
    }

    /// What stands in the journal; empty if there is none. Needs no lock: a line being written is not seen yet.
    pub fn read(&self) -> Result<(Vec<Entry>, Status), StateError> {
        let (entries, status, _, _) = self.load()?;
        Ok((entries, status))
    }

    /// Takes the engine's lock, and opens the journal for writing. While the lock is held, nobody else writes.
    pub fn lock(&self) -> Result<(Lock, Journal), StateError> {
        self.disk.create_private_dir(&self.dir).map_err(|e| io_error("create", &self.dir, e))?;
        self.disk.check_private(&self.dir).map_err(|e| io_error("use", &self.dir, e))?;
        let path = self.dir.join("engine.lock");
        let lock =
            self.disk.lock(&path, ENGINE_PATIENCE).map_err(|e| io_error("lock", &path, e))?;
        let Some(lock) = lock else {
            return Err(StateError::Busy { pid: self.disk.lock_holder(&path) });
        };
        let (_, status, chain, whole) = self.load()?;
        let path = self.journal_path();
        let file = AppendOnly::open(self.disk.as_ref(), &path, whole)
            .map_err(|e| io_error("open", &path, e))?;
        let mut journal = Journal { disk: Arc::clone(&self.disk), file, path, chain, status };
        if whole == 0 {
            journal.write(&format!("{HEADER}\n"))?;
        }
        Ok((lock, journal))
    }

    /// Whether some process rotates this profile now, and which.
    pub fn engine(&self) -> Option<u32> {
        let path = self.dir.join("engine.lock");
        self.disk.read(&path).ok()??;
        let holder = self.disk.lock_holder(&path);
        match self.disk.lock(&path, Duration::ZERO) {
            Ok(None) => holder,
            _ => None,
        }
    }

    fn load(&self) -> Result<(Vec<Entry>, Status, Chain, u64), StateError> {
        let path = self.journal_path();
        self.disk.check_private(&path).map_err(|e| io_error("use", &path, e))?;
        let bytes =
            self.disk.read(&path).map_err(|e| io_error("read", &path, e))?.unwrap_or_default();
        let damaged = |why: String| StateError::Damaged { path: path.clone(), why };
        let (entries, tail) = decode(&bytes).map_err(|damage| damaged(damage.to_string()))?;
        let status = Status::replay(&entries).map_err(|illegal| damaged(illegal.to_string()))?;
        Ok((entries, status, tail.chain, tail.whole as u64))
    }

    fn journal_path(&self) -> PathBuf {
        self.dir.join("journal")
    }

    fn ledger_path(&self) -> PathBuf {
        self.dir.join("ledger.json")
    }

    /// The lease ledger, if one was written.
    pub fn ledger(&self) -> Result<Option<Ledger>, StateError> {
        let path = self.ledger_path();
        self.disk.check_private(&path).map_err(|e| io_error("use", &path, e))?;
        let Some(bytes) = self.disk.read(&path).map_err(|e| io_error("read", &path, e))? else {
            return Ok(None);
        };
        let damaged = |why: String| StateError::Damaged { path: path.clone(), why };
        let ledger: Ledger =
            serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))?;
        if ledger.version != 1 {
            return Err(damaged(format!("it is of version {}, not 1", ledger.version)));
        }
        Ok(Some(ledger))
    }

    /// Changes the ledger under its lock; it is on disk when this returns.
    pub fn update_ledger<T>(
        &self,
        change: impl FnOnce(&mut Option<Ledger>) -> T,
    ) -> Result<T, StateError> {
        let lock_path = self.dir.join("ledger.lock");
        let lock = self
            .disk
            .lock(&lock_path, LEDGER_PATIENCE)
            .map_err(|e| io_error("lock", &lock_path, e))?;
        let Some(_lock) = lock else {
            return Err(StateError::Busy { pid: None });
        };
        let mut ledger = self.ledger()?;
        let before = ledger.clone();
        let result = change(&mut ledger);
        if let Some(ledger) = ledger.filter(|ledger| Some(ledger) != before.as_ref()) {
            let path = self.ledger_path();
            let mut json = serde_json::to_vec_pretty(&ledger)
                .expect("a ledger is plain data, which JSON can hold");
            json.push(b'\n');
            durable::replace(self.disk.as_ref(), &path, &json)
                .map_err(|e| io_error("write", &path, e))?;
        }
        Ok(result)
    }
}

/// The journal, open for writing by whoever holds the engine's lock.
#[derive(Clone, Debug)]
pub struct Journal {
    disk: Arc<dyn Disk>,
    file: AppendOnly,
    path: PathBuf,
    chain: Chain,
    status: Status,
}

impl Journal {
    /// What it amounts to.
    pub fn status(&self) -> &Status {
        &self.status
    }

    /// Appends a record, if it is legal; it is on disk when this returns.
    pub fn append(&mut self, entry: &Entry) -> Result<(), StateError> {
        let mut next = self.status.clone();
        next.apply(entry)
            .map_err(|e| StateError::Damaged { path: self.path.clone(), why: e.to_string() })?;
        let (line, chain) = self.chain.encode(entry);
        self.write(&line)?;
        self.chain = chain;
        self.status = next;
        Ok(())
    }

    fn write(&mut self, line: &str) -> Result<(), StateError> {
        self.file
            .append(self.disk.as_ref(), line.as_bytes())
            .map_err(|e| io_error("write", &self.path, e))
    }
}

fn io_error(act: &'static str, path: &Path, source: io::Error) -> StateError {
    StateError::Io { act, path: path.to_owned(), source }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "a test damages files")]
mod tests {
    use jiff::Timestamp;
    use rotakey_core::credential::Generation;
    use rotakey_core::journal::{Origin, Record};

    use super::*;

    fn enrolled() -> Entry {
        let record = Record::Enrolled {
            access_key_id: "AKIAEXAMPLE".parse().expect("an id"),
            account_id: "1".into(),
            arn: "arn:aws:iam::1:user/app".into(),
            user: "app".into(),
            created: None,
            origin: Origin::HandedOver,
        };
        Entry { time: Timestamp::UNIX_EPOCH, rotation: None, record }
    }

    #[test]
    fn a_torn_line_is_cut_and_the_journal_goes_on() {
        let dir = tempfile::tempdir().expect("a folder");
        let state = ProfileState::new(dir.path(), "p");
        state.lock().expect("free").1.append(&enrolled()).expect("legal");
        let path = state.journal_path();
        let whole = std::fs::read(&path).expect("written");
        let mut torn = whole.clone();
        torn.extend_from_slice(b"0123456789abcdef {\"time\":");
        std::fs::write(&path, torn).expect("writable");
        assert!(state.read().expect("readable").1.current.is_some());
        drop(state.lock().expect("free"));
        assert_eq!(std::fs::read(&path).expect("there"), whole);
    }

    #[test]
    fn one_engine_at_a_time() {
        let dir = tempfile::tempdir().expect("a folder");
        let state = ProfileState::new(dir.path(), "p");
        let held = state.lock().expect("free");
        assert!(matches!(state.lock(), Err(StateError::Busy { pid: Some(_) })));
        assert_eq!(state.engine(), Some(std::process::id()));
        drop(held);
        state.lock().expect("free again");
        assert_eq!(state.engine(), None);
    }

    #[test]
    fn a_ledger_of_a_newer_version_is_refused() {
        let dir = tempfile::tempdir().expect("a folder");
        let state = ProfileState::new(dir.path(), "p");
        drop(state.lock().expect("free"));
        let mut ledger = Ledger::new(
            "AKIAEXAMPLE".parse().expect("an id"),
            Generation(1),
            Timestamp::UNIX_EPOCH,
        );
        ledger.version = 2;
        state.update_ledger(|slot| *slot = Some(ledger)).expect("written");
        assert!(state.ledger().expect_err("newer").to_string().contains("version 2"));
    }
}
