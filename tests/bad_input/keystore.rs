//! What is wrong with the place where secrets are, or with what opens it.

use std::io::Write;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::scene::{Scene, assert_nothing_added, assert_told, hint, refused};
use super::support::{Run, World};

#[test]
fn a_damaged_key_file() {
    let world = World::added();
    let path = world.home.path().join("state/keys");
    let whole = std::fs::read_to_string(&path).unwrap();
    let mut file: Value = serde_json::from_str(&whole).unwrap();
    file["version"] = json!(2);
    let newer = file.to_string();
    let salt = serde_json::from_str::<Value>(&whole).unwrap()["header"]["salt"]
        .as_str()
        .unwrap()
        .to_owned();
    let other: String = salt.chars().map(|c| if c == '0' { '1' } else { '0' }).collect();
    for (what, text) in [
        ("cut", whole[..whole.len() / 2].to_owned()),
        ("empty", String::new()),
        ("no JSON", "rotakey".to_owned()),
        ("newer", newer),
        ("header", whole.replace(&salt, &other)),
        ("entry", flip_entry(&whole, &world.id)),
    ] {
        std::fs::write(&path, &text).unwrap();
        for verb in ["rotate", "credential-process"] {
            println!("{what} {verb}");
            let run = refused(&world, &[verb], 5, &[path.to_str().unwrap()]);
            assert_eq!(run.stdout, "", "{what}");
        }
    }
    std::fs::write(&path, &whole).unwrap();
    world.expect(0, &["rotate", "--wait", "deleted"]);
    world.assert_rotated();
}

/// Changes one digit of the ciphertext of an entry.
fn flip_entry(text: &str, id: &str) -> String {
    let mut file: Value = serde_json::from_str(text).unwrap();
    let ciphertext = &mut file["entries"][id]["ciphertext"];
    let mut digits = ciphertext.as_str().unwrap().to_owned();
    let last = if digits.ends_with('0') { "1" } else { "0" };
    digits.replace_range(digits.len() - 1.., last);
    *ciphertext = json!(digits);
    file.to_string()
}

#[test]
fn a_wrong_passphrase() {
    let world = World::added();
    world.write("passphrase", "another one");
    for verb in ["rotate", "credential-process"] {
        let run = refused(&world, &[verb], 5, &["passphrase", "state/keys"]);
        assert_eq!(run.stdout, "");
    }
}

/// An SDK waits for a few seconds; whoever is to unlock the keystore may take his time.
#[test]
fn a_passphrase_that_does_not_come() {
    let world = World::added();
    let config = std::fs::read_to_string(world.home.path().join("config.toml")).unwrap();
    let with_file = config.lines().find(|line| line.starts_with("passphrase_file")).unwrap();
    world.write("config.toml", &config.replace(with_file, "passphrase_command = \"sleep 25\""));
    let began = Instant::now();
    let run = refused(&world, &["credential-process"], 5, &["passphrase command", "4 s"]);
    assert_eq!(run.stdout, "");
    assert!(began.elapsed() < Duration::from_secs(20), "{run:?}");
}

#[test]
fn a_keyring_without_a_bus() {
    let store = "[store]\nkind = \"keyring\"\n";
    let without_bus = |world: &World, args: &[&str], stdin: &str| -> Run {
        // Without an address, the folder of the session is looked into: that of this test has no bus.
        let mut child = world
            .command()
            .env_remove("DBUS_SESSION_BUS_ADDRESS")
            .env("XDG_RUNTIME_DIR", world.home.path())
            .env("HOME", world.home.path())
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(stdin.as_bytes()).unwrap();
        child.wait_with_output().unwrap().into()
    };
    let new = World::new();
    new.write("config.toml", store);
    let before = Scene::of(&new);
    let args =
        ["add", "app", "--access-key-id", &new.id, "--secret-stdin", "--endpoint-url", &new.url];
    let run = without_bus(&new, &args, &new.secret);
    assert_told(&run, 5, &["keyring"]);
    assert!(hint(&run).contains("kind = \"file\""), "{run:?}");
    before.assert_unchanged(&new, &run);
    assert_nothing_added(&new);

    let world = World::added();
    world.write("config.toml", &format!("{store}{}", world.quick_profile("")));
    let before = Scene::of(&world);
    for verb in ["rotate", "credential-process"] {
        let run = without_bus(&world, &[verb], "");
        assert_told(&run, 5, &["keyring"]);
        assert_eq!(run.stdout, "", "no fallback to the file");
        before.assert_unchanged(&world, &run);
    }
}
