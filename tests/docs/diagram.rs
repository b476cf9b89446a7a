//! The diagram in docs/rotation.md has every way from step to step that the journal's rules allow, and no other.

use std::collections::BTreeSet;

use jiff::Timestamp;
use rotakey_core::credential::AccessKeyId;
use rotakey_core::journal::{Act, Entry, Origin, Reason, Record, RotationId, Status};

use super::markdown::Document;

/// From, to, and the record that leads there. No rotation is `[*]`.
type Way = (String, String, String);

#[test]
fn the_diagram_of_a_rotation_is_what_the_journal_allows() {
    let document = Document::named("docs/rotation.md");
    let drawn = document.blocks.iter().find(|block| block.language == "mermaid").unwrap();
    let drawn: BTreeSet<Way> = drawn.text.lines().flat_map(ways).collect();
    let allowed = allowed();
    let show = |ways: Vec<&Way>| {
        let line = |(from, to, by): &&Way| format!("    {from} --> {to}: {by}");
        ways.iter().map(line).collect::<Vec<_>>().join("\n")
    };
    let missing = show(allowed.difference(&drawn).collect());
    let invented = show(drawn.difference(&allowed).collect());
    assert!(
        missing.is_empty() && invented.is_empty(),
        "missing in the diagram:\n{missing}\nnot allowed by the code:\n{invented}"
    );
}

/// `from --> to: by, by`.
fn ways(line: &str) -> Vec<Way> {
    let Some((from, rest)) = line.trim().split_once(" --> ") else { return Vec::new() };
    let (to, by) = rest.split_once(": ").unwrap_or((rest, ""));
    by.split(", ").map(|by| (from.to_owned(), to.to_owned(), by.to_owned())).collect()
}

fn key(id: &str) -> AccessKeyId {
    id.parse().unwrap()
}

/// Everything that could be written next.
fn records(status: &Status) -> Vec<Record> {
    let why = || "why".to_owned();
    let created = Timestamp::UNIX_EPOCH;
    let generations = [status.generation, status.generation.next()];
    let mut all = vec![
        Record::Begun { reason: Reason::Forced },
        Record::NotCreated { why: why() },
        Record::CreateUnknown { why: why() },
        Record::UndoBegun { why: why(), forced: false },
        Record::UndoBegun { why: why(), forced: true },
        Record::AbortBegun { why: why() },
        Record::Stuck { why: why() },
        Record::Resumed,
        Record::Abandoned { why: why() },
        Record::Finished,
    ];
    let mut acts = vec![Act::Create { known: vec![key("AKIAOLD")], clock_offset_ms: 0 }];
    for access_key_id in ["AKIAOLD", "AKIANEW"].map(key) {
        let id = || access_key_id.clone();
        acts.extend(generations.map(|generation| Act::Publish { access_key_id: id(), generation }));
        acts.extend([
            Act::Activate { access_key_id: id() },
            Act::Deactivate { access_key_id: id() },
            Act::Delete { access_key_id: id() },
            Act::Forget { access_key_id: id() },
        ]);
        all.extend([
            Record::Created { access_key_id: id(), created, adopted: false },
            Record::OrphanFound { access_key_id: id(), created },
            Record::Verified { access_key_id: id() },
            Record::Drained { access_key_id: id() },
            Record::Compromised { access_key_id: id() },
            Record::Vanished { access_key_id: id() },
        ]);
    }
    for act in acts {
        all.extend([Record::Intended { act: act.clone() }, Record::Done { act }]);
    }
    all
}

fn label(record: &Record) -> String {
    match record {
        Record::Intended { act } => format!("intended {}", act.name()),
        Record::Done { act } => format!("done {}", act.name()),
        other => serde_json::to_value(other).unwrap()["kind"].as_str().unwrap().to_owned(),
    }
}

/// Goes through every state that one rotation can reach.
fn allowed() -> BTreeSet<Way> {
    let rotation = Some(RotationId("0000000000000001".to_owned()));
    let entry = |record| Entry { time: Timestamp::UNIX_EPOCH, rotation: rotation.clone(), record };
    let mut first = Status::default();
    let enrolled = Record::Enrolled {
        access_key_id: key("AKIAOLD"),
        account_id: "123456789012".to_owned(),
        arn: "arn:aws:iam::123456789012:user/app".to_owned(),
        user: "app".to_owned(),
        created: None,
        origin: Origin::HandedOver,
    };
    first.apply(&entry(enrolled)).unwrap();
    let step = |status: &Status| {
        status.rotation.as_ref().map_or("[*]".to_owned(), |open| open.step.name().to_owned())
    };
    let (mut ways, mut seen, mut left) = (BTreeSet::new(), BTreeSet::new(), vec![first]);
    while let Some(status) = left.pop() {
        for record in records(&status) {
            let mut next = status.clone();
            if next.apply(&entry(record.clone())).is_err() {
                continue;
            }
            let (from, to) = (step(&status), step(&next));
            if from != to || label(&record) == "undo-begun" {
                ways.insert((from, to, label(&record)));
            }
            // What comes after its end is another rotation.
            if next.rotation.is_some() && seen.insert(without_numbers(&next)) {
                left.push(next);
            }
        }
    }
    assert!(seen.len() > 100, "only {}", seen.len());
    ways
}

/// A state as text, whatever its generation is: an undo could go round for ever otherwise.
fn without_numbers(status: &Status) -> String {
    let text = format!("{status:?}");
    let mut parts = text.split("Generation(");
    let mut kept = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        kept.push_str(part.trim_start_matches(|c: char| c.is_ascii_digit()));
    }
    kept
}
