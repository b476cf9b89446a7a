//! `rotakey man`: pages that other programs can read, for every verb.
#![allow(missing_docs, clippy::unwrap_used, clippy::disallowed_methods, reason = "a test")]

mod support;

use std::path::Path;
use std::process::Command;

use support::World;

/// What mandoc says of a page that is worse than style.
fn lint(page: &Path) -> (bool, String) {
    let mut command = Command::new("mandoc");
    let output = command.args(["-T", "lint", "-W", "error"]).arg(page).output();
    let output = output.expect("mandoc: `make deps` installs what the tests need");
    (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn every_verb_has_a_page_that_mandoc_takes() {
    let world = World::new();
    let folder = tempfile::tempdir().unwrap();
    world.expect(0, &["man", "--dir", folder.path().to_str().unwrap()]);
    let mut names: Vec<String> = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    let help = world.expect(0, &["--help"]).stdout;
    let verbs = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let verbs: Vec<&str> = verbs
        .take_while(|line| !line.is_empty())
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|verb| *verb != "help")
        .collect();
    assert!(verbs.contains(&"scan") && verbs.len() > 15, "{verbs:?}");
    for verb in &verbs {
        assert!(names.contains(&format!("rotakey-{verb}.1")), "{verb}: {names:?}");
    }
    assert!(names.contains(&"rotakey-service-install.1".to_owned()), "{names:?}");
    assert!(!names.contains(&"rotakey-simulator.1".to_owned()), "hidden verbs have none");
    for name in &names {
        let (good, said) = lint(&folder.path().join(name));
        assert!(good, "{name}: {said}");
    }
    // It would have said something.
    let broken = folder.path().join("broken.1");
    std::fs::write(&broken, ".TH X 1\n.SH NAME\nx \\- y\n.nosuchmacro\n.so /etc/passwd\n").unwrap();
    assert!(!lint(&broken).0);
}

/// Short enough for a screen of 80 columns, with an example.
#[test]
fn the_help_of_every_verb_fits() {
    let world = World::new();
    let help = |arguments: &[&str]| {
        let output = world.command().args(arguments).env("COLUMNS", "80").output().unwrap();
        assert!(output.status.success(), "{arguments:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        let fits = |line: &str| line.chars().count() <= 80;
        assert!(text.lines().all(fits), "{arguments:?}: {text}");
        text
    };
    let all = help(&["--help"]);
    let verbs = all.lines().skip_while(|line| *line != "Commands:").skip(1);
    let verbs: Vec<&str> = verbs.take_while(|line| !line.is_empty()).collect();
    for verb in &verbs {
        // Each on a line of its own.
        let name = verb.strip_prefix("  ").and_then(|verb| verb.split_whitespace().next()).unwrap();
        assert!(!verb.starts_with("   "), "{verb}");
        if name != "help" {
            let text = help(&[name, "--help"]);
            assert!(text.contains("Example"), "{text}");
            assert!(name == "scan" || text.lines().count() <= 36, "{text}");
        }
    }
    // What each value means is told to who asks for more.
    assert!(!help(&["rotate", "--help"]).contains("Possible values"));
    assert!(help(&["help", "rotate"]).contains("- deactivated: The old key is Inactive"));
}

#[test]
fn a_page_goes_to_standard_output() {
    let world = World::new();
    let page = world.expect(0, &["man"]).stdout;
    assert!(page.contains(".TH rotakey 1") && page.contains("rotakey\\-scan"), "{page}");
    let page = world.expect(0, &["man", "service", "install"]).stdout;
    assert!(page.contains(".TH rotakey-service-install 1"), "{page}");
    assert!(page.contains("rotakey service install \\-\\-print"), "its example: {page}");
    world.expect(2, &["man", "nothing"]);
    let run = world.expect(1, &["man", "--dir", "/nowhere/at/all"]);
    assert!(run.stderr.contains("/nowhere/at/all"), "{run:?}");
}
