//! What is wrong in the state folder: the journal, the ledger, and who may touch them.

use std::os::unix::fs::DirBuilderExt;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::scene::{assert_told, chmod, hint, is_root, refused};
use super::support::{Run, World};

#[test]
fn a_journal_that_cannot_be_read_or_written() {
    let world = World::added();
    let journal = world.state().join("journal");
    if !is_root() {
        chmod(&world.state(), 0o500);
        let run = refused(&world, &["rotate"], 1, &["state/app"]);
        assert!(!hint(&run).is_empty(), "{run:?}");
        chmod(&world.state(), 0o700);
    }
    let bytes = std::fs::read(&journal).unwrap();
    std::fs::remove_file(&journal).unwrap();
    std::fs::DirBuilder::new().mode(0o700).create(&journal).unwrap();
    refused(&world, &["rotate"], 1, &[journal.to_str().unwrap()]);
    assert!(std::fs::metadata(&journal).unwrap().is_dir());
    // Serving needs no journal.
    assert_eq!(world.served_id(), world.id);
    std::fs::remove_dir(&journal).unwrap();
    world.write("state/app/journal", std::str::from_utf8(&bytes).unwrap());
    world.expect(0, &["rotate", "--wait", "deleted"]);
    world.assert_rotated();
}

#[test]
fn state_that_others_may_touch() {
    let world = World::added();
    let at = |name: &str| world.home.path().join(name);
    for (name, mode, code, verb) in [
        ("state/app/journal", 0o644, 1, "rotate"),
        ("state/app/ledger.json", 0o644, 1, "credential-process"),
        ("state/app", 0o755, 1, "rotate"),
        ("state/keys", 0o644, 5, "rotate"),
        ("state/keys", 0o640, 5, "credential-process"),
        ("passphrase", 0o644, 5, "rotate"),
    ] {
        let own = std::fs::metadata(at(name)).unwrap().permissions();
        chmod(&at(name), mode);
        println!("{name} {mode:o} {verb}");
        let octal = format!("{mode:o}");
        let run = refused(&world, &[verb], code, &[at(name).to_str().unwrap(), &octal]);
        assert_eq!(run.stdout, "", "{name}");
        std::fs::set_permissions(at(name), own).unwrap();
    }
    world.expect(0, &["rotate", "--wait", "deleted"]);
    world.assert_rotated();
}

#[test]
fn a_ledger_that_others_may_touch() {
    let world = World::added();
    let ledger = world.state().join("ledger.json");
    chmod(&ledger, 0o644);
    refused(&world, &["rotate"], 1, &[ledger.to_str().unwrap(), "0644"]);
    chmod(&ledger, 0o600);
    world.expect(0, &["rotate", "--wait", "deleted"]);
    world.assert_rotated();
}

#[test]
fn a_second_rotakey_says_who_is_at_work() {
    let world = World::added();
    world.configure(&world.quick_profile("").replace("soak = \"1s\"", "soak = \"6s\""));
    let child = world.spawn(&["rotate", "--wait", "deleted"]);
    let pid = child.id();
    let limit = Instant::now() + Duration::from_secs(30);
    while world.step().is_none() {
        assert!(Instant::now() < limit, "it did not begin");
        std::thread::sleep(Duration::from_millis(20));
    }
    let run = world.rotakey(&["resume"]);
    assert_told(&run, 3, &[&format!("pid {pid}")]);
    let first = Run::from(child.wait_with_output().unwrap());
    assert_eq!(first.code, 0, "the first one is not disturbed: {first:?}");
    world.assert_rotated();
}

#[test]
fn a_changed_byte_in_the_middle_of_the_journal() {
    let world = World::added();
    world.expect(0, &["rotate", "--wait", "deleted"]);
    let served = world.served_id();
    let path = world.state().join("journal");
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    let at = middle + bytes[middle..].iter().position(u8::is_ascii_alphanumeric).unwrap();
    bytes[at] ^= 1;
    let line = bytes[..at].iter().filter(|byte| **byte == b'\n').count() + 1;
    assert!(
        line > 2 && line < bytes.iter().filter(|byte| **byte == b'\n').count(),
        "in the middle"
    );
    std::fs::write(&path, &bytes).unwrap();
    for verb in ["rotate", "resume", "undo", "history"] {
        refused(&world, &[verb], 1, &[path.to_str().unwrap(), &format!("line {line} ")]);
    }
    assert_eq!(std::fs::read(&path).unwrap(), bytes);
    // Programs are served all the same.
    assert_eq!(world.served_id(), served);
}

#[test]
fn a_journal_that_was_cut_or_torn() {
    let world = World::added();
    world.expect(0, &["rotate", "--wait", "deleted"]);
    let path = world.state().join("journal");
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() - 5]).unwrap();
    world.expect(0, &["resume", "--wait", "deleted"]);
    world.assert_rotated();
    let mut torn = std::fs::read(&path).unwrap();
    torn.extend_from_slice(b"0123456789abcdef {\"time\":\"20");
    std::fs::write(&path, &torn).unwrap();
    let before = world.served_id();
    world.expect(0, &["rotate", "--wait", "deleted"]);
    world.assert_rotated();
    assert_ne!(world.served_id(), before);
    world.expect(0, &["history"]);
}

#[test]
fn a_journal_of_a_newer_version() {
    let world = World::added();
    let path = world.state().join("journal");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replacen("rotakey-journal 1", "rotakey-journal 2", 1)).unwrap();
    let run = refused(&world, &["rotate"], 1, &[path.to_str().unwrap(), "rotakey-journal 2"]);
    assert!(hint(&run).contains("newer"), "{run:?}");
}

#[test]
fn a_ledger_of_a_newer_version() {
    let world = World::added();
    let path = world.state().join("ledger.json");
    let mut ledger: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    ledger["version"] = json!(2);
    std::fs::write(&path, ledger.to_string()).unwrap();
    for verb in ["credential-process", "rotate"] {
        println!("{verb}");
        let run = refused(&world, &[verb], 1, &[path.to_str().unwrap(), "version 2"]);
        assert_eq!(run.stdout, "");
        assert!(hint(&run).contains("newer"), "{run:?}");
    }
}

#[test]
fn a_damaged_ledger() {
    let world = World::added();
    let path = world.state().join("ledger.json");
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    for verb in ["credential-process", "rotate"] {
        println!("{verb}");
        let run = refused(&world, &[verb], 1, &[path.to_str().unwrap()]);
        assert_eq!(run.stdout, "");
    }
}
