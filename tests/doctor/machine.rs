//! What is wrong with the machine, the account or the agent.

use std::net::TcpListener;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use super::patient::{Finding, Patient};
use super::sources::free_port;

fn of<'a>(found: &'a [(String, Finding)], id: &str) -> Vec<&'a Finding> {
    found.iter().filter(|(found, _)| found == id).map(|(_, finding)| finding).collect()
}

fn one<'a>(found: &'a [(String, Finding)], id: &str) -> &'a Finding {
    let of = of(found, id);
    assert_eq!(of.len(), 1, "{id}: {found:#?}");
    of[0]
}

#[test]
fn a_keystore_that_cannot_be_used_is_unreachable() {
    let patient = Patient::healthy();
    std::fs::remove_file(patient.home().join("passphrase")).unwrap();
    let (code, found) = patient.doctor(&[]);
    assert_eq!((code, one(&found, "keystore").verdict.as_str()), (5, "bad"), "{found:#?}");
    // The agent serves on.
    assert!(of(&found, "sources").iter().all(|source| source.verdict == "ok"), "{found:#?}");
}

#[test]
fn an_agent_that_stands_still_is_unreachable_and_none_is_a_warning() {
    let mut patient = Patient::healthy();
    let pid = patient.agent.as_ref().unwrap().pid();
    let pid = Pid::from_raw(pid.cast_signed()).unwrap();
    kill_process(pid, Signal::STOP).unwrap();
    let (code, found) = patient.doctor(&[]);
    kill_process(pid, Signal::CONT).unwrap();
    assert_eq!((code, one(&found, "agent").verdict.as_str()), (5, "bad"), "{found:#?}");
    patient.agent = None;
    let (code, found) = patient.doctor(&[]);
    assert_eq!((code, one(&found, "agent").verdict.as_str()), (0, "warning"), "{found:#?}");
    assert!(one(&found, "agent").hint.as_ref().unwrap().contains("rotakey agent"));
    // A shell that was led to it finds nobody there.
    let port = free_port();
    patient.world.configure_agent(&format!("[agent]\nlisten = \"127.0.0.1:{port}\"\n"), "");
    patient.put(
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
        &format!("http://127.0.0.1:{port}/credentials/app"),
    );
    let (code, found) = patient.doctor(&[]);
    assert_eq!((code, one(&found, "env.container").verdict.as_str()), (5, "bad"), "{found:#?}");
}

#[test]
fn an_agent_with_an_older_configuration_is_told_to_read_it() {
    let mut patient = Patient::healthy();
    let config = std::fs::read_to_string(patient.home().join("config.toml")).unwrap();
    patient.world.write("config.toml", &format!("{config}max_age = \"20d\"\n"));
    let (code, found) = patient.doctor(&[]);
    let agent = one(&found, "agent");
    assert_eq!((code, agent.verdict.as_str()), (1, "bad"), "{found:#?}");
    let command = agent.command.clone().unwrap();
    patient.follow(&command);
    for _ in 0..100 {
        if patient.doctor(&[]).0 == 0 {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    panic!("`{command}` did not mend it");
}

#[test]
fn who_has_the_agents_port_is_named() {
    let mut patient = Patient::healthy();
    patient.agent = None;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    patient.world.configure_agent(&format!("[agent]\nlisten = \"{at}\"\n"), "");
    let (code, found) = patient.doctor(&[]);
    let port = one(&found, "port");
    assert_eq!((code, port.verdict.as_str()), (1, "bad"), "{found:#?}");
    assert!(port.found.contains(&format!("pid {}", std::process::id())), "{port:?}");
    drop(listener);
    assert_eq!(one(&patient.doctor(&[]).1, "port").verdict, "ok");
}

#[test]
fn what_the_account_shows_is_told() {
    let patient = Patient::healthy();
    let world = &patient.world;
    world.control(json!({"op": "deny", "user": "app", "actions": ["iam:CreateAccessKey", "iam:SimulatePrincipalPolicy"]}));
    // Without the simulation, that CreateAccessKey is denied shows only when it is called.
    let (code, found) = patient.doctor(&[]);
    assert_eq!(code, 0, "{:?}", one(&found, "account.permissions"));
    world.control(json!({"op": "deny", "user": "app", "actions": ["iam:CreateAccessKey"]}));
    let (code, found) = patient.doctor(&[]);
    let permissions = one(&found, "account.permissions");
    assert_eq!((code, permissions.verdict.as_str()), (1, "bad"), "{found:#?}");
    assert!(permissions.found.contains("iam:CreateAccessKey"), "{permissions:?}");
    world.control(json!({"op": "deny", "user": "app", "actions": []}));
    let second = world.control(json!({"op": "create-key", "user": "app"}));
    let second = second["access_key_id"].as_str().unwrap();
    let (_, found) = patient.doctor(&[]);
    let cis = one(&found, "account.cis");
    assert!(cis.verdict == "bad" && cis.found.contains(second), "{cis:?}");
    world.control(json!({"op": "delete-key", "access_key_id": second}));
    world.control(json!({"op": "set-key-status", "access_key_id": world.id, "status": "Inactive"}));
    let (code, found) = patient.doctor(&[]);
    assert_eq!((code, one(&found, "account.key").verdict.as_str()), (1, "bad"), "{found:#?}");
}

#[test]
fn a_server_that_is_gone_is_a_warning() {
    let patient = Patient::healthy();
    let nowhere = format!("endpoint_url = \"http://127.0.0.1:{}\"", free_port());
    let config = std::fs::read_to_string(patient.home().join("config.toml")).unwrap();
    let config = config.replace(&format!("endpoint_url = \"{}\"", patient.world.url), &nowhere);
    patient.world.write("config.toml", &config);
    let (_, found) = patient.doctor(&[]);
    let key = one(&found, "account.key");
    assert!(key.verdict == "warning" && key.hint.as_ref().unwrap().contains("network"), "{key:?}");
}

#[test]
fn a_folder_that_others_may_enter_is_refused() {
    let mut patient = Patient::healthy();
    patient.follow("chmod 755 ~/state/app");
    let (code, found) = patient.doctor(&[]);
    assert_ne!(code, 0);
    let state = of(&found, "state").into_iter().find(|state| state.verdict == "bad");
    let command = state.and_then(|state| state.command.clone()).expect("a command");
    patient.follow(&command);
    assert_eq!(patient.doctor(&[]).0, 0);
}

#[test]
fn copies_in_the_files_of_other_tools_are_found() {
    let patient = Patient::healthy();
    let id = patient.world.id.clone();
    patient.write(".s3cfg", &format!("[default]\naccess_key = {id}\n"));
    let (code, found) = patient.doctor(&[]);
    let copy = one(&found, "leftovers");
    assert_eq!((code, copy.verdict.as_str()), (1, "bad"));
    assert!(copy.found.contains(".s3cfg:2"), "{copy:?}");
}

#[test]
fn clients_of_path_are_run_when_asked_for() {
    let mut patient = Patient::healthy();
    let bin = super::support::venv().join("bin");
    // The pinned Python has boto3.
    std::os::unix::fs::symlink(bin.join("python"), patient.home().join("python3")).unwrap();
    let path = format!("{}:{}:/usr/bin:/bin", patient.home().display(), bin.display());
    patient.put("PATH", &path);
    let (code, found) = patient.doctor(&["--run-clients"]);
    let clients = of(&found, "clients");
    assert!(code == 0 && clients.iter().all(|client| client.verdict == "ok"), "{clients:#?}");
    assert!(clients.iter().any(|client| client.subject == "AWS CLI"), "{clients:#?}");
    patient.write(
        ".aws/credentials",
        "[app]\naws_access_key_id = AKIAIOSFODNN7EXAMPLE\naws_secret_access_key = abc\n",
    );
    let (_, found) = patient.doctor(&["--run-clients"]);
    let clients = of(&found, "clients");
    assert!(clients.iter().all(|client| client.verdict == "bad"), "{clients:#?}");
    // Another program's key comes by the same method.
    std::fs::remove_file(patient.home().join(".aws/credentials")).unwrap();
    let json = r#"{"Version": 1, "AccessKeyId": "AKIADOCTORSTRANGER01", "SecretAccessKey": "x"}"#;
    let helper = patient.write("helper", &format!("#!/bin/sh\necho '{json}'\n"));
    std::fs::set_permissions(&helper, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    let line = format!("[profile app]\ncredential_process = {}\n", helper.display());
    patient.write(".aws/config", &line);
    let (_, found) = patient.doctor(&["--run-clients"]);
    let clients = of(&found, "clients");
    assert!(clients.iter().all(|client| client.verdict == "bad"), "{clients:#?}");
}
