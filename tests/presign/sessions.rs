//! STS's answers, virtualised: programs take on roles as ever, and no real credential leaves the proxy.

use serde_json::{Value, json};

use super::stage::{at_moto, at_simulator, scenario};
use crate::support::World;

fn use_session(world: &World, session: &str) -> String {
    scenario(world, "use", &[("SESSION", session)]).trim().to_owned()
}

#[test]
fn a_role_profile_works_as_if_there_were_no_proxy() {
    let (_moto, world, _agent) = at_moto("");
    scenario(&world, "role", &[]);
}

#[test]
fn an_assumed_role_is_as_good_as_a_real_one_here_and_nowhere_else() {
    let (_moto, world, _agent) = at_moto("");
    scenario(&world, "assume", &[]);
    let (simulated, _agent) = at_simulator("");
    scenario(&simulated, "assume", &[]);
}

#[test]
fn the_list_says_which_operations_are_virtualised() {
    let (world, _agent) = at_simulator("virtual_sessions = [\"GetSessionToken\"]\n");
    scenario(&world, "user_session", &[]);
    world.configure_agent("", "virtual_sessions = [\"CreateAccessKey\"]\n");
    let run = world.rotakey(&["status"]);
    assert!(run.code == 2 && run.stderr.contains("`GetFederationToken`"), "{run:?}");
}

#[test]
fn a_role_takes_on_another_and_a_rotation_ends_neither() {
    let (world, _agent) = at_simulator("");
    let trust = ["arn:aws:iam::123456789012:role/worker"];
    world.control(json!({"op": "create-role", "role": "other", "trust": trust}));
    scenario(&world, "chain", &[]);
    let session = scenario(&world, "get", &[]);
    world.expect(0, &["rotate", "--wait", "deleted"]);
    assert_eq!(use_session(&world, &session), "ok");
}

#[test]
fn a_session_ends_with_its_placeholder_and_with_a_key_that_leaked() {
    let (world, _agent) = at_simulator("");
    let session = scenario(&world, "get", &[]);
    assert_eq!(use_session(&world, &session), "ok");
    world.expect(0, &["revoke"]);
    assert_eq!(use_session(&world, &session), "ExpiredToken");

    let session = scenario(&world, "get", &[]);
    assert_eq!(use_session(&world, &session), "ok");
    let run = world.rotakey(&["rotate", "--compromised", "--no-revoke-sessions"]);
    assert_eq!(run.code, 0, "{run:?}");
    assert_eq!(use_session(&world, &session), "ExpiredToken");
    let again = scenario(&world, "get", &[]);
    assert_eq!(use_session(&world, &again), "ok");
}

#[test]
fn who_got_a_session_is_in_the_audit_trail_and_with_what_is_not() {
    let (world, _agent) = at_simulator("");
    let session = scenario(&world, "get", &[]);
    let [id, secret, token]: [String; 3] = serde_json::from_str(&session).expect("a triple");
    let placeholder = scenario(&world, "who", &[]);
    let path = world.home.path().join("state/audit.jsonl");
    let mut trail = String::new();
    // It is written by a thread of its own.
    for _ in 0..400 {
        trail = std::fs::read_to_string(&path).expect("text");
        if trail.contains("proxy-session") && trail.ends_with('\n') {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    let lines: Vec<Value> = trail.lines().map(|line| line.parse().expect("JSON")).collect();
    let made: Vec<_> = lines.iter().filter(|line| line["act"] == "proxy-session").collect();
    let [line] = made[..] else { panic!("{trail}") };
    assert_eq!(line["profile"], "app");
    assert_eq!(line["access_key_id"], placeholder.trim());
    let exe = line["by"]["exe"].as_str().expect("a program");
    assert!(exe.contains("python") && line["by"]["pid"].as_u64().is_some(), "{line}");
    let sessions = world.control(json!({"op": "sessions"}));
    let real = sessions["sessions"].as_array().expect("a list").iter();
    let real: Vec<_> = real.filter(|one| one["arn"].as_str().unwrap().contains("worker")).collect();
    let (real_id, until) = (real[0]["access_key_id"].as_str(), real[0]["expires"].as_str());
    let (real_id, until) = (real_id.expect("an id"), until.expect("a time"));
    let role = "arn:aws:iam::123456789012:role/worker";
    let detail = format!("AssumeRole of {role}: {id} for {real_id}, until {until}");
    assert_eq!(line["detail"], detail);
    assert!(!trail.contains(&secret) && !trail.contains(&token));
    let run = world.expect(0, &["history", "--verify"]);
    assert_eq!(run.code, 0, "{run:?}");
}
