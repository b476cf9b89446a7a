//! The log in its forms.

use serde_json::Value;

use super::support::World;
use super::support::agent::ANYWHERE;

fn lines(form: Option<&str>, config: &str) -> Vec<String> {
    let world = World::added();
    world.configure_agent(&format!("{ANYWHERE}{config}"), "");
    let mut command = world.command();
    if let Some(form) = form {
        command.env("ROTAKEY_LOG_FORMAT", form);
    }
    let agent = super::support::agent::Agent::start_at(&world, command, "-vv");
    agent.container("app");
    world.expect(0, &["rotate"]);
    let (code, said) = agent.stop();
    assert_eq!(code, 0, "{said}");
    let log = said.lines().filter(|line| !line.starts_with("serving "));
    let lines: Vec<String> = log.map(str::to_owned).collect();
    assert!(lines.len() > 5, "{lines:?}");
    lines
}

#[test]
fn as_json_each_line_is_an_object() {
    for (form, config) in [(Some("json"), ""), (None, "log = \"json\"\n")] {
        for line in lines(form, config) {
            let value: Value =
                serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: {line}"));
            for name in ["timestamp", "level", "target", "message"] {
                assert!(value[name].is_string(), "{name}: {line}");
            }
        }
    }
}

#[test]
fn for_the_journal_each_line_begins_with_its_level() {
    let lines = lines(Some("journald"), "log = \"json\"\n");
    assert!(
        lines.iter().all(|line| line.starts_with("<6>")
            || line.starts_with("<7>")
            || line.starts_with("<4>")),
        "{lines:?}"
    );
    assert!(lines.iter().any(|line| line.starts_with("<6>")));
    assert!(lines.iter().all(|line| !line.contains('\x1b')), "{lines:?}");
}

/// systemd says which stream goes to its journal; only if that is ours, it is for it.
#[test]
fn a_journal_that_reads_standard_error_is_noticed() {
    use std::os::unix::fs::MetadataExt;
    use std::process::Stdio;
    let world = World::added();
    for is_ours in [true, false] {
        let path = world.home.path().join("log");
        let file = std::fs::File::create(&path).unwrap();
        let seen = file.metadata().unwrap();
        let inode = seen.ino() + u64::from(!is_ours);
        let mut command = world.command();
        command.env("JOURNAL_STREAM", format!("{}:{inode}", seen.dev()));
        command.args(["-vvv", "keys"]).stdout(Stdio::null()).stderr(file);
        assert!(command.status().unwrap().success());
        let said = std::fs::read_to_string(&path).unwrap();
        let marked = said.lines().filter(|line| line.starts_with('<')).count();
        assert_eq!(marked > 0, is_ours, "{said}");
    }
}
