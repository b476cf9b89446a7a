//! The way out, and that rotakey knows of it.

use serde_json::Value;

use super::support::{Run, World};

fn kinds(world: &World) -> Vec<String> {
    let history = world.expect(0, &["history", "--json"]).stdout;
    let kind = |line: &str| {
        serde_json::from_str::<Value>(line).unwrap()["kind"].as_str().unwrap().to_owned()
    };
    history.lines().map(kind).collect()
}

#[test]
fn a_pipe_gets_nothing_unless_it_is_meant() {
    let world = World::added();
    let run = world.expect(2, &["export"]);
    assert!(run.stdout.is_empty() && run.stderr.contains("--to-stdout"), "{run:?}");
    assert_eq!(kinds(&world), ["enrolled"]);
    let run = world.expect(0, &["export", "--to-stdout"]);
    let trail = std::fs::read_to_string(world.home.path().join("state/audit.jsonl")).unwrap();
    let line = trail.lines().find(|line| line.contains("\"export\"")).unwrap();
    assert!(line.contains(&world.id) && !trail.contains(&world.secret), "{trail}");
    let section = format!(
        "[app]\naws_access_key_id = {}\naws_secret_access_key = {}\n",
        world.id, world.secret
    );
    assert_eq!(run.stdout, section);
    assert!(!run.stderr.contains(&world.secret), "{run:?}");
    assert_eq!(kinds(&world), ["enrolled", "exported"]);
    world.expect(2, &["export", "nobody", "--to-stdout"]);
}

#[test]
fn a_terminal_gets_it() {
    let world = World::added();
    let mut script = std::process::Command::new("script");
    let line = format!("{} export", env!("CARGO_BIN_EXE_rotakey"));
    let home = world.home.path();
    script.args(["-qec", &line, "/dev/null"]).env("ROTAKEY_HOME", home).env("AWS_PROFILE", "app");
    let run: Run = script.stdin(std::process::Stdio::null()).output().unwrap().into();
    assert!(run.code == 0 && run.stdout.contains(&world.secret), "{run:?}");
}

#[test]
fn a_key_that_rotakey_made_and_exported_is_observed_at_the_next_rotation() {
    for exported in [false, true] {
        let world = World::added();
        world.expect(0, &["rotate", "--wait", "deleted"]);
        world.configure(&world.quick_profile("observe = \"1h\"\n"));
        if exported {
            world.expect(0, &["export", "--to-stdout"]);
        }
        world.expect(0, &["rotate"]);
        let mut child = world.spawn(&["resume", "--wait", "deactivated"]);
        // Leases end after a few seconds; observing would take an hour.
        let until = std::time::Instant::now() + std::time::Duration::from_secs(20);
        let ended = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break Some(status);
            }
            if exported && std::time::Instant::now() > until - std::time::Duration::from_secs(8) {
                break None;
            }
            assert!(std::time::Instant::now() < until, "it does not end");
            std::thread::sleep(std::time::Duration::from_millis(50));
        };
        assert_eq!(ended.is_none(), exported, "{ended:?}");
        let _ = child.kill();
        child.wait().unwrap();
        let drained = kinds(&world).into_iter().filter(|kind| kind == "drained").count();
        assert_eq!(drained, if exported { 1 } else { 2 });
    }
}

#[test]
fn what_cannot_be_written_down_is_not_exported() {
    let world = World::added();
    let journal = world.state().join("journal");
    let bytes = std::fs::read(&journal).unwrap();
    std::fs::write(&journal, &bytes[..bytes.len() - 20]).unwrap();
    let run = world.rotakey(&["export", "--to-stdout"]);
    assert!(run.code != 0 && run.stdout.is_empty(), "{run:?}");
    std::fs::write(&journal, &bytes).unwrap();
    // An audit trail that is a folder cannot be written to.
    std::fs::create_dir(world.home.path().join("state/audit.jsonl.away")).unwrap();
    let trail = world.home.path().join("state/audit.jsonl");
    let _ = std::fs::rename(&trail, world.home.path().join("state/audit.jsonl.away/trail"));
    std::fs::create_dir(&trail).unwrap();
    let run = world.expect(1, &["export", "--to-stdout"]);
    assert!(run.stdout.is_empty() && run.stderr.contains("audit"), "{run:?}");
    assert_eq!(kinds(&world), ["enrolled"]);
}
