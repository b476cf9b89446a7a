//! What import does not do: nothing is changed, and it says why and what to do.

use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Command, Stdio};

use super::stage::{Stage, chmod};
use super::support::Run;

const KEY1: &str = "[x]\naws_access_key_id = <ID1>\naws_secret_access_key = <SECRET1>\n";

fn stage() -> Stage {
    Stage::new(KEY1.as_bytes(), b"[profile x]\nregion = eu-west-1\n")
}

/// It ends with this code, says this, gives a hint, and everything is as it was.
#[track_caller]
fn refuses(stage: &Stage, code: i32, args: &[&str], says: &str) {
    let files = || [stage.read(&stage.credentials), stage.read(&stage.config)];
    let before = files();
    let run = stage.expect(code, args);
    assert!(run.stderr.contains(says), "{says:?} is not in {run:?}");
    assert!(run.stderr.contains("hint: "), "{run:?}");
    assert!(before == files(), "{run:?}");
    assert_eq!(stage.leftovers().len(), 0);
    assert!(!run.stderr.contains(stage.secret("1")), "{run:?}");
}

/// And nothing was begun.
#[track_caller]
fn refuses_first(stage: &Stage, code: i32, args: &[&str], says: &str) {
    refuses(stage, code, args, says);
    assert!(!stage.world.home.path().join("state/x").exists(), "a key was enrolled");
}

#[test]
fn without_a_terminal_it_wants_names() {
    let stage = stage();
    refuses_first(&stage, 2, &["import"], "say which profiles");
    refuses_first(&stage, 2, &["import"], "these can be taken: x");
    refuses_first(&stage, 2, &["import", "--profile", "y"], "there is no profile y");
    let more = "[profile sso]\nsso_session = s\n";
    std::fs::write(&stage.config, more).unwrap();
    refuses_first(
        &stage,
        2,
        &["import", "--profile", "x", "--profile", "sso"],
        "sso: it holds no key",
    );
    stage.expect(2, &["import", "--all", "--profile", "x"]);
}

#[test]
fn files_and_folders_that_must_not_be_changed() {
    let all = &["import", "--all"];
    let stage = stage();
    chmod(&stage.credentials, 0o400);
    refuses_first(&stage, 1, all, "it is read-only (mode 0400)");
    chmod(&stage.credentials, 0o600);
    chmod(&stage.config, 0o400);
    refuses_first(&stage, 1, all, "it is read-only");
    chmod(&stage.config, 0o600);
    let folder = stage.config.parent().unwrap();
    chmod(folder, 0o500);
    refuses_first(&stage, 1, all, "its folder is read-only");
    chmod(folder, 0o700);
    let other = stage.world.home.path().join("other");
    std::fs::hard_link(&stage.credentials, &other).unwrap();
    refuses_first(&stage, 1, all, "hard link");
    std::fs::remove_file(other).unwrap();
    std::os::unix::fs::chown(&stage.credentials, Some(65534), None).unwrap();
    refuses_first(&stage, 1, all, "it belongs to user id 65534");
    std::os::unix::fs::chown(&stage.credentials, Some(0), None).unwrap();
    // A config file that is a link to nowhere, a folder, or the other file.
    std::fs::remove_file(&stage.config).unwrap();
    std::os::unix::fs::symlink("nowhere", &stage.config).unwrap();
    refuses_first(&stage, 1, all, "leads nowhere");
    std::fs::remove_file(&stage.config).unwrap();
    std::fs::create_dir(&stage.config).unwrap();
    refuses_first(&stage, 1, all, "it is not a file");
    std::fs::remove_dir(&stage.config).unwrap();
    std::os::unix::fs::symlink("credentials", &stage.config).unwrap();
    refuses_first(&stage, 2, all, "both files at once");
}

#[test]
fn pipes_in_place_of_the_files_are_not_waited_at() {
    let stage = stage();
    let pipe = stage.world.home.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let plain = stage.command(&[]);
    let rotakey = |args: &[&str], variable: &str| {
        let mut command = Command::new("timeout");
        command.arg("30").arg(plain.get_program()).args(args).env_clear();
        command.envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
        Run::from(command.env(variable, &pipe).stdin(Stdio::null()).output().unwrap())
    };
    for variable in ["AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"] {
        let run = rotakey(&["import", "--all"], variable);
        assert_eq!(run.code, 1, "{run:?}");
        let says = format!("cannot read {}: it is not a file", pipe.display());
        assert!(run.stderr.contains(&says), "{run:?}");
    }
    stage.expect(0, &["import", "--all"]);
    for args in [&["status", "x"][..], &["next"], &["doctor", "x"]] {
        let run = rotakey(args, "AWS_SHARED_CREDENTIALS_FILE");
        assert!((0..=5).contains(&run.code), "it waits: {run:?}");
    }
}

#[test]
fn a_group_that_could_not_be_kept() {
    // As an ordinary user: root may give files to any group.
    const UID: u32 = 61_235;
    let stage = stage();
    let home = stage.world.home.path();
    let program = home.join("rotakey");
    std::fs::copy(env!("CARGO_BIN_EXE_rotakey"), &program).unwrap();
    let paths = Command::new("chown").args(["-R", &format!("{UID}:{UID}")]).arg(home).status();
    assert!(paths.unwrap().success());
    let plain = stage.command(&[]);
    let import = |groups: &str| {
        let mut command = Command::new("setpriv");
        let id = UID.to_string();
        command.args(["--reuid", &id, "--regid", &id, groups]).arg(&program).env_clear();
        command.envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
        Run::from(command.args(["import", "--all"]).stdin(Stdio::null()).output().unwrap())
    };
    let give = |group| std::os::unix::fs::chown(&stage.credentials, None, Some(group)).unwrap();
    give(UID + 1);
    chmod(&stage.credentials, 0o640);
    let run = import("--clear-groups");
    assert_eq!(run.code, 1, "{run:?}");
    assert!(run.stderr.contains("belongs to group id 61236, which you are not in"), "{run:?}");
    assert!(run.stderr.contains(&format!("hint: chgrp {UID} ")), "{run:?}");
    assert!(!home.join("state/x").exists(), "a key was enrolled");
    let run = import(&format!("--groups={}", UID + 1));
    assert_eq!(run.code, 0, "{run:?}");
    let about = std::fs::metadata(&stage.credentials).unwrap();
    assert_eq!((about.gid(), about.mode() & 0o777), (UID + 1, 0o640));
}

#[test]
fn an_option_is_no_profile() {
    let text = KEY1.replace("[x]", "[-prod]");
    let stage = Stage::new(text.as_bytes(), b"");
    let says = "\"-prod\" cannot be the name of a profile";
    refuses_first(&stage, 2, &["import", "--profile=-prod"], says);
    let run = stage.expect(0, &["import", "--all"]);
    assert!(run.stderr.contains(says) && run.stderr.contains("or a hyphen"), "{run:?}");
    assert_eq!(stage.read(&stage.credentials), stage.filled(text.as_bytes()));
}

#[test]
fn a_state_with_another_key_leaves_nothing_in_the_keystore() {
    let stage = stage();
    stage.expect(0, &["import", "--all"]);
    // Somebody lost config.toml, and begins anew with another key.
    stage.world.configure("");
    let keys = stage.world.home.path().join("state/keys");
    let before = stage.read(&keys);
    assert!(!before.is_empty());
    let args = ["add", "x", "--access-key-id", stage.id("2"), "--secret-stdin"];
    let mut command = stage.command(&args);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(stage.secret("2").as_bytes()).unwrap();
    let run = Run::from(child.wait_with_output().unwrap());
    assert_eq!(run.code, 2, "{run:?}");
    assert!(run.stderr.contains("the state of x holds another key"), "{run:?}");
    assert!(before == stage.read(&keys), "the keystore was written");
}

#[test]
fn a_key_that_aws_does_not_accept_is_not_taken_and_others_are() {
    let text = "[old]\naws_access_key_id = <OLDID>\naws_secret_access_key = <OLDSECRET>\n";
    let stage = Stage::new(format!("{text}{KEY1}").as_bytes(), b"");
    refuses(&stage, 4, &["import", "--profile", "old"], "old is not taken: AWS refused");
    assert!(!stage.world.home.path().join("state/old").exists());
    let run = stage.expect(4, &["import", "--all"]);
    assert!(run.stderr.contains("x: ") && run.stderr.contains("the rest was taken"), "{run:?}");
    assert_eq!(stage.read(&stage.credentials), stage.filled(format!("{text}[x]\n").as_bytes()));
    assert_eq!(stage.answers(false, &["x"])["who"]["x"]["method"], "custom-process");
}

#[test]
fn a_wrong_secret_and_an_unreachable_aws() {
    let stage = Stage::new(KEY1.replace("<SECRET1>", "<SECRET2>").as_bytes(), b"");
    refuses(&stage, 4, &["import", "--all"], "is not taken: AWS refused");
    let stage = self::stage();
    let mut command = stage.command(&["import", "--all"]);
    command.env("AWS_ENDPOINT_URL", "http://127.0.0.1:1");
    let run: super::support::Run = command.output().unwrap().into();
    assert_eq!(run.code, 1, "{run:?}");
    assert_eq!(stage.read(&stage.credentials), stage.filled(KEY1.as_bytes()));
}

#[test]
fn another_installation_on_the_user() {
    let stage = stage();
    let home = stage.world.home.path().join("elsewhere");
    std::fs::create_dir(&home).unwrap();
    chmod(&home, 0o700);
    let config = stage.world.home.path().join("config.toml");
    std::fs::copy(config, home.join("config.toml")).unwrap();
    let args = ["add", "y", "--access-key-id", stage.id("1"), "--secret-stdin"];
    let mut command = stage.command(&args);
    let mut child = command.env("ROTAKEY_HOME", &home).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(stage.secret("1").as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
    refuses(&stage, 3, &["import", "--all"], "another installation rotates the user app");
}

#[test]
fn a_name_that_rotakey_has_for_another_key() {
    let stage = stage();
    let (id, secret) = stage.keys["2"].clone();
    let mut command = stage.command(&["add", "x", "--access-key-id", &id, "--secret-stdin"]);
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(secret.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
    refuses(&stage, 2, &["import", "--all"], "rotakey has a profile x with another key");
}

#[test]
fn a_keystore_that_cannot_be_used() {
    let stage = stage();
    stage.world.write("passphrase", "wrong");
    refuses(&stage, 5, &["import", "--all"], "wrong passphrase");
}

#[test]
fn lines_that_hang_together_are_not_torn_apart() {
    // For configparser the region is a part of the secret.
    let text = format!("{KEY1}  region = eu-west-1\n");
    let stage = Stage::new(text.as_bytes(), b"");
    refuses_first(&stage, 2, &["import", "--profile", "x"], "several lines");
}

#[test]
fn a_dry_run_changes_nothing_and_shows_no_secret() {
    let text = KEY1.replace("<SECRET1>\n", "<SECRET1> # old one: <OLDSECRET>\n");
    let stage = Stage::new(text.as_bytes(), b"[profile x]\nregion = eu-west-1\n");
    let before: Vec<_> = tree(stage.world.home.path());
    let run = stage.expect(0, &["import", "--all", "--dry-run"]);
    for part in [
        "    2 - aws_access_key_id = ",
        "    3 - aws_secret_access_key = (redacted)",
        "    2 + credential_process = ",
        "region eu-west-1",
        stage.id("1"),
    ] {
        assert!(run.stdout.contains(part), "{part:?} is not in {run:?}");
    }
    let old = String::from_utf8(stage.filled(b"<OLDSECRET>")).unwrap();
    for secret in [stage.secret("1"), &old] {
        assert!(!run.stdout.contains(secret) && !run.stderr.contains(secret), "{run:?}");
    }
    assert_eq!(before, tree(stage.world.home.path()));
}

/// Every file below a folder, with what it holds.
fn tree(folder: &Path) -> Vec<(std::path::PathBuf, Vec<u8>)> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() {
            files.extend(tree(&entry));
        } else {
            files.push((entry.clone(), std::fs::read(entry).unwrap()));
        }
    }
    files.sort();
    files
}
