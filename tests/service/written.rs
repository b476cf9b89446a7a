//! The texts, as the programs read them that they are for.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::need;
use super::support::World;

/// Writes the units that a program of this name prints; where they are, with their texts.
fn units(world: &World, program: &Path, folder: &Path) -> Vec<PathBuf> {
    let plain = world.command();
    let mut command = Command::new(program);
    command.env_clear().args(["service", "install", "--print"]);
    command.envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let printed = super::support::Run::from(command.env("HOME", "/nonexistent").output().unwrap());
    assert_eq!(printed.code, 0, "{printed:?}");
    assert!(printed.stdout.contains("ListenStream=127.0.0.1:21999\n"), "{printed:?}");
    let mut paths = Vec::new();
    for part in printed.stdout.split("# /nonexistent/.config/systemd/user/").skip(1) {
        let (name, text) = part.split_once('\n').unwrap();
        paths.push(folder.join(name));
        std::fs::write(paths.last().unwrap(), text).unwrap();
    }
    assert_eq!(paths.len(), 2, "{printed:?}");
    paths
}

/// Whether systemd takes these units, and what it says of them.
fn verified(paths: &[PathBuf]) -> (bool, String) {
    let folder = paths[0].parent().unwrap();
    let mut command = Command::new("systemd-analyze");
    command.env("SYSTEMD_UNIT_PATH", format!("{}:", folder.display()));
    command.env("XDG_RUNTIME_DIR", folder);
    let output = need(command.args(["--user", "verify"]).args(paths));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.success() && !said.contains("rotakey"), said)
}

#[test]
fn systemd_finds_no_fault_with_the_units() {
    let world = World::added();
    world.configure_agent("[agent]\nlisten = \"127.0.0.1:21999\"\n", "");
    let folder = tempfile::tempdir().unwrap();
    let paths = units(&world, env!("CARGO_BIN_EXE_rotakey").as_ref(), folder.path());
    let (is_good, said) = verified(&paths);
    assert!(is_good, "{said}");
    // It would have said something of a wrong line.
    let service = folder.path().join("rotakey.service");
    let text = std::fs::read_to_string(&service).unwrap();
    std::fs::write(&service, text.replace("NoNewPrivileges=yes", "NoNewPrivileges=perhaps"))
        .unwrap();
    let (is_good, said) = verified(&paths);
    assert!(!is_good && said.contains("rotakey"), "{said}");
}

#[test]
fn systemd_finds_a_program_in_an_odd_place() {
    let world = World::added();
    world.configure_agent("[agent]\nlisten = \"127.0.0.1:21999\"\n", "");
    let folder = tempfile::tempdir().unwrap();
    let odd = folder.path().join("100% of $HOME tools");
    std::fs::create_dir(&odd).unwrap();
    let program = odd.join("rotakey");
    std::fs::copy(env!("CARGO_BIN_EXE_rotakey"), &program).unwrap();
    let paths = units(&world, &program, folder.path());
    let (is_good, said) = verified(&paths);
    assert!(is_good, "{said}");
    // It is looked for there.
    std::fs::remove_file(program).unwrap();
    let (is_good, said) = verified(&paths);
    assert!(!is_good, "{said}");
}

#[test]
fn a_port_that_is_left_to_chance_and_sources_without_one_have_no_tcp_socket() {
    let world = World::added();
    for agent in ["[agent]\nlisten = \"127.0.0.1:0\"\n", "[agent]\nsources = [\"process\"]\n"] {
        world.configure_agent(agent, "");
        let mut command = world.command();
        let output =
            command.env("HOME", "/x").args(["service", "install", "--print"]).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(text.matches("ListenStream=").count(), 1, "{text}");
    }
}

#[test]
fn the_property_list_is_one() {
    let world = World::new();
    let mut command = world.command();
    command.args(["service", "install", "--format", "launchd", "--print"]);
    // The configuration is read first: an odd place for it that works.
    let odd = world.home.path().join("odd & <place>");
    let output = command.env("HOME", "/Users/a&b").env("ROTAKEY_HOME", &odd).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let path = world.home.path().join("plist");
    std::fs::write(&path, &output.stdout).unwrap();
    let script = "import json, plistlib, sys; print(json.dumps(plistlib.load(open(sys.argv[1], 'rb'), fmt=plistlib.FMT_XML)))";
    let output = need(Command::new("python3").args(["-c", script]).arg(&path));
    assert!(output.status.success(), "{output:?}");
    let plist: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(plist["Label"], "rotakey.agent");
    assert_eq!(
        plist["ProgramArguments"],
        serde_json::json!([env!("CARGO_BIN_EXE_rotakey"), "agent"])
    );
    assert_eq!(plist["EnvironmentVariables"]["ROTAKEY_HOME"], odd.to_str().unwrap());
    assert_eq!(plist["StandardErrorPath"], "/Users/a&b/Library/Logs/rotakey.log");
    assert_eq!((&plist["RunAtLoad"], &plist["Umask"]), (&true.into(), &0o77.into()));
    assert_eq!(plist["KeepAlive"]["SuccessfulExit"], false);
    // Not for this system.
    assert_eq!(world.rotakey(&["service", "install", "--format", "launchd"]).code, 2);
}
