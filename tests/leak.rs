//! A secret is nowhere but in the answer of `credential-process`: not in what is printed or logged at the
//! highest level, not in a file, not in the arguments or the environment of a process.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a test"
)]

mod support;

#[path = "leak/agent.rs"]
mod agent;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde_json::json;
use support::secrets::{Needle, base64, find_secret, forms, percent};
use support::{PASSPHRASE, Run, World};

#[test]
fn a_planted_secret_is_found_in_every_form() {
    let secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
    let other = "je7MtGbClwBF/2Zp9Utk/h3yCo8nvbEXAMPLEKEY";
    assert_eq!(base64(b"light w", false), "bGlnaHQgdw");
    assert_eq!(base64(&[0xfb, 0xff], true), "-_8");
    assert_eq!(percent("a/b c", false, true), "a%2Fb%20c");
    for (name, form) in forms(secret) {
        let planted = format!("DEBUG body=<a>{form}</a>\n");
        assert!(find_secret(planted.as_bytes(), secret).is_some(), "{name}: {planted}");
        assert_eq!(find_secret(planted.as_bytes(), other), None, "{name}");
    }
    for before in ["", "x", "xy", "xyz"] {
        for after in ["", "1", "12"] {
            let text = format!("{before}{secret}{after}");
            for url in [false, true] {
                let planted = format!("token: {}=", base64(text.as_bytes(), url));
                assert!(find_secret(planted.as_bytes(), secret).is_some(), "{planted}");
            }
        }
    }
    assert_eq!(find_secret(&secret.as_bytes()[..25], secret), Some("half"));
    assert_eq!(find_secret(b"nothing here", secret), None);
    assert!(find_secret(b"path=a%20test%27s%20passphrase&", PASSPHRASE).is_some());
    assert_eq!(find_secret(b"passphrase_file = \"/x/passphrase\"", PASSPHRASE), None);
}

/// The forms of the log.
const FORMS: [&str; 3] = ["text", "json", "journald"];

/// Everything that was seen, by where.
#[derive(Default)]
struct Seen {
    places: BTreeMap<String, BTreeSet<Vec<u8>>>,
    ids: BTreeSet<String>,
    runs: usize,
    /// Variables that every run has.
    env: Vec<(&'static str, String)>,
}

impl Seen {
    fn note(&mut self, place: impl Into<String>, bytes: Vec<u8>) {
        if !bytes.is_empty() {
            self.places.entry(place.into()).or_default().insert(bytes);
        }
    }

    /// All files of the home folder, as they are now.
    fn files(&mut self, world: &World) {
        for (id, _) in world.keys() {
            self.ids.insert(id);
        }
        let mut folders = vec![world.home.path().to_owned()];
        while let Some(folder) = folders.pop() {
            // While a rotation runs, temporary files come and go.
            let Ok(entries) = std::fs::read_dir(&folder) else { continue };
            for entry in entries.flatten() {
                let path = entry.path();
                if path.is_dir() {
                    folders.push(path);
                } else if let Ok(bytes) = std::fs::read(&path) {
                    let name = path.strip_prefix(world.home.path()).unwrap().display().to_string();
                    self.note(format!("file {name}"), name.clone().into_bytes());
                    self.note(format!("file {name}"), bytes);
                }
            }
        }
    }

    /// The arguments and the environment of a process and those it started.
    fn process(&mut self, pid: u32) {
        let proc = Path::new("/proc").join(pid.to_string());
        for name in ["cmdline", "environ"] {
            self.note(format!("/proc {name}"), std::fs::read(proc.join(name)).unwrap_or_default());
        }
        // One file for each thread, which names the processes that it started.
        for task in std::fs::read_dir(proc.join("task")).into_iter().flatten().flatten() {
            let children =
                std::fs::read_to_string(task.path().join("children")).unwrap_or_default();
            for child in children.split_whitespace().filter_map(|child| child.parse().ok()) {
                self.process(child);
            }
        }
    }

    /// Runs it at the highest level of talk, and watches it.
    fn run(&mut self, world: &World, code: i32, args: &[&str], stdin: &str) -> Run {
        self.runs += 1;
        let mut command = world.command();
        // With the variable, and with the option alone.
        if self.runs % 2 == 1 {
            command.env("ROTAKEY_LOG", "trace");
        }
        // In each form, and with the AWS SDK asked to log the bodies of answers.
        command.env("ROTAKEY_LOG_FORMAT", FORMS[self.runs % FORMS.len()]);
        command.env("LOG_SENSITIVE_BODIES", "true").envs(self.env.iter().cloned());
        let mut child = command
            .arg("-vvv")
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let pid = child.id();
        child.stdin.take().unwrap().write_all(stdin.as_bytes()).unwrap();
        let ends = std::thread::spawn(move || child.wait_with_output().unwrap());
        while !ends.is_finished() {
            self.process(pid);
            self.files(world);
            std::thread::sleep(Duration::from_millis(5));
        }
        let run = Run::from(ends.join().unwrap());
        assert_eq!(run.code, code, "{args:?}: {}", tail(&run.stderr));
        if !matches!(args.first(), Some(&"credential-process" | &"export")) {
            self.note(format!("stdout of {args:?}"), run.stdout.clone().into_bytes());
        }
        self.note(format!("stderr of {args:?}"), run.stderr.clone().into_bytes());
        self.files(world);
        run
    }

    /// Where a text stands, and in which form; with the line.
    fn places_of(&self, secret: &str, but: &str) -> Vec<String> {
        let needle = Needle::new(secret);
        let mut found = Vec::new();
        for (place, contents) in self.places.iter().filter(|(place, _)| *place != but) {
            for bytes in contents {
                let text = String::from_utf8_lossy(bytes);
                if let Some(form) = needle.find(&text) {
                    let line = text.lines().find(|line| needle.find(line).is_some());
                    let line: String = line.unwrap_or_default().chars().take(400).collect();
                    found.push(format!("{place} ({form}): {line}"));
                    break;
                }
            }
        }
        found
    }

    /// None of these secrets, nor the passphrase, was seen anywhere.
    fn assert_clean(&self, secrets: &BTreeSet<String>) {
        let mut leaks = Vec::new();
        for secret in secrets {
            leaks.extend(self.places_of(secret, ""));
        }
        leaks.extend(self.places_of(PASSPHRASE, "file passphrase"));
        assert!(leaks.is_empty(), "{} leaks:\n{}", leaks.len(), leaks.join("\n"));
    }

    /// The secrets of all keys that were seen in IAM or stand in a text.
    fn secrets(&self, world: &World, text: &str) -> BTreeSet<String> {
        let words = text
            .split(|c: char| !c.is_ascii_alphanumeric())
            .filter(|word| word.starts_with("AKIA"));
        let ids: BTreeSet<String> =
            words.map(str::to_owned).chain(self.ids.iter().cloned()).collect();
        let simulator = world.simulator.lock().unwrap();
        ids.iter().filter_map(|id| simulator.secret_of(id)).map(str::to_owned).collect()
    }
}

fn tail(text: &str) -> &str {
    let from = text.len().saturating_sub(2000);
    (from..text.len()).find_map(|at| text.get(at..)).unwrap_or(text)
}

#[test]
fn no_secret_is_anywhere_but_in_the_answer() {
    let mut seen = Seen::default();
    let world = World::new();
    let add = [
        "add",
        "app",
        "--access-key-id",
        &world.id,
        "--secret-stdin",
        "--endpoint-url",
        &world.url,
    ];

    // Mistakes: what was typed in is not repeated.
    let wrong = "Wr0ngSecretThatAPersonTyped/InByMistake+";
    seen.run(&world, 4, &add, wrong);
    seen.run(&world, 0, &add, &world.secret);
    world.configure(&world.quick_profile(""));
    let first = seen.run(&world, 0, &["credential-process"], "");
    assert!(
        find_secret(first.stdout.as_bytes(), &world.secret) == Some("raw"),
        "it serves the secret"
    );
    seen.run(&world, 2, &["undo"], "");

    // A rotation that is refused, one in two parts, and one in one part.
    world.control(json!({"op": "deny", "user": "app", "actions": ["iam:UpdateAccessKey"]}));
    seen.run(&world, 4, &["rotate"], "");
    world.control(json!({"op": "deny", "user": "app", "actions": []}));
    seen.run(&world, 0, &["rotate", "--wait", "published"], "");
    for args in [
        &["status"][..],
        &["status", "--json"],
        &["history"],
        &["history", "--json"],
        &["keys"],
        &["keys", "--all-users", "--json"],
        &["credential-process"],
    ] {
        seen.run(&world, 0, args, "");
    }
    seen.run(&world, 0, &["resume", "--wait", "deleted"], "");
    world.assert_rotated();
    seen.run(&world, 2, &["undo"], "");
    // Once for each form of the log.
    for _ in FORMS {
        seen.run(&world, 0, &["rotate", "--wait", "deleted"], "");
        world.assert_rotated();
    }
    seen.run(&world, 0, &["history", "--receipts"], "");
    seen.run(&world, 0, &["history", "--verify", "--json"], "");
    let history = seen.run(&world, 0, &["history", "--json"], "").stdout;

    let mut secrets = seen.secrets(&world, &history);
    assert!(
        secrets.contains(&world.secret) && secrets.len() >= 3,
        "{} keys were made",
        secrets.len()
    );
    secrets.insert(wrong.to_owned());

    // The watch was a watch.
    let count = |place: &str| seen.places.get(place).map_or(0, BTreeSet::len);
    // How many processes are caught alive is the machine's affair; what each left behind is not.
    assert!(count("/proc cmdline") >= 3, "{}", count("/proc cmdline"));
    let own = |name: &str| std::fs::read(format!("/proc/self/{name}")).is_ok();
    assert!(own("cmdline"));
    println!("{} environments read, {} places", count("/proc environ"), seen.places.len());
    assert!(count("file state/keys") >= 3 && count("file state/app/journal") >= 4);
    let stderr = seen.places.get("stderr of [\"rotate\", \"--wait\", \"deleted\"]").unwrap();
    let traced = |log: &Vec<u8>| {
        let log = String::from_utf8_lossy(log);
        let is_traced = log.contains("TRACE") || log.contains("<7>");
        is_traced && log.contains("CreateAccessKey")
    };
    assert!(stderr.iter().filter(|log| traced(log)).count() >= FORMS.len(), "it logs at trace");
    assert!(count("file state/audit.jsonl") >= 4 && count("file state/app/receipts") == 0);
    assert!(seen.places.keys().any(|place| place.starts_with("file state/app/receipts/")));

    seen.assert_clean(&secrets);
}

#[test]
fn no_secret_is_said_on_the_way_in_and_out_again() {
    let world = World::new();
    // Where the secret stands on purpose, until import takes it out.
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let text = format!(
        "[app]\naws_access_key_id = {}\naws_secret_access_key = {}\n",
        world.id, world.secret
    );
    std::fs::write(path("credentials"), text).unwrap();
    let env = vec![
        ("AWS_SHARED_CREDENTIALS_FILE", path("credentials")),
        ("AWS_CONFIG_FILE", path("config")),
        ("AWS_ENDPOINT_URL", world.url.clone()),
    ];
    let mut seen = Seen { env, ..Seen::default() };
    for args in [
        &["import", "--all", "--dry-run"][..],
        &["import", "--all", "--keep-plaintext"],
        &["status", "--json"],
        &["import", "--all"],
    ] {
        seen.run(&world, 0, args, "");
    }
    for name in ["credentials", "config"] {
        seen.note(format!("what import left of {name}"), std::fs::read(path(name)).unwrap());
    }
    assert!(seen.places.contains_key("what import left of config"));
    seen.run(&world, 2, &["export", "app"], "");
    let out = seen.run(&world, 0, &["export", "app", "--to-stdout"], "");
    assert_eq!(find_secret(out.stdout.as_bytes(), &world.secret), Some("raw"), "it exports it");
    seen.run(&world, 0, &["history", "--json"], "");
    assert!(seen.places.contains_key("file state/audit.jsonl"));
    seen.assert_clean(&BTreeSet::from([world.secret.clone()]));
}

/// An answer of CreateAccessKey that is cut, or does not come, is not shown as a reason.
fn broken_answer(kind: &str) {
    let mut seen = Seen::default();
    let world = World::added();
    world.fault("CreateAccessKey", kind);
    let mut command = world.command();
    command.env("ROTAKEY_LOG", "trace").args(["-vvv", "rotate"]);
    command.env("LOG_SENSITIVE_BODIES", "true");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    let pid = child.id();
    let ends = std::thread::spawn(move || child.wait_with_output().unwrap());
    while !ends.is_finished() {
        seen.process(pid);
        seen.files(&world);
        std::thread::sleep(Duration::from_millis(20));
    }
    // How it ends, tests/faults.rs tells.
    let run = Run::from(ends.join().unwrap());
    assert!(run.stderr.contains("TRACE"), "it logs at trace");
    seen.note("stderr", run.stderr.into_bytes());
    seen.note("stdout", run.stdout.into_bytes());
    let history = seen.run(&world, 0, &["history", "--json"], "").stdout;
    let secrets = seen.secrets(&world, &history);
    assert!(secrets.len() >= 2, "{kind}: {} keys were made", secrets.len());
    seen.assert_clean(&secrets);
}

#[test]
fn no_secret_is_in_what_is_said_about_a_cut_answer() {
    broken_answer("truncated");
}

#[test]
fn no_secret_is_in_what_is_said_about_a_lost_answer() {
    broken_answer("lost");
}

/// Who gives the secret where the id belongs is not answered with it.
#[test]
fn a_secret_given_as_an_id_is_not_repeated() {
    let world = World::new();
    for secret in
        ["wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "wJalrXUtnFEMIxK7MDENGxbPxRfiCYEXAMPLEKEY"]
    {
        let args = [
            "add",
            "app",
            "--secret-stdin",
            "--endpoint-url",
            &world.url,
            "--access-key-id",
            secret,
        ];
        let run = world.rotakey_with_stdin(&args, &world.id);
        assert_ne!(run.code, 0);
        assert_eq!(find_secret(run.stderr.as_bytes(), secret), None, "{}", run.stderr);
        assert_eq!(find_secret(run.stdout.as_bytes(), secret), None);
    }
}
