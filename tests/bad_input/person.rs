//! What a person types, and what he wrote into config.toml.

use super::scene::{Scene, add, add_refused, assert_told, chmod, hint, refused};
use super::support::World;

#[test]
fn a_profile_that_is_not_there() {
    let world = World::added();
    let run = refused(&world, &["rotate", "ap"], 2, &["there is no profile ap"]);
    assert!(hint(&run).starts_with("did you mean app?"), "{run:?}");
    let run = refused(&world, &["keys", "--profile", "production"], 2, &["production"]);
    assert!(hint(&run).starts_with("name the one there is, app;"), "{run:?}");
    refused(&world, &["exec", "--profile", "production", "--", "true"], 2, &["production"]);
    world.expect(0, &["exec", "--profile", "app", "--", "true"]);
    let run = refused(&world, &["keys", "--profile", "app", "--user", "nobody"], 4, &["nobody"]);
    assert_eq!(run.stdout, "", "no heading above an error");
    let bare = World::new();
    let run = bare.expect(0, &["rotate", "--all"]);
    assert!(run.stderr.starts_with("no profiles yet: `rotakey add default`"), "{run:?}");
}

#[test]
fn what_is_not_given_or_not_there() {
    let world = World::new();
    let run = refused(&world, &["add", "app"], 2, &["no access key id"]);
    assert!(hint(&run).contains("--secret-stdin") && !run.stderr.contains("Access key id:"));
    std::fs::remove_file(world.home.path().join("passphrase")).unwrap();
    let run = add(&world, &world.id, &world.secret, &["--endpoint-url", &world.url]);
    assert!(run.code == 5 && hint(&run).contains("passphrase_file"), "{run:?}");
}

#[test]
fn a_program_that_is_not_there() {
    let world = World::added();
    let run = refused(&world, &["exec", "app", "--", "no-such-program"], 1, &["no-such-program"]);
    assert!(hint(&run).contains("PATH"), "{run:?}");
}

/// A reader who went away is no error; a disk that is full is.
#[test]
fn data_that_cannot_be_written() {
    let world = World::added();
    let run = |arguments: &[&str], path: &str| {
        let full = std::fs::OpenOptions::new().write(true).open(path).unwrap();
        let output = world.command().args(arguments).stdout(full).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    for arguments in [&["status", "--json"][..], &["keys"], &["history"], &["man"], &[]] {
        let (code, said) = run(arguments, "/dev/full");
        assert!(code == Some(1) && said.contains("cannot write"), "{arguments:?}: {said}");
        assert_eq!(run(arguments, "/dev/null").0, Some(0), "{arguments:?}");
    }
}

#[test]
fn add_with_a_wrong_secret() {
    let world = World::new();
    let url = ["--endpoint-url", &world.url];
    let wrong = "wrongwrongwrongwrongwrongwrongwrongwrong";
    let run = add_refused(&world, &world.id, wrong, &url, 4, &["SignatureDoesNotMatch"]);
    assert!(hint(&run).contains("secret"), "{run:?}");
    let run =
        add_refused(&world, "AKIAAAAAAAAAAAAAAAAA", wrong, &url, 4, &["InvalidClientTokenId"]);
    assert!(hint(&run).contains("unknown"), "{run:?}");
    add_refused(&world, &world.id, "  \n", &url, 2, &["secret access key", "empty"]);
    add_refused(&world, "not an id", &world.secret, &url, 2, &["access key id"]);
    add_refused(&world, &world.id, &world.secret, &["--endpoint-url", "ftp://x"], 2, &["ftp://x"]);
    let other = ["--endpoint-url", &world.url, "--user", "somebody"];
    add_refused(&world, &world.id, &world.secret, &other, 2, &["somebody", "app"]);
    // None of it stands in the way of the right one.
    world.add();
    assert_eq!(world.served_id(), world.id);
}

#[test]
fn add_of_a_name_that_is_taken() {
    let world = World::added();
    let before = Scene::of(&world);
    let run = add(&world, &world.id, &world.secret, &["--endpoint-url", &world.url]);
    assert_told(&run, 2, &["app"]);
    before.assert_unchanged(&world, &run);
}

#[test]
fn an_unknown_profile() {
    let world = World::added();
    for args in [
        &["rotate", "nobody"][..],
        &["resume", "nobody"],
        &["undo", "nobody"],
        &["abort", "nobody"],
        &["history", "nobody"],
        &["status", "nobody"],
        &["credential-process", "--profile", "nobody"],
        &["remove", "nobody", "--yes"],
    ] {
        let run = refused(&world, args, 2, &["nobody"]);
        assert_eq!(run.stdout, "", "{args:?}");
        assert!(hint(&run).contains("app") || hint(&run).contains("add"), "{args:?}: {run:?}");
    }
    assert!(!world.home.path().join("state/nobody").exists(), "it made a folder");
}

#[test]
fn an_unknown_configuration_key() {
    let world = World::added();
    world.configure(&world.quick_profile("soack = \"1s\"\n"));
    for verb in ["rotate", "credential-process", "status"] {
        let run = refused(&world, &[verb], 2, &["soack", "profile.app", "config.toml"]);
        assert!(hint(&run).contains("`soak`"), "{run:?}");
    }
}

#[test]
fn a_bad_duration_and_one_below_the_floor() {
    let world = World::added();
    world.configure(&world.quick_profile("max_age = \"soon\"\n"));
    refused(&world, &["rotate"], 2, &["max_age", "soon", "config.toml"]);
    world.configure(&world.quick_profile("").replace("unsafe_durations = true\n", ""));
    let run = refused(&world, &["rotate"], 2, &["[profile.app", "less than"]);
    assert!(hint(&run).contains("unsafe_durations"), "{run:?}");
    world.configure("[profile.app\n");
    refused(&world, &["rotate"], 2, &["config.toml"]);
}

#[test]
fn a_configuration_that_others_may_read() {
    let world = World::added();
    let config = world.home.path().join("config.toml");
    for mode in [0o640, 0o644, 0o620] {
        chmod(&config, mode);
        for verb in ["rotate", "credential-process"] {
            let run = refused(&world, &[verb], 2, &["config.toml", &format!("{mode:04o}")]);
            assert!(hint(&run).contains("chmod 600"), "{run:?}");
        }
    }
    chmod(&config, 0o600);
    world.expect(0, &["rotate", "--dry-run"]);
}
