//! AWS's own policy for leaked keys is recognised, also where its denials do not name it.

use std::time::Duration;

use serde_json::json;

use super::support::agent::ANYWHERE;
use super::support::{World, eventually};

fn quarantined(names: bool) -> World {
    let world = World::with(json!({"last_used_granularity": 1000, "denials_name_policies": names}));
    world.lighten_keys();
    world.add();
    world.configure(&world.quick_profile(""));
    world
}

fn told(world: &World, text: &str) {
    for words in [
        "AWSCompromisedKeyQuarantineV3",
        "aws iam create-access-key --user-name app",
        &format!("--access-key-id {} --status Inactive", world.id),
        "aws iam detach-user-policy --user-name app --policy-arn arn:aws:iam::aws:policy/AWSCompromisedKeyQuarantineV3",
    ] {
        assert!(text.contains(words), "{words} in {text}");
    }
}

#[test]
fn a_rotation_under_quarantine_ends_with_the_admins_commands() {
    for names in [true, false] {
        let world = quarantined(names);
        world.control(json!({"op": "quarantine", "user": "app"}));
        for args in [&["rotate"][..], &["rotate", "--compromised"]] {
            let run = world.expect(4, args);
            told(&world, &run.stderr);
        }
        assert_eq!(world.keys(), [(world.id.clone(), "Active".to_owned())]);
    }
}

/// It comes while a rotation is under way.
#[test]
fn a_rotation_under_way_that_is_denied_says_why() {
    let world = quarantined(false);
    world.expect(0, &["rotate"]);
    world.control(json!({"op": "quarantine", "user": "app"}));
    let run = world.expect(4, &["resume", "--wait", "deleted"]);
    assert!(run.stderr.contains("AWSCompromisedKeyQuarantineV3"), "{run:?}");
}

#[test]
fn the_agent_notices_by_itself_and_tells_once() {
    let world = quarantined(true);
    world.configure(&format!("{ANYWHERE}{}", world.quick_profile("")));
    world.control(json!({"op": "quarantine", "user": "app"}));
    let said = |world: &World, is_noted: bool| {
        let agent = world.agent();
        let mark = world.state().join("quarantine");
        eventually("what the agent notices is noted", || {
            std::fs::read_to_string(&mark).is_ok_and(|text| !text.is_empty()) == is_noted
        });
        // Time to tell it once too often.
        std::thread::sleep(Duration::from_secs(2));
        agent.stop().1
    };
    let first = said(&world, true);
    assert_eq!(first.matches("under quarantine").count(), 1, "{first}");
    let second = said(&world, true);
    assert_eq!(second.matches("under quarantine").count(), 0, "it was told: {second}");
    world.control(json!({"op": "quarantine", "user": "app", "on": false}));
    said(&world, false);
    world.control(json!({"op": "quarantine", "user": "app"}));
    assert_eq!(said(&world, true).matches("under quarantine").count(), 1, "it is another one");
}

/// The agent's own look, a rotation that is denied, and a person's: whoever comes first tells it.
#[test]
fn it_is_told_once_whoever_notices_it() {
    let world = quarantined(true);
    let table = world.quick_profile("max_age = \"1s\"\n");
    world.configure(&format!("{ANYWHERE}{table}"));
    world.control(json!({"op": "quarantine", "user": "app"}));
    let told = |world: &World| {
        let path = world.home.path().join("state/news.jsonl");
        let news = std::fs::read_to_string(path).unwrap_or_default();
        news.lines().filter(|line| line.contains("\"quarantine\"")).map(str::to_owned).collect()
    };
    world.expect(4, &["rotate"]);
    let first: Vec<String> = told(&world);
    assert_eq!(first.len(), 1, "{first:?}");
    assert!(first[0].contains("under quarantine (AWSCompromisedKeyQuarantineV3)"), "{first:?}");
    let agent = world.agent();
    std::thread::sleep(Duration::from_secs(3));
    let log = agent.stop().1;
    let all: Vec<String> = told(&world);
    assert_eq!(all.len(), 1, "{all:?} {log}");
}

/// Neither a look nor a rotation of the agent's asks for it again, or derives the file's key anew.
#[test]
fn the_agent_asks_for_the_passphrase_once() {
    let world = quarantined(true);
    let asked = world.home.path().join("asked");
    let ask = format!(
        "echo >> {}; cat {}",
        asked.display(),
        world.home.path().join("passphrase").display()
    );
    let agent_with = |more: &str| {
        world.configure(&format!("{ANYWHERE}{}", world.quick_profile(more)));
        let config = std::fs::read_to_string(world.home.path().join("config.toml")).unwrap();
        let with_file = config.lines().find(|line| line.starts_with("passphrase_file")).unwrap();
        let command = format!("passphrase_command = {ask:?}");
        world.write("config.toml", &config.replace(with_file, &command));
        world.write("asked", "");
        world.agent()
    };
    let times = || std::fs::read_to_string(&asked).unwrap().lines().count();
    world.control(json!({"op": "quarantine", "user": "app"}));
    let agent = agent_with("");
    let mark = world.state().join("quarantine");
    eventually("it looks", || std::fs::read(&mark).is_ok_and(|text| !text.is_empty()));
    assert_eq!(times(), 1);
    agent.stop();
    world.control(json!({"op": "quarantine", "user": "app", "on": false}));
    let _agent = agent_with("max_age = \"1s\"\n");
    eventually("it rotates", || world.keys().iter().all(|(id, _)| *id != world.id));
    assert_eq!(times(), 1);
}
