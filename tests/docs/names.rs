//! What documents name besides commands of rotakey: targets of make and their variables, tests, files, functions.

use std::collections::BTreeSet;
use std::path::Path;

use super::markdown::{Document, root};

/// Folders of the repository: code in running text that begins so is a path.
const FOLDERS: [&str; 6] = ["crates/", "docs/", "tests/", "fuzz/", ".ci/", "packaging/"];

pub fn missing(documents: &[Document]) -> Vec<String> {
    let known = Known::read();
    let mut complaints = Vec::new();
    for document in documents {
        for (line, text, is_block) in document.code() {
            let text = text.trim().trim_start_matches("$ ");
            let mut wrong = known.make(text);
            wrong.extend(known.cargo(text));
            if !is_block {
                wrong.extend(path(text));
                wrong.extend(known.function(text));
            }
            complaints.extend(wrong.iter().map(|why| format!("{}:{line}: {why}", document.name)));
        }
    }
    complaints
}

struct Known {
    makefile: String,
    targets: BTreeSet<String>,
    tests: BTreeSet<String>,
    sources: String,
}

impl Known {
    fn read() -> Self {
        let read = |name: &str| std::fs::read_to_string(root().join(name)).unwrap();
        let makefile = read("Makefile");
        let target = |line: &str| {
            let (name, _) = line.split_once(':')?;
            let is_name = |c: char| c.is_ascii_lowercase() || c == '-';
            (!name.is_empty() && name.chars().all(is_name)).then(|| name.to_owned())
        };
        let mut tests = BTreeSet::new();
        for manifest in ["crates/agent", "crates/core", "crates/endpoint", "tests/bench"] {
            let manifest = read(&format!("{manifest}/Cargo.toml"));
            let table: toml::Table = toml::from_str(&manifest).unwrap();
            for test in table.get("test").and_then(|tests| tests.as_array()).into_iter().flatten() {
                tests.insert(test["name"].as_str().unwrap().to_owned());
            }
        }
        let mut sources = String::new();
        for folder in ["crates", "tests"] {
            gather(&root().join(folder), &mut sources);
        }
        Self { targets: makefile.lines().filter_map(target).collect(), makefile, tests, sources }
    }

    /// `make TARGET VAR=value`.
    fn make(&self, text: &str) -> Vec<String> {
        let Some(rest) = text.strip_prefix("make ") else { return Vec::new() };
        let rest = rest.split(" #").next().unwrap_or_default();
        let mut wrong = Vec::new();
        for word in shlex::split(rest).unwrap_or_default() {
            let word = word.trim_matches(['[', ']']);
            match word.split_once('=') {
                Some((name, _)) if !self.makefile.contains(&format!("$({name})")) => {
                    wrong.push(format!("{text}: the Makefile has no variable {name}"));
                }
                None if !self.targets.contains(word) => {
                    wrong.push(format!("{text}: the Makefile has no target {word}"));
                }
                _ => {}
            }
        }
        wrong
    }

    /// `cargo test … --test NAME`, also without its beginning; `cargo install --path PATH`.
    fn cargo(&self, text: &str) -> Vec<String> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let values = |flag: &'static str| {
            words.windows(2).filter(move |pair| pair[0] == flag).map(|pair| pair[1])
        };
        let mut wrong = Vec::new();
        if words.first().is_some_and(|word| *word == "cargo" || *word == "--test") {
            for test in values("--test").filter(|test| !self.tests.contains(*test)) {
                wrong.push(format!("{text}: there is no test {test}"));
            }
            for path in values("--path").filter(|path| !root().join(path).exists()) {
                wrong.push(format!("{text}: there is no {path}"));
            }
        }
        wrong
    }

    /// A name such as `an_agent_that_was_away_serves_the_new_key`: some test is called so.
    fn function(&self, text: &str) -> Vec<String> {
        let is_name = text.chars().all(|c| c.is_ascii_lowercase() || c == '_');
        // Members of AWS's files, and metrics, are no functions.
        let is_other = text.starts_with("aws_") || text.starts_with("rotakey_");
        let is_sentence = is_name && !is_other && text.matches('_').count() >= 3;
        match is_sentence && !self.sources.contains(&format!("fn {text}(")) {
            true => vec![format!("{text}: nothing is called so")],
            false => Vec::new(),
        }
    }
}

fn gather(folder: &Path, into: &mut String) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("node_modules") && !path.ends_with("target") {
            gather(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push_str(&std::fs::read_to_string(path).unwrap());
        }
    }
}

/// A path of the repository. `tests/safe` may be a folder, a file, or both.
fn path(text: &str) -> Option<String> {
    let is_path = FOLDERS.iter().any(|folder| text.starts_with(folder));
    let is_whole = !text.contains([' ', '*', '{', '<', '…']);
    // `.ci/run` may be followed by what it is given; `src/x.rs:12` by a line.
    let path = text.split([' ', ':']).next().unwrap_or_default();
    let exists = root().join(path).exists() || root().join(format!("{path}.rs")).exists();
    let is_name_only = ["docs/", "tests/"].contains(&text);
    (is_path && is_whole && !exists && !is_name_only)
        .then(|| format!("{text}: there is no such file"))
}
