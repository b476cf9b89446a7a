//! ARCHITECTURE.md: its map is true to the tree, and what it says is absent is absent from the sources.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::markdown::root;
use super::nothing_wrong;

/// Where the map's short names are.
const ROOTS: [(&str, &str); 3] = [
    ("core/", "crates/core/src/"),
    ("endpoint/", "crates/endpoint/src/"),
    ("agent/", "crates/agent/src/"),
];

/// Rooms whose files all have a place on the map.
const ROOMS: [&str; 4] =
    ["crates/core/src", "crates/endpoint/src", "crates/endpoint/src/proxy", "crates/agent/src"];

pub fn document() -> String {
    std::fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap()
}

/// What stands between backticks.
pub fn code(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

fn is_path(text: &str) -> bool {
    text.ends_with(".rs") || text.ends_with('/') || text.starts_with(".ci/")
}

/// The rows of the map: the paths of the first column, from the root, and what the second one names.
fn map() -> Vec<(Vec<PathBuf>, Vec<String>)> {
    let document = document();
    let (_, map) = document.split_once("| --- | --- |\n").expect("the map");
    let rows = map.lines().take_while(|line| line.starts_with('|'));
    let row = |line: &str| {
        let mut columns = line.split('|').skip(1);
        let mut places: Vec<PathBuf> = Vec::new();
        for place in code(columns.next().unwrap()) {
            let long = ROOTS.iter().find_map(|(short, long)| {
                place.strip_prefix(short).map(|rest| PathBuf::from(format!("{long}{rest}")))
            });
            // Without a root of its own, it is beside the first of its row.
            let beside = places.first().and_then(|first| first.parent().map(Path::to_owned));
            let is_beside = |folder: &PathBuf| root().join(folder).join(place).exists();
            places.push(match (long, beside.filter(is_beside)) {
                (Some(long), _) => long,
                (None, Some(folder)) => folder.join(place),
                (None, None) => PathBuf::from(place),
            });
        }
        let named = code(columns.next().unwrap()).filter(|text| is_path(text)).map(str::to_owned);
        (places, named.collect())
    };
    rows.map(row).collect()
}

#[test]
fn every_place_of_the_map_is_there() {
    let mut complaints = Vec::new();
    let rows = map();
    assert!(rows.len() > 30, "{} rows", rows.len());
    for (places, named) in &rows {
        for place in places.iter().filter(|place| !place.to_string_lossy().contains('*')) {
            if !root().join(place).exists() {
                complaints.push(format!("{}: there is no such place", place.display()));
            }
        }
        for name in named {
            let is_in = |place: &PathBuf| {
                let place = root().join(place);
                let folders = [place.clone(), place.with_extension(""), place.with_file_name("")];
                folders.iter().any(|folder| folder.join(name).exists())
            };
            if !places.iter().any(is_in) && !root().join(name).exists() {
                complaints.push(format!("{name}: not in {places:?}"));
            }
        }
    }
    nothing_wrong(complaints);
}

#[test]
fn every_room_is_on_the_map() {
    let mut on_it = BTreeSet::new();
    for (places, named) in map() {
        let folder = |place: &PathBuf| [place.clone(), place.with_file_name("")];
        for folder in places.iter().flat_map(folder) {
            on_it.extend(named.iter().map(|name| folder.join(name).with_extension("")));
        }
        on_it.extend(places.iter().map(|place| place.with_extension("")));
    }
    let mut complaints = Vec::new();
    for room in ROOMS {
        for entry in std::fs::read_dir(root().join(room)).unwrap() {
            let name = PathBuf::from(entry.unwrap().file_name()).with_extension("");
            let place = Path::new(room).join(&name);
            let is_known = on_it.iter().any(|known| known.starts_with(&place));
            let is_obvious =
                ["lib", "main", "mod"].iter().any(|obvious| name == Path::new(obvious));
            if !is_known && !is_obvious {
                complaints.push(format!("{}: it is not on the map", place.display()));
            }
        }
    }
    nothing_wrong(complaints);
}

#[test]
fn every_invariant_names_a_test() {
    let document = document();
    let (_, invariants) = document.split_once("## Invariants").expect("they are there");
    let mut sources = Vec::new();
    for folder in ["crates", "tests"] {
        sources.extend(files(&root().join(folder)));
    }
    let sources: String = sources.iter().map(|(_, text)| text.as_str()).collect();
    let is_test = |name: &str| {
        sources.split(&format!("fn {name}(")).next().is_some_and(|before| {
            before.len() < sources.len()
                && before.lines().rev().take(4).any(|line| line.contains("test]"))
        })
    };
    let mut complaints = Vec::new();
    let numbered = |line: &&str| line.starts_with(|c: char| c.is_ascii_digit());
    let mut seen = 0;
    let lines: Vec<&str> = invariants.lines().collect();
    let starts: Vec<usize> =
        (0..lines.len()).filter(|at| numbered(&lines[*at])).chain([lines.len()]).collect();
    for pair in starts.windows(2) {
        let item = lines[pair[0]..pair[1]].join("\n");
        let (_, tests) = item.split_once("Tests: ").unwrap_or((&item, ""));
        seen += 1;
        if code(tests).next().is_none() {
            complaints.push(format!("no test: {}", lines[pair[0]]));
        }
        let wrong = code(tests).filter(|name| !is_test(name));
        complaints.extend(wrong.map(|name| format!("{name}: no test is called so")));
    }
    assert!(seen > 9, "only {seen}");
    nothing_wrong(complaints);
}

/// Sources below a folder, with their paths from the root.
pub fn files(folder: &Path) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("node_modules") && !path.ends_with("target") {
            found.extend(files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            found.push((path.strip_prefix(root()).unwrap().to_owned(), text));
        }
    }
    found
}

/// The sources of a crate that are built into the program, without comments.
fn built(krate: &str) -> Vec<(PathBuf, String)> {
    let is_test = |path: &Path| {
        let names = path.iter().filter_map(|name| name.to_str());
        names.clone().any(|name| name.starts_with("tests") || name == "faults.rs")
    };
    let mut sources = files(&root().join("crates").join(krate).join("src"));
    sources.retain(|(path, _)| !is_test(path));
    for (_, text) in &mut sources {
        let built = text.split("\n#[cfg(test)]\n").next().unwrap_or_default();
        // A file may name its tests at its top, and go on.
        let rest = text.split("\n#[cfg(test)]\n").skip(1).filter(|part| {
            let mut lines = part.lines().skip_while(|line| line.starts_with("#["));
            lines.next().is_some_and(|line| line.ends_with(';'))
        });
        let whole: String = std::iter::once(built).chain(rest).collect();
        let is_code = |line: &&str| !line.trim_start().starts_with("//");
        *text = whole.lines().filter(is_code).collect::<Vec<_>>().join("\n");
    }
    assert!(sources.len() > 10);
    sources
}

/// Where one of these words stands.
fn places_of(krates: &[&str], words: &[&str]) -> BTreeSet<String> {
    let sources = krates.iter().flat_map(|krate| built(krate));
    let has = |text: &str| words.iter().any(|word| text.contains(word));
    sources.filter(|(_, text)| has(text)).map(|(path, _)| path.display().to_string()).collect()
}

#[test]
fn the_core_names_nothing_that_touches_the_world() {
    let words = [
        "std::fs",
        "std::io",
        "std::net",
        "std::env",
        "std::process",
        "std::thread",
        "SystemTime",
        "Instant",
        "::now()",
        "print!",
        "println!",
        "tracing",
        "spawn(",
        "async fn",
    ];
    assert_eq!(places_of(&["core"], &words), BTreeSet::new());
}

#[test]
fn each_part_of_the_world_has_one_module() {
    let all = ["core", "endpoint", "agent"];
    let only = |places: &[&str]| -> BTreeSet<String> {
        places.iter().map(|place| format!("crates/agent/src/{place}")).collect()
    };
    assert_eq!(
        places_of(&all, &["std::fs::", "use std::fs", "use std::{fs"]),
        only(&[
            "proc.rs",
            "store/disk.rs",
            "store/foreign.rs",
            "store/keystore/file.rs",
            "store/keystore/passphrase.rs",
            "store/keystore/private.rs",
        ])
    );
    assert_eq!(places_of(&all, &["\"/proc/"]), only(&["proc.rs"]));
    let clocks = ["Timestamp::now()", "Zoned::now()", "SystemTime::now()"];
    assert_eq!(places_of(&all, &clocks), only(&["clock.rs"]));
    let prints =
        ["print!(", "println!(", "stdout().lock()", "(std::io::stdout()", "&mut std::io::stdout()"];
    let printers = ["command/credential_process.rs", "command/demo.rs", "printer.rs"];
    assert_eq!(places_of(&all, &prints), only(&printers));
}

#[test]
fn answering_touches_nothing_that_can_wait() {
    let on_the_way = [
        "crates/endpoint/src/guard.rs",
        "crates/endpoint/src/route.rs",
        "crates/endpoint/src/imds.rs",
        "crates/endpoint/src/table.rs",
        "crates/endpoint/src/publish.rs",
        "crates/endpoint/src/lease.rs",
        "crates/endpoint/src/answer.rs",
        "crates/endpoint/src/protocol/process.rs",
        "crates/endpoint/src/protocol/http.rs",
        "crates/agent/src/serving/books.rs",
        "crates/agent/src/metrics/counters.rs",
    ];
    let waits = ["Mutex", "RwLock", ".lock()", ".await", "async ", "std::fs", "disk::", "blocking"];
    let found = places_of(&["endpoint", "agent"], &waits);
    for path in on_the_way {
        assert!(root().join(path).exists(), "{path}");
        assert!(!found.contains(path), "{path} waits");
    }
}

/// A private field, and nothing that makes one out of bytes: no other module can make one, and none survives a restart.
#[test]
fn proofs_are_made_where_the_work_was_done_and_never_written() {
    let proofs = [
        ("core", "KeyVerified", "crates/core/src/rotation/verify.rs"),
        ("core", "Drained", "crates/core/src/rotation/drain.rs"),
        ("core", "Soaked", "crates/core/src/rotation/soak.rs"),
        ("endpoint", "Verified", "crates/endpoint/src/proxy/verify.rs"),
    ];
    for (krate, proof, made_in) in proofs {
        let sources = built(krate);
        let (_, text) = sources.iter().find(|(path, _)| path == Path::new(made_in)).expect(made_in);
        let at = text.find(&format!("struct {proof} {{")).expect(proof);
        let (derived, fields) = text.split_at(at);
        let derived = &derived[derived.rfind("#[derive(").expect("derived")..];
        let fields = fields.split('}').next().unwrap();
        let is_made_anywhere =
            ["Serialize", "Deserialize", "Default"].map(|word| derived.contains(word));
        assert_eq!(is_made_anywhere, [false; 3], "{proof}: {derived}");
        let is_private = |line: &str| line.contains(':') && !line.trim_start().starts_with("pub");
        assert!(fields.lines().any(is_private), "{proof} has only public fields");
    }
}
