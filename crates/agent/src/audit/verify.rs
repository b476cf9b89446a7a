//! Whether the audit trail is whole.

use std::path::PathBuf;

use rotakey_core::chained::{self, Link};
use serde_json::{Map, Value};

use super::{Audit, PATIENCE, link_of};
use crate::store::disk::{self, System};
use crate::store::durable::Disk;

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// The lines, the oldest first.
    pub lines: Vec<Map<String, Value>>,
    /// Where the chain ends.
    pub head: Link,
    /// Each file, how many lines it has, and how it is.
    pub files: Vec<(PathBuf, usize)>,
    /// What is wrong, with the file and the line.
    pub wrong: Vec<String>,
    /// What is no fault, and worth a word.
    pub remarks: Vec<String>,
}

impl Audit {
    /// Goes through all of it.
    #[must_use]
    pub fn verify(&self) -> Found {
        let mut found = Found::default();
        // Between two files, and between a file and its head, nobody writes. A copy that cannot be locked stands still.
        let _lock = System.lock(&self.dir().join("audit.lock"), PATIENCE);
        let parts = match self.parts() {
            Ok(parts) => parts,
            Err(error) => {
                found.wrong.push(format!("{}: {error}", self.dir().display()));
                return found;
            }
        };
        let paths = parts.into_iter().map(|(_, path)| path).chain([self.path.clone()]);
        for path in paths {
            found.file(path);
        }
        match self.noted_head() {
            Ok(Some(head)) if head.n > found.head.n && found.wrong.is_empty() => {
                found.wrong.push(format!(
                    "{}: lines {} to {} are missing at the end: audit.head has seen them",
                    self.path.display(),
                    found.head.n + 1,
                    head.n
                ))
            }
            Ok(Some(head)) if !found.contains(&head) && found.wrong.is_empty() => {
                found.wrong.push(format!(
                    "{}: line number {} is not the one that audit.head has seen",
                    self.path.display(),
                    head.n
                ));
            }
            Ok(None) if found.head.n > 0 => {
                found.wrong.push(format!("{}: it is missing", self.head_path().display()));
            }
            Ok(_) => {}
            Err(why) => found.wrong.push(format!("{}: {why}", self.head_path().display())),
        }
        found
    }

    fn noted_head(&self) -> Result<Option<Link>, String> {
        let bytes = disk::read(&self.head_path()).map_err(|error| error.to_string())?;
        let Some(bytes) = bytes else { return Ok(None) };
        link_of(&bytes).map(Some).ok_or_else(|| "it is no head of an audit trail".to_owned())
    }
}

impl Found {
    /// Whether there is such a line. One of a file that is no longer here cannot be looked for.
    #[must_use]
    pub fn contains(&self, link: &Link) -> bool {
        let first = self.lines.first().and_then(|line| line.get("n")).and_then(Value::as_u64);
        link.n == 0
            || first.is_some_and(|first| link.n < first)
            || self.lines.iter().any(|line| {
                line.get("n").and_then(Value::as_u64) == Some(link.n)
                    && line.get("chain").and_then(Value::as_str) == Some(link.chain.as_str())
            })
    }

    fn file(&mut self, path: PathBuf) {
        let shown = path.display().to_string();
        let private = disk::check_private(&path).and_then(|()| disk::read(&path));
        let bytes = match private {
            Ok(Some(bytes)) => bytes,
            Ok(None) => return,
            Err(error) => return self.wrong.push(format!("{shown}: {error}")),
        };
        let begins = self.begins(&bytes);
        match chained::decode(&bytes, begins) {
            Ok((lines, tail)) => {
                if tail.whole < bytes.len() {
                    self.remarks.push(format!("{shown}: a last line was torn by a crash"));
                }
                self.files.push((path, lines.len()));
                self.lines.extend(lines);
                self.head = tail.link;
            }
            Err(damage) => self.wrong.push(format!("{shown}, {damage}")),
        }
    }

    /// What the file's first line is chained to. The oldest ones may have been moved to an archive.
    fn begins(&mut self, bytes: &[u8]) -> Link {
        let first = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let value: Value = serde_json::from_slice(first).unwrap_or_default();
        match (value["after"].as_str(), value["n"].as_u64()) {
            // What follows damage is looked at for itself.
            (Some(after), Some(n)) if !self.wrong.is_empty() => {
                Link { n: n.saturating_sub(1), chain: after.to_owned() }
            }
            (Some(after), Some(n)) if self.head.n == 0 && n > 1 => {
                let what = value["detail"].as_str().unwrap_or_default();
                self.remarks.push(format!("the audit trail begins with line {n} ({what})"));
                Link { n: n - 1, chain: after.to_owned() }
            }
            _ => self.head.clone(),
        }
    }
}
