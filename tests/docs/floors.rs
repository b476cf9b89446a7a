//! The floors of the agent in ARCHITECTURE.md: who imports whom, looked up in the sources.

use std::collections::BTreeMap;
use std::path::Path;

use super::architecture::{code, document, files};
use super::markdown::root;
use super::nothing_wrong;

const AGENT: &str = "crates/agent/src";

/// Each room with how high it is, the lowest floor being the last row of the table.
fn floors() -> BTreeMap<String, usize> {
    let document = document();
    let (_, table) = document.split_once("| floor | rooms |\n| --- | --- |\n").expect("the floors");
    let rows: Vec<&str> = table.lines().take_while(|line| line.starts_with('|')).collect();
    let rooms = |(height, row)| code(row).map(move |room: &str| (room.to_owned(), height));
    rows.iter().rev().copied().enumerate().flat_map(rooms).collect()
}

/// The room that a file of the agent is in, and how many `super` lead from it to the crate's root.
fn room(path: &Path) -> (String, usize) {
    let inside = path.strip_prefix(AGENT).unwrap().with_extension("");
    let mut parts: Vec<_> = inside.iter().map(|part| part.to_string_lossy().into_owned()).collect();
    if parts.last().is_some_and(|last| last == "mod") {
        parts.pop();
    }
    (parts[0].clone(), parts.len())
}

/// The rooms that a text names by their way from the crate's root, each with its line.
fn named(text: &str, depth: usize) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for way in ["crate::".to_owned(), "super::".repeat(depth)] {
        for (at, _) in text.match_indices(&way) {
            let before = &text[..at];
            // `rotakey_crate::`, or a longer way up.
            if before.ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':') {
                continue;
            }
            let line = 1 + before.matches('\n').count();
            found.extend(heads(&text[at + way.len()..]).into_iter().map(|head| (line, head)));
        }
    }
    found
}

/// What a path begins with: one name, or each of a group in braces.
fn heads(path: &str) -> Vec<String> {
    let name = |text: &str| {
        let text = text.trim_start();
        let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
        text[..end].to_owned()
    };
    let Some(group) = path.strip_prefix('{') else { return vec![name(path)] };
    let (mut names, mut open, mut begins) = (Vec::new(), 0, 0);
    for (at, c) in group.char_indices() {
        match c {
            '{' => open += 1,
            '}' if open > 0 => open -= 1,
            ',' | '}' if open == 0 => {
                names.push(name(&group[begins..at]));
                begins = at + 1;
                if c == '}' {
                    break;
                }
            }
            _ => {}
        }
    }
    names
}

/// Tests are held to it as well: who needs an upper floor to be tested hangs on it.
#[test]
fn no_room_imports_from_a_floor_above_its_own() {
    let floors = floors();
    let (mut complaints, mut seen) = (Vec::new(), 0);
    for (path, text) in files(&root().join(AGENT)) {
        let (from, depth) = room(&path);
        if from == "lib" || from == "main" {
            continue;
        }
        let Some(own) = floors.get(&from) else {
            complaints.push(format!("{}: {from} is on no floor", path.display()));
            continue;
        };
        for (line, to) in named(&text, depth) {
            seen += 1;
            if floors.get(&to).is_some_and(|above| above > own) {
                let path = path.display();
                complaints.push(format!("{path}:{line}: {from} imports {to}, from a floor above"));
            }
        }
    }
    let is_room = |room: &String| {
        let place = root().join(AGENT).join(room);
        place.is_dir() || place.with_extension("rs").is_file()
    };
    let gone = floors.keys().filter(|room| !is_room(room));
    complaints.extend(gone.map(|room| format!("{room}: there is no such room")));
    assert!(seen > 500, "only {seen} imports: they are not found any more");
    nothing_wrong(complaints);
}

/// Nobody would notice a reader that finds nothing.
#[test]
fn an_import_is_found_in_each_of_its_forms() {
    let text = "use crate::cli;\nuse crate::{\n    command::{self, next},\n    app,\n};\nlet a = crate::daemon::run(super::super::cis::DAYS);\npub(crate) fn a() {}\n";
    let found = named(text, 2);
    let expected = [(1, "cli"), (2, "command"), (2, "app"), (2, ""), (6, "daemon"), (6, "cis")];
    assert_eq!(found, expected.map(|(line, name)| (line, name.to_owned())));
    assert_eq!(named("use super::super::cis;", 3), []);
    assert_eq!(room(Path::new("crates/agent/src/store/mod.rs")), ("store".to_owned(), 1));
    assert_eq!(room(Path::new("crates/agent/src/audit/tests.rs")), ("audit".to_owned(), 2));
}
