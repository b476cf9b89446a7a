//! What a refusal is held to: it says what and what to do, and leaves everything as it was.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::support::{Run, World, stored_ids};

/// Everything that a refused command must leave alone.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Scene {
    pub(crate) keys: Vec<(String, String)>,
    pub(crate) journal: Option<Vec<u8>>,
    pub(crate) ledger: Option<Vec<u8>>,
    pub(crate) key_file: Option<Vec<u8>>,
    pub(crate) config: Option<Vec<u8>>,
}

impl Scene {
    pub(crate) fn of(world: &World) -> Self {
        let read = |path: PathBuf| std::fs::read(path).ok();
        Self {
            keys: world.keys(),
            journal: read(world.state().join("journal")),
            ledger: read(world.state().join("ledger.json")),
            key_file: read(world.home.path().join("state/keys")),
            config: read(world.home.path().join("config.toml")),
        }
    }

    pub(crate) fn assert_unchanged(&self, world: &World, run: &Run) {
        let now = Self::of(world);
        let text = |bytes: &Option<Vec<u8>>| {
            bytes.as_ref().map(|bytes| String::from_utf8_lossy(bytes).into_owned())
        };
        assert_eq!(now.keys, self.keys, "the keys changed: {run:?}");
        assert_eq!(text(&now.journal), text(&self.journal), "the journal changed: {run:?}");
        assert_eq!(text(&now.config), text(&self.config), "the configuration changed: {run:?}");
        assert_eq!(text(&now.key_file), text(&self.key_file), "the key file changed: {run:?}");
        assert_eq!(text(&now.ledger), text(&self.ledger), "the ledger changed: {run:?}");
        assert_eq!(now, *self);
    }
}

/// The code, the thing's name, and one line that says what to do.
pub(crate) fn assert_told(run: &Run, code: i32, names: &[&str]) {
    assert_eq!(run.code, code, "{run:?}");
    for name in names {
        assert!(run.stderr.contains(name), "{name:?} is not named: {run:?}");
    }
    let hint = run.stderr.lines().find_map(|line| line.strip_prefix("hint: "));
    assert!(hint.is_some_and(|hint| !hint.trim().is_empty()), "no hint: {run:?}");
    assert!(!run.stderr.contains("panicked"), "{run:?}");
}

/// Runs it and expects a refusal that changes nothing.
pub(crate) fn refused(world: &World, args: &[&str], code: i32, names: &[&str]) -> Run {
    let before = Scene::of(world);
    let run = world.rotakey(args);
    assert_told(&run, code, names);
    before.assert_unchanged(world, &run);
    run
}

pub(crate) fn hint(run: &Run) -> &str {
    run.stderr.lines().find_map(|line| line.strip_prefix("hint: ")).unwrap_or_default()
}

pub(crate) fn add(world: &World, id: &str, secret: &str, more: &[&str]) -> Run {
    let mut args = vec!["add", "app", "--access-key-id", id, "--secret-stdin"];
    args.extend(more);
    world.rotakey_with_stdin(&args, secret)
}

/// A refused `add`: no profile, no state, no secret.
pub(crate) fn add_refused(
    world: &World,
    id: &str,
    secret: &str,
    more: &[&str],
    code: i32,
    names: &[&str],
) -> Run {
    let before = Scene::of(world);
    let run = add(world, id, secret, more);
    assert_told(&run, code, names);
    before.assert_unchanged(world, &run);
    assert_nothing_added(world);
    run
}

pub(crate) fn assert_nothing_added(world: &World) {
    let config = std::fs::read_to_string(world.home.path().join("config.toml")).unwrap();
    assert!(!config.contains("[profile"), "{config}");
    assert!(!world.state().join("journal").exists(), "a journal was begun");
    if world.home.path().join("state/keys").exists() {
        assert_eq!(stored_ids(world), Vec::<String>::new());
    }
}

pub(crate) fn chmod(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// A port that nobody listens on.
pub(crate) fn dead_url() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

pub(crate) fn is_root() -> bool {
    let output = Command::new("id").arg("-u").output().unwrap();
    output.stdout.trim_ascii() == b"0"
}
