//! Receipts and the audit trail, after real rotations; and what tampering leaves behind.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::support::World;

fn rotated() -> World {
    let world = World::added();
    world.expect(0, &["rotate", "--wait", "deleted"]);
    world.assert_rotated();
    world
}

fn receipts(world: &World) -> Vec<PathBuf> {
    let mut paths: Vec<_> = fs::read_dir(world.state().join("receipts"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    paths
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// What `history --verify` finds wrong.
fn wrong(world: &World) -> Vec<String> {
    let run = world.rotakey(&["history", "--verify", "--json"]);
    let lines = run.stdout.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let wrong: Vec<String> = lines
        .flat_map(|line| line["wrong"].as_array().unwrap().clone())
        .map(|why| why.as_str().unwrap().to_owned())
        .collect();
    assert_eq!(run.code, i32::from(!wrong.is_empty()), "{run:?}");
    wrong
}

#[test]
fn a_rotation_leaves_a_receipt_that_an_auditor_can_read() {
    let world = rotated();
    let paths = receipts(&world);
    assert_eq!(paths.len(), 1, "{paths:?}");
    let receipt = json(&paths[0]);
    assert_eq!(receipt["outcome"], "rotated");
    assert_eq!(receipt["before"]["access_key_id"], world.id.as_str());
    assert_eq!(receipt["after"]["access_key_id"], world.served_id().as_str());
    assert_eq!((&receipt["profile"], &receipt["user"]), (&"app".into(), &"app".into()));
    assert!(receipt["install"].as_str().unwrap().starts_with("rotakey:"));
    let acts: Vec<_> = receipt["acts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|act| act["act"].as_str().unwrap())
        .collect();
    assert_eq!(acts, ["create", "publish", "deactivate", "delete", "forget"]);
    for proof in ["accepted", "drained", "refused"] {
        assert!(receipt[proof].is_string(), "{proof}: {receipt}");
    }
    assert_eq!(receipt["noted"]["accepted_in_a_row"], 2);
    assert!(receipt["noted"]["vantages"].as_array().unwrap().len() >= 2);
    // Two keys were Active from the creation until the old one was refused: seconds, here.
    let seconds = receipt["two_active_seconds"].as_i64().unwrap();
    assert!((1..120).contains(&seconds), "{seconds}");
    assert!(receipt["audit"]["n"].as_u64().unwrap() >= 2, "add and rotate are in the trail");

    let text = world.expect(0, &["history", "--receipts"]).stdout;
    for words in [
        "CIS 1.12",
        "CIS 1.13",
        "CIS 1.14",
        "Active for 1 minute",
        "2 times in a row",
        "refused",
        "sha256",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
    let as_json = world.expect(0, &["history", "--receipts", "--json"]).stdout;
    let value: Value = serde_json::from_str(as_json.trim()).unwrap();
    assert_eq!(value["cis"].as_array().unwrap().len(), 3);
    assert_eq!(value["cis"][2]["met"], true);
    assert_eq!(wrong(&world), Vec::<String>::new());
    let text = world.expect(0, &["history", "--verify"]).stdout;
    assert_eq!(text.lines().filter(|line| line.starts_with("ok ")).count(), 3, "{text}");
    // The contract's form of the journal is as before, and its text fits a terminal.
    let text = world.expect(0, &["history"]).stdout;
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
}

#[test]
fn an_undone_and_an_aborted_rotation_have_theirs_and_each_names_the_one_before() {
    let world = rotated();
    world.configure(&world.quick_profile("").replace("soak = \"1s\"", "soak = \"1h\""));
    world.expect(0, &["rotate", "--wait", "deactivated"]);
    world.expect(0, &["undo"]);
    world.configure(&world.quick_profile(""));
    world.expect(1, &["resume", "--wait", "deleted"]);
    let paths = receipts(&world);
    let [first, second] = &paths[..] else { panic!("{paths:?}") };
    let (first, second) = (json(first), json(second));
    assert_eq!((&first["previous"], second["previous"].is_string()), (&Value::Null, true));
    assert_eq!(second["outcome"], "undone");
    assert!(second["why"].is_string());
    assert_eq!(second["before"]["access_key_id"], second["after"]["access_key_id"]);
    assert_eq!(wrong(&world), Vec::<String>::new());
    let text = world.expect(0, &["history", "--receipts"]).stdout;
    assert!(text.contains("undone") && text.contains("not met"), "{text}");
}

/// A crash between the journal's last line and the receipt.
#[test]
fn a_receipt_that_was_not_written_is_written_later() {
    let world = rotated();
    let path = receipts(&world).remove(0);
    let before = json(&path);
    fs::remove_file(&path).unwrap();
    let missing = wrong(&world);
    assert!(missing.iter().any(|why| why.contains("missing")), "{missing:?}");
    world.expect(0, &["history", "--receipts"]);
    let after = json(&receipts(&world)[0]);
    for name in ["rotation", "acts", "two_active_seconds", "lines", "journal_digest", "noted"] {
        assert_eq!(after[name], before[name], "{name}");
    }
}

#[test]
fn whatever_is_tampered_with_is_found_and_named() {
    let world = rotated();
    world.expect(0, &["rotate", "--wait", "deleted"]);
    let files = [world.state().join("journal"), world.home.path().join("state/audit.jsonl")];
    let mut cases: Vec<(PathBuf, String, String)> = Vec::new();
    for path in files {
        let text = fs::read_to_string(&path).unwrap();
        let lines: Vec<&str> = text.split_inclusive('\n').collect();
        let last = lines.len() - 1;
        let without = |at: usize| {
            lines
                .iter()
                .enumerate()
                .filter(|(n, _)| *n != at)
                .map(|(_, line)| *line)
                .collect::<String>()
        };
        cases.push((path.clone(), text.replacen("app", "apq", 1), "line".to_owned()));
        cases.push((path.clone(), without(2), "line".to_owned()));
        // Whole lines from the end: the chain of the file itself does not show it.
        cases.push((path.clone(), lines[..last].concat(), "line".to_owned()));
        cases.push((path.clone(), lines[..last - 2].concat(), "line".to_owned()));
    }
    let paths = receipts(&world);
    for path in &paths {
        let text = fs::read_to_string(path).unwrap();
        let seconds = json(path)["two_active_seconds"].to_string();
        let shorter = text
            .replace(&format!("\"two_active_seconds\": {seconds}"), "\"two_active_seconds\": 0");
        cases.push((path.clone(), shorter, path.file_name().unwrap().to_str().unwrap().to_owned()));
        cases.push((
            path.clone(),
            String::new(),
            path.file_name().unwrap().to_str().unwrap().to_owned(),
        ));
    }
    for (path, tampered, named) in cases {
        let whole = fs::read_to_string(&path).unwrap();
        assert_ne!(whole, tampered, "{}", path.display());
        fs::write(&path, &tampered).unwrap();
        let found = wrong(&world);
        assert!(
            found.iter().any(|why| why.contains(&named)),
            "{} {named}: {found:?}",
            path.display()
        );
        fs::write(&path, &whole).unwrap();
    }
    for path in &paths {
        let away = world.home.path().join("away");
        fs::rename(path, &away).unwrap();
        assert!(wrong(&world).iter().any(|why| why.contains("missing")));
        fs::rename(&away, path).unwrap();
    }
    assert_eq!(wrong(&world), Vec::<String>::new());
}

#[test]
fn what_a_person_did_is_in_the_trail_with_his_program() {
    let world = World::added();
    world.expect(0, &["rotate"]);
    world.expect(0, &["undo"]);
    world.expect(0, &["revoke"]);
    let text = fs::read_to_string(world.home.path().join("state/audit.jsonl")).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let acts: Vec<_> = lines.iter().map(|line| line["act"].as_str().unwrap()).collect();
    assert_eq!(acts, ["add", "rotate", "undo", "revoke"]);
    assert_eq!(lines[0]["access_key_id"], world.id.as_str());
    for line in &lines {
        assert!(line["by"]["exe"].as_str().unwrap().ends_with("rotakey"), "{line}");
        assert!(line["by"]["parent_exe"].as_str().unwrap().contains("seen"), "{line}");
    }
    // A profile that is removed, and comes again, has a record of its own.
    let world = rotated();
    std::thread::sleep(std::time::Duration::from_secs(2));
    world.expect(0, &["remove", "app", "--yes"]);
    assert_eq!(wrong(&world), Vec::<String>::new());
}

/// Takes the last line of the audit trail away, as if it had never been written.
fn without_last_audit_line(world: &World) -> String {
    let path = world.home.path().join("state/audit.jsonl");
    let text = fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let (last, before) = lines.split_last().unwrap();
    fs::write(&path, before.concat()).unwrap();
    let end: Value = serde_json::from_str(before.last().unwrap()).unwrap();
    let head = serde_json::json!({"n": end["n"], "chain": end["chain"]});
    fs::write(world.home.path().join("state/audit.head"), format!("{head}\n")).unwrap();
    (*last).to_owned()
}

#[test]
fn a_crash_around_a_receipt_is_a_remark_and_is_made_up_for() {
    let world = rotated();
    // Between the file and its line in the trail.
    let line = without_last_audit_line(&world);
    assert!(line.contains("\"act\":\"receipt\""), "{line}");
    assert_eq!(wrong(&world), Vec::<String>::new());
    let run = world.expect(0, &["history", "--verify"]);
    assert!(run.stderr.contains("does not name it"), "{run:?}");
    world.expect(0, &["history", "--receipts"]);
    let trail = fs::read_to_string(world.home.path().join("state/audit.jsonl")).unwrap();
    assert_eq!(trail.matches("\"act\":\"receipt\"").count(), 1, "{trail}");
    assert!(!world.expect(0, &["history", "--verify"]).stderr.contains("does not name it"));
    // Between the journal's last line and the file.
    without_last_audit_line(&world);
    fs::remove_file(&receipts(&world)[0]).unwrap();
    assert_eq!(wrong(&world), Vec::<String>::new());
    let run = world.expect(0, &["history", "--verify"]);
    assert!(run.stderr.contains("is missing"), "{run:?}");
    // One that is not the last one did not go missing by a crash.
    world.expect(0, &["rotate", "--wait", "deleted"]);
    fs::remove_file(&receipts(&world)[0]).unwrap();
    assert!(wrong(&world).iter().any(|why| why.contains("is missing")));
}
