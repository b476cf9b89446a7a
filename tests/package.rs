//! The Debian package, without building it: what its list names is there, and what belongs into it is on the list.
//! `make deb`, `make deb-walk` and `make reproducible` build it, use it and compare it.
#![allow(missing_docs, clippy::unwrap_used, clippy::disallowed_methods, reason = "a test")]

use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn read(name: &str) -> String {
    std::fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// What is packed: where it lies, seen from the root of the repository, and where it is installed.
fn assets() -> Vec<(String, String)> {
    let manifest: toml::Table = toml::from_str(&read("crates/agent/Cargo.toml")).unwrap();
    let assets = manifest["package"]["metadata"]["deb"]["assets"].as_array().unwrap();
    let text = |asset: &toml::Value, at: usize| asset[at].as_str().unwrap().to_owned();
    let from_root = |path: String| path.strip_prefix("../../").map_or(path.clone(), str::to_owned);
    assets.iter().map(|asset| (from_root(text(asset, 0)), text(asset, 1))).collect()
}

/// The files that a path of the list means; a star stands in its last part alone.
fn files(pattern: &str) -> Vec<String> {
    let (folder, name) = pattern.rsplit_once('/').unwrap_or((".", pattern));
    let Some((before, after)) = name.split_once('*') else {
        return if root().join(pattern).is_file() { vec![pattern.to_owned()] } else { Vec::new() };
    };
    let entries = std::fs::read_dir(root().join(folder)).into_iter().flatten();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let is_meant = |name: &String| name.starts_with(before) && name.ends_with(after);
    names.filter(is_meant).map(|name| format!("{folder}/{name}")).collect()
}

/// cargo-deb would only say so at the end of a release build.
#[test]
fn what_is_packed_is_there_or_made() {
    let script = read(".ci/deb");
    let assets = assets();
    for (from, _) in &assets {
        match from.strip_prefix("target/deb/") {
            // The script makes the folders in one line, and names the files one by one.
            Some(made) => {
                let (folder, file) = made.split_once('/').unwrap();
                let folders =
                    script.lines().find(|line| line.starts_with("mkdir -p \"$out\"/")).unwrap();
                assert!(folders.contains(folder), "{from}: .ci/deb does not make that folder");
                let end = file.trim_start_matches('*');
                let is_shell = ["bash", "zsh", "fish"].contains(&file);
                assert!(
                    end.is_empty() || is_shell || script.contains(end),
                    "{from}: .ci/deb does not make it"
                );
            }
            None if from == "target/release/rotakey" => {}
            None => assert!(!files(from).is_empty(), "{from}: there is no such file"),
        }
    }
    assert!(assets.len() > 10, "{assets:?}");
}

#[test]
fn every_document_is_packed_where_the_others_link_to_it() {
    let packed: Vec<(String, String)> = assets()
        .into_iter()
        .flat_map(|(from, to)| files(&from).into_iter().map(move |file| (file, to.clone())))
        .collect();
    let mut folders = vec!["docs".to_owned()];
    let mut seen = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(root().join(&folder)).unwrap() {
            let entry = entry.unwrap();
            let name = format!("{folder}/{}", entry.file_name().into_string().unwrap());
            if entry.file_type().unwrap().is_dir() {
                folders.push(name);
                continue;
            }
            let to = packed.iter().find(|(file, _)| *file == name).map(|(_, to)| to.as_str());
            assert_eq!(to, Some(format!("usr/share/doc/rotakey/{folder}/").as_str()), "{name}");
            seen += 1;
        }
    }
    assert!(seen > 30, "only {seen}");
}

/// Debian wants one file with both licences; the text must not be another than ours.
#[test]
fn the_copyright_is_that_of_the_repository() {
    let words = |text: &str| {
        text.split_whitespace().filter(|word| *word != ".").collect::<Vec<_>>().join(" ")
    };
    let ours = words(&read("LICENSE-MIT"));
    let (head, terms) = ours.split_once("Permission is hereby granted").unwrap();
    let debian = words(&read("packaging/debian/copyright"));
    assert!(
        debian.contains(&format!("Permission is hereby granted{terms}")),
        "not the terms of LICENSE-MIT"
    );
    let holder = head.split_once("(c) ").unwrap().1.trim();
    assert!(
        debian.contains(&format!("Copyright: {holder}")),
        "not the holder of LICENSE-MIT: {holder}"
    );
    assert!(debian.contains("License: MIT or Apache-2.0"));
}

#[test]
fn every_script_that_make_runs_is_one() {
    let makefile = read("Makefile");
    let words = makefile.split_whitespace().map(|word| word.trim_end_matches(')'));
    let scripts = words.filter(|word| word.starts_with(".ci/"));
    let mut seen = 0;
    for script in scripts {
        let first = read(script).lines().next().unwrap_or_default().to_owned();
        if first.ends_with("bash") {
            let checked = Command::new("bash").arg("-n").arg(root().join(script)).output().unwrap();
            assert!(
                checked.status.success(),
                "{script}: {}",
                String::from_utf8_lossy(&checked.stderr)
            );
        }
        seen += 1;
    }
    assert!(seen > 8, "only {seen}");
}
