//! `--deactivate-now`: the key is dead, nothing is in its place, and programs are told so.

use super::support::awscli::{LIST, by_process};
use super::{SECONDS, evidence_of, foreign, until_refused, world, world_with_agent};

const NOW: [&str; 3] = ["rotate", "--compromised", "--deactivate-now"];

#[test]
fn without_a_replacement_programs_get_an_error_that_names_it() {
    let world = world_with_agent();
    let agent = world.agent();
    let foreign = foreign(&world);
    let (run, took) = until_refused(&world, &world.id, &NOW);
    assert_eq!(run.code, 0, "{run:?}");
    assert!(took < SECONDS, "{took:?}");
    assert!(world.accepts(&foreign));
    for answer in [agent.container("app"), agent.imds("app")] {
        assert_eq!(answer.status, 503, "{answer:?}");
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        assert!(text.contains("leaked") && text.contains(&world.id), "{text}");
    }
    let process = world.rotakey(&["credential-process"]);
    assert_eq!((process.code, process.stdout.as_str()), (3, ""), "{process:?}");
    assert!(process.stderr.contains("leaked") && process.stderr.contains(&world.id), "{process:?}");
    assert_ne!(by_process(&world, &LIST).code, 0);
    let (_, evidence) = evidence_of(&run);
    assert_eq!(evidence["replacement"], serde_json::Value::Null);
    assert!(evidence["refused_since"].is_string());
    // Nobody begins anything with a dead key.
    for args in [&["rotate"][..], &["rotate", "--compromised"], &NOW] {
        let again = world.expect(3, args);
        assert!(again.stderr.contains("out of service"), "{again:?}");
    }
    let status = world.expect(0, &["status"]).stdout;
    assert!(status.contains("leaked"), "{status}");
    // The way back.
    drop(agent);
    world.expect(0, &["remove", "--yes"]);
    let key = world.control(serde_json::json!({"op": "delete-key", "access_key_id": foreign}));
    assert_eq!(key, serde_json::json!({}));
    let key = world.control(serde_json::json!({"op": "create-key", "user": "app"}));
    let id = key["access_key_id"].as_str().unwrap().to_owned();
    world.add_key("app", &id, key["secret_access_key"].as_str().unwrap());
    assert_eq!(world.served_id(), id);
}

#[test]
fn it_goes_on_when_its_answer_was_lost() {
    let world = world();
    world.fault("UpdateAccessKey", "lost");
    let (run, _) = until_refused(&world, &world.id, &NOW);
    assert_eq!(run.code, 0, "{run:?}");
}

#[test]
fn what_may_not_be_deactivated_is_served_to_nobody_all_the_same() {
    let world = world();
    world.control(
        serde_json::json!({"op": "deny", "user": "app", "actions": ["iam:UpdateAccessKey"]}),
    );
    let run = world.expect(4, &NOW);
    assert!(
        run.stderr.contains("still active") && run.stderr.contains("aws iam update-access-key"),
        "{run:?}"
    );
    assert_eq!(world.rotakey(&["credential-process"]).code, 3);
    world.control(serde_json::json!({"op": "deny", "user": "app", "actions": []}));
    world.expect(0, &NOW);
    assert!(!world.accepts(&world.id));
}
