//! The audit trail: what people and programs did with keys, beyond what the journals of rotations hold.
//!
//! `state/audit.jsonl` only grows, each line synced and chained to the one before ([`rotakey_core::chained`]). One that is
//! long is put away as `audit.<number>.jsonl`, and the next one goes on with its chain. `state/audit.head` holds the
//! last line's number and digest: lines that are missing at the end show against it.

pub mod refusals;
mod sessions;
pub mod verify;

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rotakey_core::chained::Link;
use rotakey_core::credential::AccessKeyId;
use serde_json::{Map, Value, json};

use crate::clock::{Clock, SystemClock};
use crate::proc;
use crate::store::disk::{self, System};
use crate::store::durable::{AppendOnly, Disk};
use crate::wording::rfc3339;

/// A longer file is put away.
const PART_BYTES_MAX: u64 = 1024 * 1024;

/// No line is longer: it is looked for so far from the end.
const LINE_BYTES_MAX: u64 = 16 * 1024;

/// A detail that is longer is cut, in characters.
const DETAIL_MAX: usize = 1000;

/// How long another process is waited for. It needs milliseconds.
const PATIENCE: Duration = Duration::from_secs(2);

/// The audit trail of this installation.
#[derive(Clone, Debug)]
pub struct Audit {
    path: PathBuf,
}

/// Whose doing an act was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct By {
    /// The user.
    pub uid: u32,
    /// The process, if it could be told.
    pub pid: Option<u32>,
    /// Its executable.
    pub exe: Option<String>,
    /// The executable of the process that ran it.
    pub parent_exe: Option<String>,
}

impl By {
    /// This process.
    pub fn us() -> Self {
        Self::process(rustix::process::getuid().as_raw(), std::process::id())
    }

    /// Another process.
    pub fn process(uid: u32, pid: u32) -> Self {
        let exe = |pid| proc::program(pid).and_then(|program| program.exe);
        let parent_exe = proc::stat(pid).and_then(|(parent, _)| exe(parent));
        Self { uid, pid: Some(pid), exe: exe(pid), parent_exe }
    }

    fn json(&self) -> Value {
        json!({"uid": self.uid, "pid": self.pid, "exe": self.exe, "parent_exe": self.parent_exe})
    }
}

impl Audit {
    /// The trail at `path`.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// Writes one act of this process down and syncs it. `act` is in kebab-case: `export`, `import`, `revoke-sessions`.
    ///
    /// # Errors
    ///
    /// If it cannot be written. An act that hands a secret out must not go on then.
    pub fn record(
        &self,
        act: &str,
        profile: &str,
        access_key_id: Option<&AccessKeyId>,
        detail: &str,
    ) -> io::Result<()> {
        self.record_of(&By::us(), act, profile, access_key_id, detail).map(drop)
    }

    /// The same for the act of another process. Gives the end of the chain.
    ///
    /// # Errors
    ///
    /// As [`record`](Self::record).
    pub fn record_of(
        &self,
        by: &By,
        act: &str,
        profile: &str,
        access_key_id: Option<&AccessKeyId>,
        detail: &str,
    ) -> io::Result<Link> {
        let key = access_key_id.map(AccessKeyId::as_str);
        let detail: String = detail.chars().take(DETAIL_MAX).collect();
        let members = json!({
            "time": rfc3339(SystemClock::new().now().wall),
            "act": act,
            "profile": profile,
            "access_key_id": key,
            "by": by.json(),
            "detail": detail,
        });
        let link = self.append(&members)?;
        tracing::info!(act, profile, key, detail, n = link.n, chain = link.chain, "audit");
        Ok(link)
    }

    /// The end of the chain, as far as it can be read.
    #[must_use]
    pub fn head(&self) -> Option<Link> {
        self.end().ok().map(|(link, _)| link)
    }

    fn append(&self, members: &Value) -> io::Result<Link> {
        let dir = self.dir();
        disk::create_private_dir(dir)?;
        disk::check_private(&self.path)?;
        let Some(_lock) = System.lock(&dir.join("audit.lock"), PATIENCE)? else {
            return Err(io::Error::other("another process writes the audit trail"));
        };
        let (mut link, mut whole) = self.end()?;
        if whole > PART_BYTES_MAX {
            let number = self.parts()?.last().map_or(1, |(number, _)| number + 1);
            disk::rename(&self.path, &dir.join(format!("audit.{number}.jsonl")))?;
            whole = 0;
        }
        let mut file = AppendOnly::open(&System, &self.path, whole)?;
        let mut write = |members: &Value| {
            let (line, next) = link.encode(members.as_object().unwrap_or(&Map::new()));
            file.append(&System, line.as_bytes())?;
            link = next;
            io::Result::Ok(())
        };
        if whole == 0
            && let Some((before, number)) = self.last_part()?
        {
            write(&json!({
                "time": members["time"],
                "act": "continued",
                "detail": format!("audit.{number}.jsonl comes before this"),
                "after": before.chain,
            }))?;
        }
        write(members)?;
        // It may lag behind after a crash, and never runs ahead.
        let head = json!({"n": link.n, "chain": link.chain}).to_string();
        disk::replace(&self.head_path(), format!("{head}\n").as_bytes())?;
        Ok(link)
    }

    /// Where the chain ends, and where the last whole line of the file that grows does.
    fn end(&self) -> io::Result<(Link, u64)> {
        if let Some((bytes, length)) = disk::read_end(&self.path, LINE_BYTES_MAX)? {
            let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
            // A line with zeros in it never reached the disk.
            let line = last_line(&bytes[..whole]).filter(|line| !line.contains(&0));
            if let Some(line) = line {
                let link = link_of(line).ok_or_else(|| self.damaged())?;
                return Ok((link, length - (bytes.len() - whole) as u64));
            }
            if whole > 0 {
                let before = bytes[..whole - 1].iter().rposition(|byte| *byte == b'\n');
                let before = before.map_or(0, |at| at + 1);
                let line = last_line(&bytes[..before]);
                if let Some(link) = line.and_then(link_of) {
                    return Ok((link, length - (bytes.len() - before) as u64));
                }
            }
            if length >= LINE_BYTES_MAX {
                return Err(self.damaged());
            }
        }
        let before = self.last_part()?.map(|(link, _)| link);
        Ok((before.unwrap_or_default(), 0))
    }

    fn last_part(&self) -> io::Result<Option<(Link, u64)>> {
        let Some((number, path)) = self.parts()?.pop() else { return Ok(None) };
        let (bytes, _) = disk::read_end(&path, LINE_BYTES_MAX)?.unwrap_or_default();
        let link = last_line(&bytes).and_then(link_of).ok_or_else(|| self.damaged())?;
        Ok(Some((link, number)))
    }

    /// The files that were put away, the oldest first.
    fn parts(&self) -> io::Result<Vec<(u64, PathBuf)>> {
        let number = |name: &str| name.strip_prefix("audit.")?.strip_suffix(".jsonl")?.parse().ok();
        let names = disk::names(self.dir())?;
        let found = names.iter().filter_map(|name| Some((number(name)?, self.dir().join(name))));
        let mut parts: Vec<(u64, PathBuf)> = found.collect();
        parts.sort();
        Ok(parts)
    }

    fn head_path(&self) -> PathBuf {
        self.dir().join("audit.head")
    }

    fn dir(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new("."))
    }

    fn damaged(&self) -> io::Error {
        io::Error::other(format!(
            "the last line of {} is damaged: see `rotakey history --verify`",
            self.path.display()
        ))
    }
}

/// The last line, without its newline; the bytes end with one.
fn last_line(bytes: &[u8]) -> Option<&[u8]> {
    let line = bytes.strip_suffix(b"\n")?;
    line.rsplit(|byte| *byte == b'\n').next().filter(|line| !line.is_empty())
}

fn link_of(line: &[u8]) -> Option<Link> {
    let value: Value = serde_json::from_slice(line).ok()?;
    Some(Link { n: value["n"].as_u64()?, chain: value["chain"].as_str()?.to_owned() })
}

#[cfg(test)]
mod tests;
