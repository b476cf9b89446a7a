//! docs/journal.md: its example is read by the real parser, and its tables have every kind of record and act, with its
//! members, as the saved journals of tests/replay have them.

use std::collections::{BTreeMap, BTreeSet};

use rotakey_core::journal::{Act, Record, Status, decode};
use serde_json::Value;

use super::markdown::{Document, root};

type Table = BTreeMap<String, BTreeSet<String>>;

fn document() -> String {
    std::fs::read_to_string(root().join("docs/journal.md")).unwrap()
}

#[test]
fn the_example_of_a_journal_is_one() {
    let document = Document::named("docs/journal.md");
    let example = document.blocks.iter().find(|block| block.text.starts_with("rotakey-journal"));
    let bytes = example.unwrap().text.as_bytes();
    let (entries, tail) = decode(bytes).unwrap();
    assert_eq!((tail.whole, entries.len() > 10), (bytes.len(), true));
    let status = Status::replay(&entries).unwrap();
    assert!(status.rotation.is_none() && status.generation.0 == 2, "{status:?}");
    // The reader that is written there comes to the same end.
    let changed = example.unwrap().text.replacen("\"forced\"", "\"scheduled\"", 1);
    assert!(decode(changed.as_bytes()).is_err(), "it is chained");
}

#[test]
fn every_kind_of_record_and_act_is_in_the_tables() {
    let (records, acts) = tables();
    let names = |table: &Table| table.keys().cloned().collect::<BTreeSet<_>>();
    assert_eq!(names(&records), variants::<Record>("kind"));
    assert_eq!(names(&acts), variants::<Act>("act"));
    let (mut kinds, mut acted) = (Table::new(), Table::new());
    for entry in saved() {
        let act = entry["act"].as_object();
        if let Some(act) = act {
            let members = act.keys().filter(|name| *name != "act").cloned();
            acted
                .entry(entry["act"]["act"].as_str().unwrap().to_owned())
                .or_default()
                .extend(members);
        }
        let common = ["time", "rotation", "kind"];
        let members =
            entry.as_object().unwrap().keys().filter(|name| !common.contains(&name.as_str()));
        let kind = entry["kind"].as_str().unwrap().to_owned();
        kinds.entry(kind).or_default().extend(members.cloned());
    }
    // Said where it is true, and left out where it is not.
    kinds.entry("undo-begun".to_owned()).or_default().insert("forced".to_owned());
    assert_eq!((records, acts), (kinds, acted));
}

/// The names that serde knows, which it lists when it is given another one.
fn variants<T: serde::de::DeserializeOwned>(tag: &str) -> BTreeSet<String> {
    let wrong = serde_json::json!({ tag: "nonsense" });
    let Err(error) = serde_json::from_value::<T>(wrong) else { panic!("nonsense is taken") };
    let error = error.to_string();
    let names = error.split('`').skip(3).step_by(2);
    names.map(str::to_owned).collect()
}

/// The two tables: a name in the first column, its members as code in the second.
fn tables() -> (Table, Table) {
    let mut found = Vec::new();
    for line in document().lines() {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let code = |cell: &str| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect();
        match cells.as_slice() {
            ["", "kind" | "act", "members", ..] => found.push(Table::new()),
            ["", name, members, _, ""] if name.starts_with('`') && !found.is_empty() => {
                let table = found.last_mut().unwrap();
                table.insert(name.trim_matches('`').to_owned(), code(members));
            }
            _ => {}
        }
    }
    let [records, acts] = <[Table; 2]>::try_from(found).unwrap();
    (records, acts)
}

/// All lines of the saved journals.
fn saved() -> Vec<Value> {
    let mut lines = Vec::new();
    for case in std::fs::read_dir(root().join("tests/replay")).unwrap() {
        let Ok(bytes) = std::fs::read(case.unwrap().path().join("journal")) else { continue };
        let Ok((entries, _)) = decode(&bytes) else { continue };
        lines.extend(entries.iter().map(|entry| serde_json::to_value(entry).unwrap()));
    }
    assert!(lines.len() > 100, "{}", lines.len());
    lines
}
