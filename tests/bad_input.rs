//! Whatever is wrong with what it is given, the real binary says what, says what to do, ends with the right
//! code, and leaves the keys and the journal as they were.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a test"
)]

mod support;

use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::volume::Volume;
use support::{Run, World};

const SIMULATE: &str = "iam:SimulatePrincipalPolicy";

/// Everything that a refused command must leave alone.
#[derive(Debug, PartialEq, Eq)]
struct Scene {
    keys: Vec<(String, String)>,
    journal: Option<Vec<u8>>,
    ledger: Option<Vec<u8>>,
    key_file: Option<Vec<u8>>,
    config: Option<Vec<u8>>,
}

impl Scene {
    fn of(world: &World) -> Self {
        let read = |path: PathBuf| std::fs::read(path).ok();
        Self {
            keys: world.keys(),
            journal: read(world.state().join("journal")),
            ledger: read(world.state().join("ledger.json")),
            key_file: read(world.home.path().join("state/keys")),
            config: read(world.home.path().join("config.toml")),
        }
    }

    fn assert_unchanged(&self, world: &World, run: &Run) {
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
fn assert_told(run: &Run, code: i32, names: &[&str]) {
    assert_eq!(run.code, code, "{run:?}");
    for name in names {
        assert!(run.stderr.contains(name), "{name:?} is not named: {run:?}");
    }
    let hint = run.stderr.lines().find_map(|line| line.strip_prefix("hint: "));
    assert!(hint.is_some_and(|hint| !hint.trim().is_empty()), "no hint: {run:?}");
    assert!(!run.stderr.contains("panicked"), "{run:?}");
}

/// Runs it and expects a refusal that changes nothing.
fn refused(world: &World, args: &[&str], code: i32, names: &[&str]) -> Run {
    let before = Scene::of(world);
    let run = world.rotakey(args);
    assert_told(&run, code, names);
    before.assert_unchanged(world, &run);
    run
}

fn hint(run: &Run) -> &str {
    run.stderr.lines().find_map(|line| line.strip_prefix("hint: ")).unwrap_or_default()
}

fn add(world: &World, id: &str, secret: &str, more: &[&str]) -> Run {
    let mut args = vec!["add", "app", "--access-key-id", id, "--secret-stdin"];
    args.extend(more);
    world.rotakey_with_stdin(&args, secret)
}

/// A refused `add`: no profile, no state, no secret.
fn add_refused(
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

fn assert_nothing_added(world: &World) {
    let config = std::fs::read_to_string(world.home.path().join("config.toml")).unwrap();
    assert!(!config.contains("[profile"), "{config}");
    assert!(!world.state().join("journal").exists(), "a journal was begun");
    if world.home.path().join("state/keys").exists() {
        assert_eq!(support::stored_ids(world), Vec::<String>::new());
    }
}

fn chmod(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// A port that nobody listens on.
fn dead_url() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

fn is_root() -> bool {
    let output = Command::new("id").arg("-u").output().unwrap();
    output.stdout.trim_ascii() == b"0"
}

// What a person types.

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

// What a person wrote into config.toml.

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

// What IAM says.

#[test]
fn two_keys_of_which_none_is_ours() {
    let world = World::added();
    world.control(json!({"op": "delete-key", "access_key_id": world.id}));
    for _ in 0..2 {
        world.control(json!({"op": "create-key", "user": "app"}));
    }
    let before = Scene::of(&world);
    assert_eq!(before.keys.len(), 2);
    let run = world.rotakey(&["rotate"]);
    assert!([3, 4].contains(&run.code), "{run:?}");
    assert_told(&run, run.code, &[]);
    let names = [world.id.as_str(), "InvalidClientTokenId"];
    assert!(names.iter().any(|name| run.stderr.contains(name)), "{run:?}");
    before.assert_unchanged(&world, &run);
}

#[test]
fn the_only_key_is_deleted_or_inactive() {
    let world = World::added();
    world.control(json!({"op": "set-key-status", "access_key_id": world.id, "status": "Inactive"}));
    refused(&world, &["rotate"], 4, &["InvalidClientTokenId"]);
    world.control(json!({"op": "delete-key", "access_key_id": world.id}));
    refused(&world, &["rotate"], 4, &["InvalidClientTokenId"]);
}

/// One action is denied: found out before anything is done, named, nothing changed.
fn denied(action: &str, simulate: bool) {
    let world = World::added();
    let mut actions = vec![action];
    actions.extend((!simulate).then_some(SIMULATE));
    world.control(json!({"op": "deny", "user": "app", "actions": actions}));
    let before = Scene::of(&world);
    let run = world.rotakey(&["rotate"]);
    assert_told(&run, 4, &[action]);
    assert_eq!(world.keys(), before.keys, "{run:?}");
    assert_eq!(world.step(), None, "nothing is left open");
    // Whether a key may be made, only making one tells: that attempt, and its end, are written down.
    if simulate || action != "iam:CreateAccessKey" {
        before.assert_unchanged(&world, &run);
    }
    assert_eq!(world.served_id(), world.id);
    // Allowed again, it works.
    world.control(json!({"op": "deny", "user": "app", "actions": []}));
    world.expect(0, &["rotate", "--wait", "deleted"]);
    world.assert_rotated();
}

macro_rules! denied {
    ($($name:ident: $action:literal, $simulate:literal;)*) => {
        $(#[test]
        fn $name() {
            denied($action, $simulate);
        })*
    };
}

denied! {
    denied_create: "iam:CreateAccessKey", true;
    denied_create_unsimulated: "iam:CreateAccessKey", false;
    denied_list: "iam:ListAccessKeys", true;
    denied_list_unsimulated: "iam:ListAccessKeys", false;
    denied_update: "iam:UpdateAccessKey", true;
    denied_update_unsimulated: "iam:UpdateAccessKey", false;
    denied_delete: "iam:DeleteAccessKey", true;
    denied_delete_unsimulated: "iam:DeleteAccessKey", false;
    denied_last_used: "iam:GetAccessKeyLastUsed", true;
    denied_last_used_unsimulated: "iam:GetAccessKeyLastUsed", false;
}

#[test]
fn denied_tags_do_not_stop_it() {
    for actions in [
        &["iam:ListUserTags"][..],
        &["iam:TagUser"],
        &["iam:UntagUser"],
        &["iam:ListUserTags", "iam:TagUser", "iam:UntagUser", SIMULATE],
    ] {
        let world = World::added();
        world.control(json!({"op": "deny", "user": "app", "actions": actions}));
        let run = world.rotakey(&["rotate", "--wait", "deleted"]);
        assert_eq!(run.code, 0, "{actions:?}: {run:?}");
        world.assert_rotated();
    }
}

fn quarantined(simulate: bool) {
    let world = World::added();
    world.control(json!({"op": "quarantine", "user": "app"}));
    if !simulate {
        world.control(json!({"op": "deny", "user": "app", "actions": [SIMULATE]}));
    }
    let run = refused(&world, &["rotate"], 4, &["quarantined"]);
    assert!(run.stderr.contains("uarantine"), "{run:?}");
    assert!(hint(&run).contains("admin"), "{run:?}");
    assert_eq!(world.step(), None);
}

#[test]
fn a_quarantined_user() {
    quarantined(true);
}

#[test]
fn a_quarantined_user_unsimulated() {
    quarantined(false);
}

#[test]
fn a_clock_that_is_off() {
    let world = World::added();
    for minutes in [20, -20] {
        world.control(json!({"op": "clock-offset", "milliseconds": minutes * 60 * 1000}));
        let run = refused(&world, &["rotate"], 4, &["GetCallerIdentity"]);
        assert!(hint(&run).contains("clock"), "{run:?}");
    }
    let new = World::new();
    new.control(json!({"op": "clock-offset", "milliseconds": 20 * 60 * 1000}));
    let run = add_refused(&new, &new.id, &new.secret, &["--endpoint-url", &new.url], 4, &[]);
    assert!(hint(&run).contains("clock"), "{run:?}");
}

#[test]
fn an_endpoint_that_nobody_listens_at() {
    let world = World::added();
    let dead = dead_url();
    world.configure(&world.quick_profile("").replace(&world.url, &dead));
    let run = refused(&world, &["rotate"], 1, &["GetCallerIdentity"]);
    assert!(hint(&run).contains("endpoint_url"), "{run:?}");
    // Programs are served all the same.
    assert_eq!(world.served_id(), world.id);
    let new = World::new();
    add_refused(&new, &new.id, &new.secret, &["--endpoint-url", &dead], 1, &["GetCallerIdentity"]);
}

// What is wrong on the disk.

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

// A disk of its own. What happens to a rotation under way is in tests/disk.rs.

#[test]
fn a_full_disk() {
    let world = World::new();
    let disk = Volume::over(&world);
    disk.fill();
    let before = Scene::of(&world);
    let run = add(&world, &world.id, &world.secret, &["--endpoint-url", &world.url]);
    assert!([1, 2, 5].contains(&run.code), "{run:?}");
    assert_told(&run, run.code, &[]);
    before.assert_unchanged(&world, &run);
    assert_nothing_added(&world);
    disk.make_room();
    world.add();

    // Before the first rotation and after it: what it has to write differs.
    for _ in 0..2 {
        let served = world.served_id();
        disk.fill();
        let before = Scene::of(&world);
        let run = world.rotakey(&["rotate", "--wait", "deleted"]);
        assert!([1, 5].contains(&run.code), "{run:?}");
        assert_told(&run, run.code, &[world.home.path().to_str().unwrap()]);
        assert_eq!(before.keys, world.keys(), "{run:?}");
        assert_eq!(before.journal, Scene::of(&world).journal, "{run:?}");
        assert_eq!(world.served_id(), served, "programs are served from a full disk");
        disk.make_room();
        world.expect(0, &["rotate", "--wait", "deleted"]);
        world.assert_rotated();
        assert_ne!(world.served_id(), served);
    }
}

#[test]
fn a_read_only_disk() {
    let world = World::new();
    let disk = Volume::over(&world);
    disk.remount("ro");
    let before = Scene::of(&world);
    let run = add(&world, &world.id, &world.secret, &["--endpoint-url", &world.url]);
    assert!([1, 2, 5].contains(&run.code), "{run:?}");
    assert_told(&run, run.code, &[]);
    before.assert_unchanged(&world, &run);
    disk.remount("rw");
    world.add();
    disk.remount("ro");
    let run = world.rotakey(&["rotate"]);
    assert_told(&run, 1, &[world.home.path().to_str().unwrap()]);
    assert_eq!(world.keys(), [(world.id.clone(), "Active".to_owned())]);
    assert_eq!(world.served_id(), world.id, "programs are served from a read-only disk");
    disk.remount("rw");
    world.expect(0, &["rotate", "--wait", "deleted"]);
    world.assert_rotated();
}
