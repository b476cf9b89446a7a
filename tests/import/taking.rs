//! What comes of an import in rotakey itself: the profiles, what status says, rotations, and plaintext that stays.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::stage::{Stage, mode};
use super::support::Run;
use super::support::agent::ANYWHERE;

const TWO: &str = "[a]\naws_access_key_id = <ID1>\naws_secret_access_key = <SECRET1>\n[b]\naws_access_key_id = <ID1>\naws_secret_access_key = <SECRET1>\n";

fn status(stage: &Stage, profile: &str) -> Value {
    let run = stage.expect(0, &["status", profile, "--json"]);
    let status: Value = serde_json::from_str(&run.stdout).unwrap();
    status["profiles"][0].clone()
}

#[test]
fn profiles_of_one_key_are_one_rotation() {
    let config =
        b"[profile b]\nregion = eu-west-1\n[profile a]\nregion = eu-west-2\nendpoint_url = <URL>\n";
    let stage = Stage::new(TWO.as_bytes(), config);
    stage.expect(0, &["import", "--profile", "b"]);
    let config = std::fs::read_to_string(stage.world.home.path().join("config.toml")).unwrap();
    let (a, b) = (config.find("[profile.a]").unwrap(), config.find("[profile.b]").unwrap());
    let table = |at: usize| config[at..].split("\n\n").next().unwrap().to_owned();
    let url = &stage.world.url;
    assert_eq!(
        table(a).trim_end(),
        format!("[profile.a]\nregion = \"eu-west-2\"\nuser = \"app\"\nendpoint_url = \"{url}\"")
    );
    assert_eq!(table(b).trim_end(), "[profile.b]\nregion = \"eu-west-1\"\nsource_profile = \"a\"");
    let quick = "unsafe_durations = true\nlease = \"1s\"\nsoak = \"1s\"\nprobe = { successes = 2, spacing = \"100ms\", deadline = \"8s\" }\nuser = \"app\"\n";
    stage.world.configure(&config[config.find("[profile.").unwrap()..].replacen(
        "user = \"app\"\n",
        quick,
        1,
    ));
    stage.expect(0, &["rotate", "b", "--wait", "deleted"]);
    let who = stage.answers(false, &["a", "b"])["who"].clone();
    assert_ne!(who["a"]["access_key_id"], stage.id("1"));
    assert_eq!(who["a"], who["b"]);
    assert_eq!(who["a"]["arn"], "arn:aws:iam::123456789012:user/app");
}

#[test]
fn a_profile_is_added_to_a_key_that_rotakey_has() {
    let (a, b) = TWO.split_once("[b]").unwrap();
    let stage = Stage::new(a.as_bytes(), b"");
    stage.expect(0, &["import", "--all"]);
    let more = format!("[a]\n[b]{b}");
    std::fs::write(&stage.credentials, stage.filled(more.as_bytes())).unwrap();
    assert!(!status(&stage, "a")["warnings"].to_string().contains("--profile a"));
    let warnings = status(&stage, "a")["warnings"].to_string();
    assert!(warnings.contains("line 3") && warnings.contains("import --profile b"), "{warnings}");
    stage.expect(0, &["import", "--all"]);
    let who = stage.answers(false, &["a", "b"])["who"].clone();
    assert_eq!((&who["b"]["method"], &who["a"]), (&"custom-process".into(), &who["b"]));
}

#[test]
fn what_stays_in_plaintext_is_said_until_it_is_gone() {
    let stage = Stage::new(TWO.as_bytes(), b"");
    let run = stage.expect(0, &["import", "--all", "--keep-plaintext"]);
    assert!(run.stderr.contains("not rotated unattended"), "{run:?}");
    assert_eq!(stage.read(&stage.credentials), stage.filled(TWO.as_bytes()));
    assert_eq!(stage.answers(false, &["a"])["who"]["a"]["method"], "shared-credentials-file");
    let config = stage.read(&stage.config);
    assert!(String::from_utf8_lossy(&config).matches("credential_process").count() == 2);
    let warnings = status(&stage, "a")["warnings"].to_string();
    assert!(warnings.contains("is not rotated unattended until it is gone"), "{warnings}");
    stage.expect(0, &["import", "--all"]);
    assert_eq!(stage.read(&stage.config), config);
    assert_eq!(stage.read(&stage.credentials), b"[a]\n[b]\n");
    assert!(!status(&stage, "a")["warnings"].to_string().contains("unattended"));
}

#[test]
fn a_secret_in_a_comment_is_pointed_out() {
    let text = format!("# note: <SECRET1>\n{TWO}");
    let stage = Stage::new(text.as_bytes(), b"");
    let run = stage.expect(0, &["import", "--all"]);
    assert!(
        run.stderr.contains("warning: line 1 of ") && run.stderr.contains("by hand"),
        "{run:?}"
    );
}

#[test]
fn two_at_once() {
    let text = format!("{TWO}[c]\naws_access_key_id = <ID2>\naws_secret_access_key = <SECRET2>\n");
    let stage = Stage::new(text.as_bytes(), b"");
    let (_, secret) = stage.keys["3"].clone();
    let spawn = |args: &[&str]| {
        let mut command = stage.command(args);
        command.stdin(Stdio::piped()).spawn().unwrap()
    };
    let mut children = vec![
        spawn(&["import", "--profile", "a"]),
        spawn(&["import", "--profile", "c"]),
        spawn(&["add", "d", "--access-key-id", stage.id("3"), "--secret-stdin"]),
    ];
    children[2].stdin.take().unwrap().write_all(secret.as_bytes()).unwrap();
    for child in &mut children {
        assert!(child.wait().unwrap().success());
    }
    assert_eq!(stage.read(&stage.credentials), b"[a]\n[b]\n[c]\n");
    let who = stage.answers(false, &["a", "b", "c"])["who"].clone();
    assert!(["a", "b", "c"].iter().all(|name| who[*name]["method"] == "custom-process"), "{who}");
    let run = stage.expect(0, &["credential-process", "--profile", "d"]);
    assert!(run.stdout.contains(stage.id("3")), "{run:?}");
}

#[test]
fn one_key_is_managed_by_one_profile_however_many_add_it_at_once() {
    let stage = Stage::new(b"", b"");
    let (id, secret) = stage.keys["1"].clone();
    let add = |name: &str| {
        let args = ["add", name, "--access-key-id", &id, "--secret-stdin"];
        let mut command = stage.command(&args);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(secret.as_bytes()).unwrap();
        child
    };
    for child in ["a", "b", "c"].map(add) {
        let run = Run::from(child.wait_with_output().unwrap());
        assert_eq!(run.code, 0, "{run:?}");
    }
    let config = std::fs::read_to_string(stage.world.home.path().join("config.toml")).unwrap();
    assert_eq!(config.matches("source_profile").count(), 2, "{config}");

    // An import that is at work is waited for, and then not run over.
    let lock = stage.world.home.path().join("state/import.lock");
    let lock = std::fs::OpenOptions::new().write(true).open(lock).unwrap();
    lock.lock().unwrap();
    let run = Run::from(add("d").wait_with_output().unwrap());
    assert_eq!(run.code, 3, "{run:?}");
    assert!(run.stderr.contains("is at work") && run.stderr.contains("hint: "), "{run:?}");
}

#[test]
fn a_group_gains_nothing_when_an_access_control_list_goes() {
    let stage = Stage::new(TWO.as_bytes(), b"");
    // acl(5): user::rw-, user:1000:r--, group::---, mask::r--, other::---
    let any = u32::MAX;
    let entries = [(1, 6, any), (2, 4, 1000), (4, 0, any), (16, 4, any), (32, 0, any)];
    let mut list = 2_u32.to_le_bytes().to_vec();
    for (tag, permissions, id) in entries {
        list.extend(u16::to_le_bytes(tag));
        list.extend(u16::to_le_bytes(permissions));
        list.extend(u32::to_le_bytes(id));
    }
    let (name, flags) = ("system.posix_acl_access", rustix::fs::XattrFlags::empty());
    rustix::fs::setxattr(&stage.credentials, name, &list, flags).unwrap();
    // What is new in the folder is to have such a list, too.
    let folder = stage.credentials.parent().unwrap();
    rustix::fs::setxattr(folder, "system.posix_acl_default", &list, flags).unwrap();
    assert_eq!(mode(&stage.credentials), 0o640, "the mask");
    stage.expect(0, &["import", "--all"]);
    assert_eq!(mode(&stage.credentials), 0o600);
    for path in [&stage.credentials, &stage.config] {
        let found = rustix::fs::getxattr(path, name, &mut [0; 1024]);
        assert_eq!(found, Err(rustix::io::Errno::NODATA), "{path:?}");
    }
}

#[test]
fn files_are_found_in_the_home_folder() {
    let stage = Stage::new(TWO.as_bytes(), b"");
    std::fs::rename(stage.credentials.parent().unwrap(), stage.world.home.path().join(".aws"))
        .unwrap();
    let mut command = stage.command(&["import", "--all"]);
    command.env_remove("AWS_SHARED_CREDENTIALS_FILE").env("AWS_CONFIG_FILE", "~/.aws/config");
    let run: Run = command.output().unwrap().into();
    assert_eq!(run.code, 0, "{run:?}");
    let home = stage.world.home.path().join(".aws");
    assert_eq!(std::fs::read(home.join("credentials")).unwrap(), b"[a]\n[b]\n");
    let config = std::fs::read_to_string(home.join("config")).unwrap();
    assert!(config.starts_with("[profile a]\ncredential_process = /"), "{config}");
}

#[test]
fn what_is_removed_again_is_not_asked_for_any_more() {
    let stage = Stage::new(TWO.as_bytes(), b"");
    stage.expect(0, &["import", "--all"]);
    let run = stage.expect(0, &["remove", "b"]);
    assert!(run.stderr.contains("line 5 of ") && run.stderr.contains("take it out"), "{run:?}");
    let run = stage.expect(0, &["remove", "a", "--yes"]);
    assert!(run.stderr.contains("line 2 of "), "{run:?}");
}

/// Types this on a terminal.
fn typed(stage: &Stage, answer: &str) -> Run {
    let mut script = Command::new("script");
    let line = format!("{} import", env!("CARGO_BIN_EXE_rotakey"));
    script.args(["-qec", &line, "/dev/null"]);
    stage.environ(&mut script);
    let mut child = script.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.as_mut().unwrap().write_all(answer.as_bytes()).unwrap();
    child.wait_with_output().unwrap().into()
}

#[test]
fn a_person_is_asked() {
    let text = format!("{TWO}[c]\naws_access_key_id = <ID2>\naws_secret_access_key = <SECRET2>\n");
    let stage = Stage::new(text.as_bytes(), b"[profile sso]\nsso_session = s\n");
    let run = typed(&stage, "\n");
    assert!(run.code == 0 && run.stdout.contains("3  c  AKIA"), "{run:?}");
    assert!(run.stdout.contains("left: sso: sso: it holds no key"), "{run:?}");
    assert_eq!(typed(&stage, "7\n").code, 2);
    assert_eq!(stage.read(&stage.credentials), stage.filled(text.as_bytes()));
    assert_eq!(typed(&stage, "3\n").code, 0);
    assert_eq!(stage.read(&stage.credentials), stage.filled(format!("{TWO}[c]\n").as_bytes()));
    assert_eq!(typed(&stage, "all\n").code, 0);
    assert_eq!(stage.read(&stage.credentials), b"[a]\n[b]\n[c]\n");
}

#[test]
fn an_agent_at_work_serves_what_was_imported() {
    let stage = Stage::new(TWO.as_bytes(), b"[profile a]\nendpoint_url = <URL>\n");
    stage.world.configure(ANYWHERE);
    let agent = stage.world.agent();
    stage.expect(0, &["import", "--all"]);
    let until = Instant::now() + Duration::from_secs(20);
    while !agent.status()["profiles"]["b"].is_object() {
        assert!(Instant::now() < until, "{}", agent.status());
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(stage.answers(false, &["b"])["who"]["b"]["access_key_id"], stage.id("1"));
}
