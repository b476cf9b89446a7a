//! docs/first-walk.md was captured from the program; here its commands are run again, and must end as it says.

use std::process::Command;

use super::sources::root;
use super::support::World;
use super::support::agent::Agent;

/// The steps of `tests/walk/steps`: an exit code and a command.
fn steps() -> Vec<(i32, String)> {
    let text = std::fs::read_to_string(root().join("tests/walk/steps")).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let step = |line: &str| {
        let mut parts = line.splitn(3, ' ');
        let code = parts.next().unwrap().parse().unwrap();
        (code, parts.nth(1).unwrap().to_owned())
    };
    lines.map(step).collect()
}

#[test]
fn the_first_walk_is_as_the_document_shows_it() {
    let document = std::fs::read_to_string(root().join("docs/first-walk.md")).unwrap();
    let world = World::new();
    world.lighten_keys();
    world.configure("[agent]\nlisten = \"127.0.0.1:0\"\n");
    std::fs::create_dir(world.home.path().join(".aws")).unwrap();
    let (id, secret) = (&world.id, &world.secret);
    let key = format!("[deploy]\naws_access_key_id = {id}\naws_secret_access_key = {secret}\n");
    world.write(".aws/credentials", &key);
    let config = format!("[profile deploy]\nregion = eu-west-1\nendpoint_url = {}\n", world.url);
    world.write(".aws/config", &config);
    let command = || {
        let mut command: Command = world.command();
        command.env("HOME", world.home.path()).env_remove("AWS_PROFILE");
        command
    };
    let mut agent = None;
    let mut rest = document.as_str();
    for (code, line) in steps() {
        // In this order, each with what it said.
        let heading = format!("\n## `{line}`\n\n    ");
        rest = rest.split_once(&heading).unwrap_or_else(|| panic!("make docs-walk: no {line}")).1;
        let shown = rest.split("\n## ").next().unwrap();
        assert_eq!(shown.contains("exit code"), code != 0, "make docs-walk: {line}");
        // Whoever watches goes on until he is stopped.
        let arguments = line.split(' ').skip(1).filter(|argument| *argument != "--watch");
        let output = command().args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{line}: {output:?}");
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8(said).unwrap();
        assert!(!said.contains(secret.as_str()), "{line}");
        if line == "rotakey import --all" {
            let path = world.home.path().join("config.toml");
            let config = std::fs::read_to_string(path).unwrap();
            let quick = "unsafe_durations = true\nlease = \"5m\"\nsoak = \"10m\"\n\
                         probe = { successes = 3, spacing = \"100ms\" }\n";
            world.write("config.toml", &(config + quick));
            agent = Some(Agent::start(&world, command()));
        }
        if line == "rotakey doctor" {
            assert!(said.ends_with("all is well\n") && shown.contains("all is well"), "{said}");
            assert!(shown.starts_with("environment\n"), "{shown}");
        }
    }
    drop(agent);
    assert!(!document.contains(env!("CARGO_MANIFEST_DIR")), "paths of the machine that made it");
}
