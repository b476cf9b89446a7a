//! A corpus of saved states, from every bug that was found and from the released formats: they recover for ever.
//!
//! A case is a folder in `tests/replay/`: `journal` and `ledger.json`, byte for byte as they were, and `world.json`,
//! which says where the state comes from, what IAM and the keystore had, what the person says, and what must come of
//! it. The committed files are the truth. `ROTAKEY_SAVE_CASES=1` makes those that `making`, `decisions` and `found`
//! describe and that are not there yet; it changes none that is.
#![allow(missing_docs, unreachable_pub, reason = "a test")]
#![allow(clippy::print_stdout, clippy::disallowed_methods, reason = "a test")]

#[path = "replay/case.rs"]
mod case;
#[path = "replay/decisions.rs"]
mod decisions;
#[path = "replay/found.rs"]
mod found;
#[path = "replay/making.rs"]
mod making;
#[path = "replay/play.rs"]
mod play;
#[path = "replay/scene.rs"]
mod scene;
mod system;

use std::collections::BTreeSet;

use case::Case;
use play::{opened_and_cut_off, play};
use rotakey_core::journal::{Chain, HEADER, Record, decode};
use rotakey_core::lease::Ledger;
use scene::Ends;

/// Every kind of record and, where it is about one, of act. `label` says which a record is.
const LABELS: [&str; 30] = [
    "enrolled",
    "begun",
    "intended-create",
    "intended-publish",
    "intended-activate",
    "intended-deactivate",
    "intended-delete",
    "intended-forget",
    "done-publish",
    "done-activate",
    "done-deactivate",
    "done-delete",
    "done-forget",
    "created",
    "not-created",
    "create-unknown",
    "orphan-found",
    "verified",
    "drained",
    "undo-begun",
    "abort-begun",
    "vanished",
    "stuck",
    "resumed",
    "abandoned",
    "finished",
    "compromised",
    "withdrawn",
    "disabled",
    "exported",
];

/// A new kind of record does not compile before it has a name here, and then wants a case.
pub fn label(record: &Record) -> String {
    let name = match record {
        Record::Intended { act } => return format!("intended-{}", act.name()),
        Record::Done { act } => return format!("done-{}", act.name()),
        Record::Enrolled { .. } => "enrolled",
        Record::Exported { .. } => "exported",
        Record::Begun { .. } => "begun",
        Record::Created { .. } => "created",
        Record::NotCreated { .. } => "not-created",
        Record::CreateUnknown { .. } => "create-unknown",
        Record::OrphanFound { .. } => "orphan-found",
        Record::Verified { .. } => "verified",
        Record::Drained { .. } => "drained",
        Record::UndoBegun { .. } => "undo-begun",
        Record::AbortBegun { .. } => "abort-begun",
        Record::Vanished { .. } => "vanished",
        Record::Stuck { .. } => "stuck",
        Record::Resumed => "resumed",
        Record::Abandoned { .. } => "abandoned",
        Record::Finished => "finished",
        Record::Compromised { .. } => "compromised",
        Record::Withdrawn { .. } => "withdrawn",
        Record::Disabled { .. } => "disabled",
    };
    name.to_owned()
}

/// The cases that are not there yet are made first, if that is wanted.
fn corpus() -> Vec<Case> {
    static SAVED: std::sync::Once = std::sync::Once::new();
    if std::env::var_os("ROTAKEY_SAVE_CASES").is_some() {
        SAVED.call_once(|| {
            let cases = [
                making::cases(),
                decisions::decisions(),
                decisions::torn_and_damaged(),
                found::cases(),
            ];
            for case in cases.concat() {
                let done = if case.save() { "saved" } else { "there already, left as it is" };
                println!("{}: {done}", case.name);
            }
        });
    }
    Case::all()
}

#[test]
fn every_saved_state_recovers() {
    let cases = corpus();
    let mut violations = 0;
    for case in &cases {
        for violation in play(case).complaints(case) {
            violations += 1;
            println!("{}: {violation}\n    ({})", case.name, case.scene.what);
        }
    }
    let (count, kinds) = (cases.len(), labels(&cases).len());
    println!("replay: {count} cases, {kinds} record kinds, {violations} violations");
    assert_eq!(violations, 0);
}

fn labels(cases: &[Case]) -> BTreeSet<String> {
    let journals = cases.iter().filter_map(|case| decode(&case.journal).ok());
    journals.flat_map(|(entries, _)| entries).map(|entry| label(&entry.record)).collect()
}

#[test]
fn every_kind_of_record_is_in_the_corpus() {
    let wanted = BTreeSet::from(LABELS.map(str::to_owned));
    assert_eq!(labels(&corpus()), wanted);
}

/// What it reads, this version would write in the same bytes: neither format has changed unnoticed.
#[test]
fn the_formats_are_the_released_ones() {
    for Case { name, journal, ledger, scene, .. } in corpus() {
        if scene.expected.ends == Ends::Damaged {
            continue;
        }
        let (entries, tail) = decode(&journal).unwrap_or_else(|error| panic!("{name}: {error}"));
        let mut chain = Chain::default();
        let mut text = format!("{HEADER}\n");
        for entry in &entries {
            let (line, next) = chain.encode(entry);
            text.push_str(&line);
            chain = next;
        }
        assert_eq!(text.as_bytes(), &journal[..tail.whole], "{name}");
        let read: Ledger = serde_json::from_slice(&ledger).expect("a ledger");
        let again = serde_json::to_string_pretty(&read).expect("plain data");
        assert_eq!(format!("{again}\n").as_bytes(), ledger, "{name}");
    }
}

/// Opening makes durable what was read: what was cut off before does not come back.
#[test]
fn what_was_read_stays() {
    let mut cut_off = 0;
    for case in corpus().iter().filter(|case| case.durable.is_some()) {
        let reads = decode(&case.journal).expect("a journal").1.whole;
        assert_eq!(opened_and_cut_off(case), case.journal[..reads], "{}", case.name);
        cut_off += 1;
    }
    assert!(cut_off > 0);
}

/// A journal that lost its last lines is one that a rotation was at before. Whatever the world is by now, nothing
/// that is served breaks, and it recovers, or it or the next rotation says why not.
#[test]
fn a_shortened_journal_recovers_or_says_why_not() {
    let (mut recovered, mut told, mut broken) = (0, 0, 0);
    for case in corpus().iter().filter(|case| !case.is_damaged()) {
        let ends = case.journal.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
        for end in ends.map(|(at, _)| at + 1).filter(|end| *end < case.journal.len()) {
            let journal = case.journal[..end].to_vec();
            let cut = Case { journal, durable: None, ..case.clone() };
            let mut played = play(&cut);
            // Somebody deleted the served key, and the lines that would tell which one it is are lost.
            if cut.is_served_key_deleted() {
                broken += 1;
                continue;
            }
            played.try_again();
            let name = format!("{}, cut at byte {end}", case.name);
            match played.said() {
                None => {
                    recovered += 1;
                    played.world.settled(0);
                }
                Some(why) => {
                    told += 1;
                    assert!(!why.is_empty(), "{name}");
                }
            }
            assert_eq!(played.world.watch.violations, [""; 0], "{name}");
        }
    }
    // Each of these happens, or the test proves less than it says.
    assert!(recovered > 200 && told > 100 && broken > 0, "{recovered}, {told}, {broken}");
}
