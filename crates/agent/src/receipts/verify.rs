//! Whether a profile's receipts are what its journal, and each other, say that they are.

use std::io;
use std::path::Path;

use rotakey_core::chained::Link;
use rotakey_core::receipt::{self, Receipt};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::{Found, Receipts, Written};
use crate::audit::verify::Found as Trail;
use crate::store::disk;

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct Checked {
    /// How many receipts there are.
    pub count: usize,
    /// What is wrong.
    pub wrong: Vec<String>,
    /// What is no fault: a crash came between, and the next run makes up for it.
    pub remarks: Vec<String>,
}

impl Receipts {
    /// Makes each receipt again, and compares. They were read before the trail was.
    #[must_use]
    pub fn verify(&self, found: io::Result<Vec<Found>>, trail: &Trail) -> Checked {
        let (mut wrong, mut remarks) = (Vec::new(), Vec::new());
        let found = match found {
            Ok(found) => found,
            Err(error) => {
                let wrong = vec![format!("{}: {error}", self.dir.display())];
                return Checked { wrong, ..Checked::default() };
            }
        };
        // That the journal itself is damaged is told elsewhere.
        let entries = self.state.read().map(|(entries, _)| entries);
        let journal = self.journal_digests().unwrap_or_default();
        let remade = entries.as_ref().map(|entries| receipt::receipts(entries)).ok();
        let mut previous = None;
        for one in &found {
            let mut say = |why: String| wrong.push(format!("{}: {why}", one.path.display()));
            match &one.written {
                Err(why) => say(format!("it cannot be read: {why}")),
                Ok(written) => {
                    if written.previous != previous {
                        say("the receipt before it was changed, removed or put in".to_owned());
                    }
                    for why in of_one(written, remade.as_deref(), &journal, trail) {
                        say(why);
                    }
                }
            }
            previous = Some(one.digest.clone());
        }
        let ended = remade.as_ref().map_or(0, Vec::len);
        for (at, receipt) in remade.iter().flatten().enumerate() {
            if found.iter().any(|one| names(one, receipt)) {
                continue;
            }
            let what = format!(
                "{}: the receipt of rotation {} is missing",
                self.dir.display(),
                receipt.rotation
            );
            // It is written after the rotation has ended; if the trail names it, it was there.
            if at + 1 == ended {
                remarks.push(format!("{what}: `rotakey history --receipts` writes it"));
            } else {
                wrong.push(what);
            }
        }
        let unnamed = self.unnamed(&found, trail);
        for one in &unnamed {
            let what = format!("{}: the audit trail does not name it", one.path.display());
            if found.last().is_some_and(|last| last.path == one.path) {
                remarks.push(format!(
                    "{what}: the next receipt, or `rotakey history --receipts`, sees to it"
                ));
            } else {
                wrong.push(what);
            }
        }
        wrong.extend(self.against_trail(&found, trail));
        Checked { count: found.len(), wrong, remarks }
    }

    /// Those that the trail should name by now and does not. Of one that is older than the trail, nothing can be said.
    pub(super) fn unnamed<'a>(&self, found: &'a [Found], trail: &Trail) -> Vec<&'a Found> {
        let first = trail.lines.first().and_then(|line| line.get("n")).and_then(Value::as_u64);
        let named: Vec<_> = self.named(trail).collect();
        let is_within = |one: &Found| {
            let seen = one
                .written
                .as_ref()
                .map_or(0, |written| written.audit.as_ref().map_or(0, |head| head.n));
            first.is_none_or(|first| first <= seen + 1)
        };
        let is_named = |one: &Found| {
            one.path
                .file_name()
                .and_then(|name| name.to_str())
                .is_some_and(|name| named.iter().any(|(n, _)| *n == name))
        };
        found.iter().filter(|one| one.written.is_ok() && is_within(one) && !is_named(one)).collect()
    }

    /// The names and digests that the trail has of this profile's receipts.
    fn named<'a>(&self, trail: &'a Trail) -> impl Iterator<Item = (&'a str, &'a str)> {
        let profile = self.state.profile();
        let about_us = |line: &&Map<String, Value>| line.get("profile") == Some(&profile.into());
        let lines: Vec<_> = trail.lines.iter().filter(about_us).collect();
        let act = |line: &Map<String, Value>, name: &str| line.get("act") == Some(&name.into());
        // A profile that was removed took its receipts away.
        let since = lines.iter().rposition(|line| act(line, "remove")).map_or(0, |at| at + 1);
        lines.into_iter().skip(since).filter(move |line| act(line, "receipt")).filter_map(|line| {
            line.get("detail").and_then(Value::as_str).unwrap_or_default().split_once(" sha256 ")
        })
    }

    /// The audit trail names each receipt with its digest.
    fn against_trail(&self, found: &[Found], trail: &Trail) -> Vec<String> {
        let mut wrong = Vec::new();
        for (name, digest) in self.named(trail) {
            let path = self.dir.join(name);
            let read = found.iter().find(|one| one.path == path).map(|one| one.digest.clone());
            // It may have been written since.
            match read.or_else(|| digest_of(&path)) {
                Some(found) if found == digest => {}
                Some(_) => wrong.push(format!(
                    "{}: it is not the one that the audit trail names",
                    path.display()
                )),
                None => wrong
                    .push(format!("{}: it is missing; the audit trail names it", path.display())),
            }
        }
        wrong
    }
}

fn digest_of(path: &Path) -> Option<String> {
    disk::read(path).ok().flatten().map(|bytes| hex::encode(Sha256::digest(&bytes)))
}

fn names(found: &Found, receipt: &Receipt) -> bool {
    found.written.as_ref().is_ok_and(|written| written.receipt.rotation == receipt.rotation)
}

/// What is wrong with one receipt by itself: against the journal, and against the trail.
fn of_one(
    written: &Written,
    remade: Option<&[Receipt]>,
    journal: &[String],
    trail: &Trail,
) -> Vec<String> {
    let mut wrong = remade.map_or_else(Vec::new, |remade| {
        against(&written.receipt, remade, journal, &written.journal_digest)
    });
    if let Some(head) = &written.audit {
        let link = Link { n: head.n, chain: head.chain.clone() };
        if !trail.contains(&link) {
            let n = head.n;
            wrong.push(format!("the audit trail's line number {n} is not the one it has seen"));
        }
    }
    wrong
}

/// What the journal does not say.
fn against(ours: &Receipt, remade: &[Receipt], journal: &[String], digest: &str) -> Vec<String> {
    let Some(theirs) = remade.iter().find(|theirs| theirs.rotation == ours.rotation) else {
        return vec![
            "the journal knows no such rotation that has ended: lines are missing at its end"
                .to_owned(),
        ];
    };
    let mut wrong = Vec::new();
    if theirs != ours {
        wrong.push("it says something else than the journal".to_owned());
    }
    if journal.get(theirs.lines.1 - 1).is_none_or(|line| line != digest) {
        wrong.push(format!("line {} of the journal is not the one it has seen", theirs.lines.1));
    }
    wrong
}
