//! `rotakey scan`: copies of key ids are found where the help says, and only there; secrets are never printed.
#![allow(missing_docs, clippy::unwrap_used, clippy::disallowed_methods, reason = "a test")]

mod support;

#[path = "scan/places.rs"]
mod places;
#[path = "scan/processes.rs"]
mod processes;
#[path = "scan/stages.rs"]
mod stages;
#[path = "scan/trees.rs"]
mod trees;

use std::path::Path;

use serde_json::{Value, json};
use support::{Run, World, own_seed};

/// What no output may hold.
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";

fn world() -> World {
    let world = World::with(json!({"last_used_granularity": 1000, "seed": own_seed()}));
    world.add();
    world
}

/// Runs `scan --json` with a home folder; answers the copies and the summary.
fn scan(world: &World, home: &Path, args: &[&str]) -> (Vec<Value>, Value, Run) {
    let mut command = world.command();
    command.env("HOME", home).args(["scan", "--json"]).args(args);
    let run = Run::from(command.output().unwrap());
    assert!(run.code == 0 || run.code == 1, "{run:?}");
    assert!(!run.stdout.contains(SECRET) && !run.stderr.contains(SECRET), "{run:?}");
    let mut lines: Vec<Value> =
        run.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let summary = lines.pop().unwrap();
    assert_eq!(summary["type"], "summary");
    assert_eq!(run.code == 1, !lines.is_empty(), "{run:?}");
    (lines, summary, run)
}

/// The copies in files, as (path, line, kind).
fn files(copies: &[Value]) -> Vec<(String, u64, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let in_files = copies.iter().filter(|copy| copy["place"] == "file");
    in_files
        .map(|copy| (text(&copy["path"]), copy["line"].as_u64().unwrap(), text(&copy["kind"])))
        .collect()
}

/// Writes a file, and the folders above it.
fn plant(path: &Path, text: impl AsRef<[u8]>) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}
