//! Receipts: for each rotation that has ended, a file that an auditor can read, `state/<profile>/receipts/*.json`.
//!
//! What it says of the rotation is made from the journal alone, and made again to be verified. `noted` is what the journal
//! does not hold, as it was when it was seen. Each receipt holds the SHA-256 of the one before it, the digest of the
//! journal's line where the rotation ends, and where the audit trail was; the audit trail names each receipt.

pub mod text;
pub mod verify;
pub mod witness;

use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rotakey_core::chained::Link;
use rotakey_core::credential::AccessKeyId;
use rotakey_core::journal::{HEADER, RotationId};
use rotakey_core::receipt::{self, Receipt};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::audit::Audit;
use crate::serving::holders::Holder;
use crate::store::disk;
use crate::store::profile::ProfileState;
use crate::wording::counted;

/// A receipt as it is on disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Written {
    /// The format, 1.
    pub version: u32,
    /// Which profile's.
    pub profile: String,
    /// This installation, as the tag on the IAM user names it.
    pub install: String,
    /// When this was written: directly after the rotation, or when a crash came between, later.
    pub written: Timestamp,
    /// What the journal says.
    #[serde(flatten)]
    pub receipt: Receipt,
    /// What was seen while it went on; it cannot be made again.
    pub noted: Option<Noted>,
    /// The digest of the journal's line where it ends.
    pub journal_digest: String,
    /// The SHA-256 of the receipt before this one.
    pub previous: Option<String>,
    /// Where the audit trail was.
    pub audit: Option<AuditHead>,
}

/// Where the audit trail was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditHead {
    /// The last line's number.
    pub n: u64,
    /// Its digest.
    pub chain: String,
}

/// What was seen of a rotation while it went on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Noted {
    /// Of which rotation.
    pub rotation: Option<RotationId>,
    /// How often in a row the new key had to be accepted.
    pub accepted_in_a_row: Option<u32>,
    /// Where.
    pub vantages: Vec<String>,
    /// Until when the old key had been promised to programs.
    pub leases_until: Option<Timestamp>,
    /// Who held the old key, as far as programs could be told, and until when.
    pub holders: Vec<Holder>,
}

/// The receipts of a profile.
#[derive(Clone, Debug)]
pub struct Receipts {
    state: ProfileState,
    dir: PathBuf,
}

/// A file, its bytes and what they say.
#[derive(Clone, Debug)]
pub struct Found {
    /// The file.
    pub path: PathBuf,
    /// Its SHA-256.
    pub digest: String,
    /// What it says, or why it cannot be read.
    pub written: Result<Written, String>,
}

impl Receipts {
    /// Those of the profile that holds a key.
    #[must_use]
    pub fn of(state: &ProfileState) -> Self {
        Self { state: state.clone(), dir: state.dir().join("receipts") }
    }

    /// All of them, in the order in which their rotations ended: by the journal's lines, as clocks are set back.
    ///
    /// # Errors
    ///
    /// If the folder cannot be read.
    pub fn read(&self) -> io::Result<Vec<Found>> {
        let names = disk::names(&self.dir)?;
        let ours = names.iter().filter(|name| name.ends_with(".json"));
        let found = ours.map(|name| {
            let path = self.dir.join(name);
            disk::check_private(&path)?;
            let bytes = disk::read(&path)?.unwrap_or_default();
            let written = serde_json::from_slice(&bytes).map_err(|error| error.to_string());
            Ok(Found { path, digest: hex::encode(Sha256::digest(&bytes)), written })
        });
        let mut found = found.collect::<io::Result<Vec<Found>>>()?;
        let line = |found: &Found| {
            found.written.as_ref().map_or(usize::MAX, |written: &Written| written.receipt.lines.1)
        };
        found.sort_by_key(line);
        Ok(found)
    }

    /// Writes those that are not there yet. Whoever calls it holds the engine's lock. Gives those it wrote.
    ///
    /// # Errors
    ///
    /// If something cannot be read or written; nothing is lost then, as the next one makes them.
    pub fn write_missing(
        &self,
        audit: &Audit,
        install: &str,
        now: Timestamp,
    ) -> io::Result<Vec<PathBuf>> {
        let entries = self.state.read().map_err(io::Error::other)?.0;
        let due = receipt::receipts(&entries);
        if due.is_empty() {
            return Ok(Vec::new());
        }
        let there = self.read()?;
        self.name_all(&there, audit)?;
        let known: Vec<&RotationId> = there
            .iter()
            .filter_map(|found| {
                found.written.as_ref().ok().map(|written| &written.receipt.rotation)
            })
            .collect();
        let mut previous = there.last().map(|found| found.digest.clone());
        let journal = self.journal_digests()?;
        let mut paths = Vec::new();
        for receipt in due.into_iter().filter(|receipt| !known.contains(&&receipt.rotation)) {
            let noted =
                self.noted().filter(|noted| noted.rotation.as_ref() == Some(&receipt.rotation));
            let id = receipt.after.access_key_id.clone();
            let path = self.dir.join(file_name(&receipt));
            let digest = journal.get(receipt.lines.1 - 1).cloned().unwrap_or_default();
            let written = Written {
                version: 1,
                profile: self.state.profile().to_owned(),
                install: install.to_owned(),
                written: now,
                noted,
                journal_digest: digest,
                previous: previous.take(),
                audit: audit
                    .head()
                    .filter(|head| head.n > 0)
                    .map(|Link { n, chain }| AuditHead { n, chain }),
                receipt,
            };
            let mut bytes = serde_json::to_vec_pretty(&written).map_err(io::Error::other)?;
            bytes.push(b'\n');
            let digest = hex::encode(Sha256::digest(&bytes));
            disk::create_private_dir(&self.dir)?;
            disk::replace(&path, &bytes)?;
            self.name(audit, &path, &digest, &id)?;
            previous = Some(digest);
            paths.push(path);
        }
        Ok(paths)
    }

    /// Has the audit trail name those that a crash kept from being named.
    fn name_all(&self, there: &[Found], audit: &Audit) -> io::Result<()> {
        if there.is_empty() {
            return Ok(());
        }
        for found in self.unnamed(there, &audit.verify()) {
            if let Ok(written) = &found.written {
                let id = &written.receipt.after.access_key_id;
                self.name(audit, &found.path, &found.digest, id)?;
            }
        }
        Ok(())
    }

    fn name(&self, audit: &Audit, path: &Path, digest: &str, id: &AccessKeyId) -> io::Result<()> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let detail = format!("{name} sha256 {digest}");
        audit.record("receipt", self.state.profile(), Some(id), &detail)
    }

    /// The checksum of each line of the journal; the header's is empty.
    fn journal_digests(&self) -> io::Result<Vec<String>> {
        let bytes = disk::read(&self.journal())?.unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        let digest = |line: &str| match line {
            HEADER => String::new(),
            line => line.split(' ').next().unwrap_or_default().to_owned(),
        };
        Ok(text.lines().map(digest).collect())
    }

    fn journal(&self) -> PathBuf {
        self.state.dir().join("journal")
    }

    fn noted(&self) -> Option<Noted> {
        let bytes = disk::read(&noted_path(&self.state)).ok()??;
        serde_json::from_slice(&bytes).ok()
    }
}

fn noted_path(state: &ProfileState) -> PathBuf {
    state.dir().join("noted.json")
}

/// `20261125T171650Z-<rotation>.json`: the names sort as the times do.
fn file_name(receipt: &Receipt) -> PathBuf {
    let ended = receipt.ended.strftime("%Y%m%dT%H%M%SZ");
    Path::new(&format!("{ended}-{}.json", receipt.rotation)).to_owned()
}

/// The recommendations of the CIS AWS Foundations Benchmark that a rotation is about, and how it meets them.
#[must_use]
pub fn cis(receipt: &Receipt) -> Value {
    let old =
        if receipt.outcome == receipt::Outcome::Rotated { &receipt.before } else { &receipt.after };
    let retired = receipt.before.deactivated;
    let age = receipt.before.days_old(retired.unwrap_or(receipt.ended));
    json!([
        {
            "title": "credentials unused for 45 days are disabled",
            "numbers": {"1.4.0 to 4.0.1": "1.12", "5.0.0": "1.11", "7.0.0": "2.11"},
            "met": true,
            "because": match (retired, receipt.before.deleted) {
                (Some(at), Some(gone)) => format!("the replaced key was set Inactive at {at:.0} and deleted at {gone:.0}"),
                (Some(at), None) => format!("the replaced key was set Inactive at {at:.0}"),
                _ => format!("no key was left behind; {} is in use", old.access_key_id),
            },
        },
        {
            "title": "a user has only one active access key",
            "numbers": {"1.4.0 to 4.0.1": "1.13", "5.0.0": "1.12"},
            "met": true,
            "because": format!(
                "one is left; while they were exchanged, two were Active for {}",
                of(minutes(receipt.two_active_seconds), "minute")
            ),
        },
        {
            "title": "access keys are rotated within 90 days",
            "numbers": {"1.4.0 to 4.0.1": "1.14", "5.0.0": "1.13", "7.0.0": "2.12"},
            "met": receipt.outcome == receipt::Outcome::Rotated && age.is_some_and(|days| days <= crate::cis::AGE_DAYS),
            "because": match (receipt.outcome, age) {
                (receipt::Outcome::Rotated, Some(days)) => format!("the replaced key was {} old when it was retired", of(days, "day")),
                (receipt::Outcome::Rotated, None) => "the replaced key's age is not known".to_owned(),
                _ => "nothing was replaced in the end".to_owned(),
            },
        },
    ])
}

/// `1 minute`, `2 minutes`.
fn of(count: i64, what: &str) -> String {
    counted(usize::try_from(count).unwrap_or_default(), what)
}

/// Minutes, rounded up.
#[must_use]
pub fn minutes(seconds: i64) -> i64 {
    (seconds.max(0) + 59) / 60
}
