//! Whether a profile's receipts are what its journal, and each other, say that they are.

use rotakey_core::chained::Link;
use rotakey_core::receipt::{self, Receipt};
use serde_json::{Map, Value};

use super::{Found, Receipts};
use crate::audit::verify::Found as Trail;

impl Receipts {
    /// Makes each receipt again, and compares. Gives how many there are, and what is wrong.
    #[must_use]
    pub fn verify(&self, trail: &Trail) -> (usize, Vec<String>) {
        let mut wrong = Vec::new();
        let found = match self.read() {
            Ok(found) => found,
            Err(error) => return (0, vec![format!("{}: {error}", self.dir.display())]),
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
                    if let Some(remade) = &remade {
                        for why in
                            against(&written.receipt, remade, &journal, &written.journal_digest)
                        {
                            say(why);
                        }
                    }
                    if let Some(head) = &written.audit {
                        let link = Link { n: head.n, chain: head.chain.clone() };
                        if !trail.contains(&link) {
                            say(format!(
                                "the audit trail's line number {} is not the one it has seen",
                                head.n
                            ));
                        }
                    }
                }
            }
            previous = Some(one.digest.clone());
        }
        for receipt in remade.iter().flatten() {
            if !found.iter().any(|one| names(one, receipt)) {
                wrong.push(format!(
                    "{}: the receipt of rotation {} is missing",
                    self.dir.display(),
                    receipt.rotation
                ));
            }
        }
        wrong.extend(self.against_trail(&found, trail));
        (found.len(), wrong)
    }

    /// The audit trail names each receipt with its digest.
    fn against_trail(&self, found: &[Found], trail: &Trail) -> Vec<String> {
        let profile = self.state.profile();
        let about_us = |line: &&Map<String, Value>| line.get("profile") == Some(&profile.into());
        let lines: Vec<_> = trail.lines.iter().filter(about_us).collect();
        let act = |line: &Map<String, Value>, name: &str| line.get("act") == Some(&name.into());
        // A profile that was removed took its receipts away.
        let since = lines.iter().rposition(|line| act(line, "remove")).map_or(0, |at| at + 1);
        let of_ours = lines[since..].iter().filter(|line| act(line, "receipt"));
        let mut wrong = Vec::new();
        for line in of_ours {
            let detail = line.get("detail").and_then(|detail| detail.as_str()).unwrap_or_default();
            let Some((name, digest)) = detail.split_once(" sha256 ") else { continue };
            let path = self.dir.join(name);
            match found.iter().find(|one| one.path == path) {
                Some(one) if one.digest == digest => {}
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

fn names(found: &Found, receipt: &Receipt) -> bool {
    found.written.as_ref().is_ok_and(|written| written.receipt.rotation == receipt.rotation)
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
