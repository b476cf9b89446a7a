//! `status`, as a tired person sees it: on a terminal, in a pipe, and while things change.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use jiff::{Timestamp, ToSpan};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use super::support::World;
use super::support::agent::ANYWHERE;

const HOUR: &str = "lease = \"1h\"";

/// A world whose rotations wait: an hour for leases, a week for the soak.
fn patient() -> World {
    let world = World::added();
    let profile = world.quick_profile("").replace("lease = \"1s\"", HOUR);
    world.configure(&profile.replace("soak = \"1s\"", "soak = \"7d\""));
    world
}

/// As it is said, without the line breaks.
fn flat(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn text(world: &World, variables: &[(&str, &str)]) -> String {
    let mut command = world.command();
    command.envs(variables.iter().copied()).args(["status", "app"]);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_drain_says_until_when_and_why() {
    let world = patient();
    let fine = text(&world, &[]);
    assert!(fine.contains("app  ok\n") && fine.contains("0 days old, of 90 (CIS)"), "{fine}");
    assert!(fine.contains("[--------------]"), "{fine}");
    assert!(fine.contains("no agent runs that would do it"), "{fine}");
    world.served();
    world.expect(0, &["rotate"]);
    let status = world.status();
    assert_eq!(status["headline"], "rotating");
    let rotation = &status["rotation"];
    let at = |value: &Value| value.as_str().unwrap().parse::<Timestamp>().unwrap();
    // S and C after the last promise: section 4 of the rule, not what `status` makes of it.
    let promised = at(&status["leases"]["horizon"][&world.id]);
    let until = at(&rotation["waiting_until"]);
    let expected = promised + 15.minutes() + 1.second();
    assert!((until - expected).get_seconds().abs() <= 1, "{until} {expected}");
    assert!(rotation["until_what"].as_str().unwrap().contains("the last lease"), "{rotation}");
    assert!(
        rotation["waiting_for"].as_str().unwrap().ends_with("the leases on the old key to end")
    );
    let text = flat(&text(&world, &[]));
    for words in [
        "app rotating user",
        "step drain since",
        "until ",
        "when the last lease (",
        " min)",
        "goes on with `rotakey resume app`: no agent runs",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
}

#[test]
fn it_fits_the_terminal_and_has_no_colour_where_none_is_wanted() {
    let world = patient();
    world.expect(0, &["rotate"]);
    for columns in ["80", "60", "40", "30"] {
        let width = columns.parse().unwrap();
        for line in text(&world, &[("COLUMNS", columns)]).lines() {
            // A word that is longer than the line, an ARN say, is not cut.
            let is_one_word = line.split_whitespace().count() <= 2;
            assert!(line.chars().count() <= width || is_one_word, "{columns}: {line}");
            assert!(line.is_ascii() && !line.contains('\x1b'), "{line}");
        }
    }
    let bar = |shown: &str| shown.contains('[') && shown.contains("-]");
    assert!(bar(&text(&world, &[("COLUMNS", "80")])) && !bar(&text(&world, &[("COLUMNS", "40")])));
}

#[test]
fn each_state_has_its_word() {
    let world = patient();
    world.configure(&world.quick_profile("").replace("soak = \"1s\"", "soak = \"7d\""));
    world.expect(0, &["rotate", "--wait", "deactivated"]);
    let soaking = flat(&text(&world, &[]));
    assert!(
        soaking.contains("rotating (soak)") && soaking.contains("`undo` brings it back"),
        "{soaking}"
    );
    assert!(
        soaking.contains("Inactive, deleted after") && soaking.contains("(in 7 days)"),
        "{soaking}"
    );

    let rotation = world.status()["rotation"]["id"].as_str().unwrap().to_owned();
    let told = |kind: &str, rotation: &str| {
        let event = json!({"version": 1, "time": Timestamp::now(), "profile": "app", "kind": kind, "rotation": rotation,
            "access_key_id": world.id, "message": "used from outside", "hint": "find that program"});
        world.write("state/news.jsonl", &format!("{event}\n"));
    };
    told("held", &rotation);
    let held = flat(&text(&world, &[]));
    assert!(held.contains("app HELD") && held.contains("find that program"), "{held}");
    assert_eq!(world.status()["headline"], "held");
    // News of another rotation are news, and no more.
    told("held", "0123456789abcdef");
    assert_eq!(world.status()["headline"], "rotating");
    told("quarantine", &rotation);
    assert_eq!(world.status()["headline"], "incident");

    // A key from long ago.
    let world = World::new();
    world.add_aged("old", 100);
    let shown = world.expect(0, &["status", "old"]).stdout;
    assert!(shown.contains("old  TOO OLD") && shown.contains("[##############]!"), "{shown}");
    assert!(shown.contains("100 days old, past 90 (CIS)"), "{shown}");
}

/// A process on a terminal of its own, killed by its pid at the end.
struct Terminal(Child);

impl Terminal {
    fn run(world: &World, variables: &[(&str, &str)], args: &str) -> Self {
        let plain = world.command();
        let program = plain.get_program().to_str().unwrap();
        let line = format!("stty cols 70 rows 40; echo $$ > pid; exec {program} {args}");
        let mut command = Command::new("script");
        command.args(["-qefc", &line, "/dev/null"]).env_clear().current_dir(world.home.path());
        for (name, value) in plain.get_envs() {
            command.env(name, value.unwrap());
        }
        command.env("SHELL", "/bin/sh").env("TERM", "xterm").envs(variables.iter().copied());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        Self(command.spawn().expect("Debian package needed: bsdutils"))
    }

    fn interrupt(&self, world: &World) {
        let pid = std::fs::read_to_string(world.home.path().join("pid")).unwrap();
        let pid = Pid::from_raw(pid.trim().parse().unwrap()).unwrap();
        kill_process(pid, Signal::INT).unwrap();
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn on_a_terminal_it_is_coloured_unless_that_is_unwanted() {
    let world = patient();
    let shown = |variables: &[(&str, &str)]| {
        let mut terminal = Terminal::run(&world, variables, "status app");
        let mut text = String::new();
        terminal.0.stdout.take().unwrap().read_to_string(&mut text).unwrap();
        text
    };
    let utf8 = shown(&[("LANG", "C.UTF-8")]);
    assert!(utf8.contains("\x1b[1;32mok\x1b[0m") && utf8.contains('░'), "{utf8}");
    let plain = shown(&[("NO_COLOR", "1"), ("LANG", "C")]);
    assert!(
        !plain.contains('\x1b') && plain.contains("app  ok") && plain.contains("[----------]"),
        "{plain}"
    );
    assert!(!shown(&[("TERM", "dumb")]).contains('\x1b'));
}

#[test]
fn watching_on_a_terminal_draws_in_place_and_leaves_the_last_state() {
    let world = patient();
    let mut terminal = Terminal::run(&world, &[], "status app --watch");
    let mut out = terminal.0.stdout.take().unwrap();
    let (sender, bytes) = std::sync::mpsc::channel();
    let reader = std::thread::spawn(move || {
        let mut chunk = [0; 4096];
        while let Ok(read @ 1..) = out.read(&mut chunk) {
            let _ = sender.send(chunk[..read].to_vec());
        }
    });
    let mut seen = String::new();
    let mut wait_for = |words: &str| {
        let deadline = Instant::now() + Duration::from_secs(30);
        while !seen.contains(words) {
            let left = deadline.saturating_duration_since(Instant::now());
            let more = bytes.recv_timeout(left).unwrap_or_else(|_| panic!("{words}: {seen}"));
            seen.push_str(&String::from_utf8_lossy(&more));
        }
        seen.clone()
    };
    wait_for("ok");
    world.expect(0, &["rotate"]);
    let after = wait_for("drain since");
    // It went up as many lines as stood there, and cleared what was left below.
    assert!(after.contains("A\r") && after.contains("\x1b[J"), "{after:?}");
    assert!(!after.contains("\x1b[?1049h"), "no alternate screen: the last state stays");
    terminal.interrupt(&world);
    let ended = terminal.0.wait().unwrap();
    assert_eq!(ended.code(), Some(0));
    reader.join().unwrap();
}

#[test]
fn watching_in_a_pipe_tells_each_change_once() {
    let world = patient();
    world.configure_agent(ANYWHERE, "");
    let _agent = world.agent();
    let mut child = world.spawn(&["status", "app", "--watch", "--json"]);
    let out = BufReader::new(child.stdout.take().unwrap());
    let (sender, lines) = std::sync::mpsc::channel();
    let reader = std::thread::spawn(move || {
        for line in out.lines() {
            let _ = sender.send(serde_json::from_str::<Value>(&line.unwrap()).unwrap());
        }
    });
    let first = lines.recv_timeout(Duration::from_secs(20)).unwrap();
    assert_eq!((&first["version"], &first["profiles"][0]["headline"]), (&1.into(), &"ok".into()));
    world.expect(0, &["rotate"]);
    let deadline = Instant::now() + Duration::from_secs(60);
    let mut objects = vec![first];
    while objects.last().unwrap()["profiles"][0]["current"]["access_key_id"] == world.id.as_str() {
        let left = deadline.saturating_duration_since(Instant::now());
        objects.push(lines.recv_timeout(left).unwrap());
    }
    // Nothing is told twice: what goes on changing by itself is no news.
    for pair in objects.windows(2) {
        let [mut before, mut after] = [pair[0].clone(), pair[1].clone()];
        for object in [&mut before, &mut after] {
            let profile = &mut object["profiles"][0];
            profile["current"]["age_seconds"] = Value::Null;
            profile["leases"]["horizon"] = Value::Null;
            for holder in profile["leases"]["holders"].as_array_mut().unwrap() {
                holder["until"] = Value::Null;
            }
            profile["schedule"] = Value::Null;
        }
        assert_ne!(before, after);
    }
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    kill_process(pid, Signal::INT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    reader.join().unwrap();
}

/// Whoever stops reading ends it.
#[test]
fn watching_ends_when_nobody_reads() {
    let world = patient();
    let mut child = world.spawn(&["status", "app", "--watch"]);
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    drop(out);
    world.expect(0, &["rotate"]);
    let deadline = Instant::now() + Duration::from_secs(20);
    while child.try_wait().unwrap().is_none() {
        assert!(Instant::now() < deadline, "it goes on");
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(child.wait().unwrap().code(), Some(0));
}
