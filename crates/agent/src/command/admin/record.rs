//! What is remembered of an admin's rotation between its runs: `state/admin/<account>-<user>/rotation.json`. No secret is
//! in it: the new key's is in nobody's hands but the admin's.

use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;
use rotakey_core::credential::AccessKeyId;
use serde::{Deserialize, Serialize};

use crate::app::App;
use crate::failure::{Exit, Failed};
use crate::store::disk::{self, System};
use crate::store::durable::{Disk, Lock};

/// How long another run of the same command is waited for.
const PATIENCE: Duration = Duration::from_millis(300);

/// Where a rotation is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "stage", rename_all = "kebab-case")]
pub(super) enum Stage {
    /// `CreateAccessKey` is about to be sent, or its reply was lost.
    Intended {
        /// The key that is to go.
        old: AccessKeyId,
        /// The user's keys just before.
        known: Vec<AccessKeyId>,
        /// When.
        sent: Timestamp,
        /// The server's clock less ours, milliseconds.
        clock_offset_ms: i64,
    },
    /// A key of ours whose secret nobody has.
    Unheld {
        /// Which.
        id: AccessKeyId,
        /// Since when it is Inactive.
        inactive: Option<Timestamp>,
        /// Our own probes of it, if there were any, ended then.
        #[serde(default)]
        probed_until: Option<Timestamp>,
    },
    /// The new key is made, and its secret is in one process's memory: it was certainly not printed.
    Made {
        /// The key that is to go.
        old: AccessKeyId,
        /// The new one.
        new: AccessKeyId,
    },
    /// The new key is the admin's to hand on; the old one works still. It is written before the print begins.
    Handed {
        /// The key that is to go.
        old: AccessKeyId,
        /// The new one.
        new: AccessKeyId,
        /// When it was made.
        since: Timestamp,
        /// Our own probes of it ended then: they are no use of it.
        probed_until: Timestamp,
        /// Standard output took it whole. Else nobody but the admin can tell whether he has it.
        #[serde(default)]
        printed: bool,
    },
    /// The old key is Inactive.
    Deactivated {
        /// Which.
        old: AccessKeyId,
        /// The new one.
        new: AccessKeyId,
        /// Since when.
        at: Timestamp,
    },
}

#[derive(Serialize, Deserialize)]
struct File {
    version: u32,
    user: String,
    account_id: String,
    /// The rotation under way.
    rotation: Option<Stage>,
}

/// The file, held by one run at a time.
pub(super) struct Memory {
    path: PathBuf,
    user: String,
    account_id: String,
    pub(super) stage: Option<Stage>,
    _lock: Lock,
}

impl Memory {
    /// Takes the lock, and reads what is there.
    pub(super) fn open(app: &App, account_id: &str, user: &str) -> Result<Self, Failed> {
        let dir = app.paths.state.join("admin").join(format!("{account_id}-{user}"));
        let unusable = |error: std::io::Error| {
            Failed::new(Exit::Failed, format!("cannot use {}: {error}", dir.display()))
                .hint("make it writable for you, and for nobody else")
        };
        disk::create_private_dir(&dir).map_err(unusable)?;
        let lock = System.lock(&dir.join("lock"), PATIENCE).map_err(unusable)?;
        let lock = lock.ok_or_else(|| {
            Failed::new(Exit::Decide, format!("another run of this command rotates {user}"))
                .hint("wait for it to end")
        })?;
        let path = dir.join("rotation.json");
        disk::check_private(&path).map_err(unusable)?;
        let stage = match disk::read(&path).map_err(unusable)? {
            None => None,
            Some(bytes) => {
                let file: File = serde_json::from_slice(&bytes).map_err(|error| {
                    Failed::new(Exit::Failed, format!("{} is damaged: {error}", path.display()))
                        .hint(format!("look at the keys of {user} (`rotakey keys --user {user}`), then remove the file"))
                })?;
                file.rotation
            }
        };
        let (user, account_id) = (user.to_owned(), account_id.to_owned());
        Ok(Self { path, user, account_id, stage, _lock: lock })
    }

    /// It is on disk when this returns.
    pub(super) fn write(&mut self, stage: Option<Stage>) -> Result<(), Failed> {
        let file = File {
            version: 1,
            user: self.user.clone(),
            account_id: self.account_id.clone(),
            rotation: stage.clone(),
        };
        let written = serde_json::to_vec_pretty(&file)
            .map_err(std::io::Error::other)
            .and_then(|json| disk::replace(&self.path, &json));
        written.map_err(|error| {
            Failed::new(Exit::Failed, format!("cannot write {}: {error}", self.path.display()))
                .hint("make room on the disk; the same command then goes on")
        })?;
        self.stage = stage;
        Ok(())
    }
}
