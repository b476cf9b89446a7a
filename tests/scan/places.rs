//! Every place that the help names.

use std::collections::BTreeSet;

use rotakey_agent::command::scan::places::PLACES;

use super::support::World;
use super::{SECRET, files, plant, scan, world};

#[test]
fn a_copy_in_a_file_of_every_kind_is_found_with_its_line() {
    let world = world();
    let home = tempfile::tempdir().unwrap();
    let mut expected = BTreeSet::new();
    for place in PLACES {
        let in_home = place.home.iter().map(|at| match at.strip_suffix('/') {
            Some(folder) => format!("{folder}/deep/down/planted"),
            None => (*at).to_owned(),
        });
        let in_projects =
            place.names.iter().map(|name| format!("work/app/{}", name.replace('*', "x")));
        for at in in_home.chain(in_projects) {
            let path = home.path().join(&at);
            plant(&path, format!("# {at}\nid = {}\nsecret = {SECRET}\n", world.id));
            expected.insert((path.to_str().unwrap().to_owned(), 2, place.kind.to_owned()));
        }
    }
    // What is called otherwise is found by those who name its folder.
    plant(&home.path().join("work/app/notes.txt"), &world.id);

    let (copies, summary, _) = scan(&world, home.path(), &[]);
    let found: BTreeSet<_> = files(&copies).into_iter().collect();
    let missed: Vec<_> = expected.difference(&found).collect();
    let wrong: Vec<_> = found.difference(&expected).collect();
    assert!(missed.is_empty() && wrong.is_empty(), "missed {missed:?}, wrong {wrong:?}");
    assert_eq!(files(&copies).len(), expected.len(), "each is told once");
    assert_eq!(summary["copies"], expected.len());
    assert!(copies.iter().all(|copy| copy["secret_line"] == 3), "{copies:?}");
    assert!(copies.iter().all(|copy| copy["profile"] == "app" && copy["stage"] == "current"));

    let help = world.expect(0, &["scan", "--help"]).stdout;
    for place in PLACES {
        assert!(help.contains(place.kind), "{}", place.kind);
        assert!(place.home.iter().chain(place.names).all(|at| help.contains(at)), "{place:?}");
    }
}

#[test]
fn the_files_that_the_aws_variables_name_are_looked_at() {
    let world = world();
    let home = tempfile::tempdir().unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let path = elsewhere.path().join("keys");
    plant(&path, format!("[x]\r\naws_access_key_id={}\r\n", world.id));
    let mut command = world.command();
    command.env("HOME", home.path()).env("AWS_SHARED_CREDENTIALS_FILE", &path).arg("scan");
    let run = super::Run::from(command.output().unwrap());
    assert_eq!(run.code, 1, "{run:?}");
    assert!(
        run.stdout.starts_with(&format!("{}:2  file  {}", path.display(), world.id)),
        "{run:?}"
    );
}

#[test]
fn nothing_to_find_is_0_and_nothing_to_look_for_is_2() {
    let world = world();
    let home = tempfile::tempdir().unwrap();
    plant(&home.path().join(".aws/credentials"), "aws_access_key_id = AKIASOMEBODYELSESKEY\n");
    let (copies, summary, run) = scan(&world, home.path(), &[]);
    assert_eq!((copies.len(), run.code, &summary["files"]), (0, 0, &1.into()));
    let (copies, ..) = scan(&world, home.path(), &["--access-key-id", "AKIASOMEBODYELSESKEY"]);
    assert_eq!(copies[0]["stage"], "named");

    let empty = World::new();
    assert!(empty.expect(2, &["scan"]).stderr.contains("--access-key-id"));
    let run = world.expect(2, &["scan", "/nowhere/at/all"]);
    assert!(run.stderr.contains("/nowhere/at/all"), "{run:?}");
    assert_eq!(world.rotakey(&["scan", "--access-key-id", "no id"]).code, 2);
}
