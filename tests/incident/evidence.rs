//! The evidence file: what is in it, and what is not.

use std::os::unix::fs::PermissionsExt;

use super::support::awscli::{LIST, by_process};
use super::support::secrets::forms;
use super::{evidence_of, secrets, world_with_agent};

#[test]
fn the_evidence_says_what_when_which_key_and_which_calls() {
    let world = world_with_agent();
    let agent = world.agent();
    agent.container("app");
    assert_eq!(by_process(&world, &LIST).code, 0);
    world.accepts(&world.id);
    let run = world.expect(0, &["rotate", "--compromised", "--revoke-sessions"]);
    let (path, evidence) = evidence_of(&run);
    assert!(path.contains("/state/app/incidents/"), "{path}");
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    let new = world.served_id();
    assert_eq!(evidence["version"], 1);
    assert_eq!(evidence["compromised"]["access_key_id"], world.id);
    assert_eq!(evidence["replacement"]["access_key_id"], new);
    assert_eq!(
        (&evidence["user"], &evidence["account_id"]),
        (&"app".into(), &"123456789012".into())
    );
    assert!(evidence["refused_since"].is_string() && evidence["said"].is_string());
    assert!(evidence["last_used"]["at"].is_string(), "{evidence}");
    assert!(evidence["horizon"].is_string());
    let holders = evidence["holders"].as_array().unwrap();
    assert!(holders.iter().any(|holder| holder["source"] == "process"), "{holders:?}");

    let calls = evidence["calls"].as_array().unwrap();
    for action in
        ["iam:CreateAccessKey", "iam:UpdateAccessKey", "iam:PutUserPolicy", "sts:GetCallerIdentity"]
    {
        let call = calls.iter().find(|call| call["action"] == action);
        let call = call.unwrap_or_else(|| panic!("{action} in {calls:?}"));
        for name in ["request_id", "server_time", "outcome", "signer", "time"] {
            assert!(call[name].as_str().is_some_and(|text| !text.is_empty()), "{name} in {call}");
        }
    }
    let refused = |call: &&serde_json::Value| {
        call["outcome"] == "InvalidClientTokenId" && call["signer"] == world.id
    };
    assert!(calls.iter().any(|call| refused(&call)), "it was seen refused: {calls:?}");
    let timeline = evidence["timeline"].to_string();
    for kind in ["begun", "created", "verified"] {
        assert!(timeline.contains(kind), "{timeline}");
    }
    let next = evidence["next"].to_string();
    assert!(
        next.contains("aws cloudtrail lookup-events") && next.contains("rotakey scan"),
        "{next}"
    );
    assert!(run.stdout.contains(&world.id) && run.stdout.contains("leaked"), "{run:?}");

    let text = std::fs::read_to_string(&path).unwrap();
    let secrets = secrets(&world);
    assert!(secrets.len() >= 3, "{} secrets", secrets.len());
    for secret in secrets {
        for (form, hidden) in forms(&secret) {
            for (what, where_) in
                [("the file", &text), ("stdout", &run.stdout), ("stderr", &run.stderr)]
            {
                assert!(!where_.contains(&hidden), "{form} of a secret in {what}");
            }
        }
    }
}

/// Whoever goes on with it adds to the same file.
#[test]
fn what_comes_later_is_added() {
    let world = world_with_agent();
    let run = world.expect(0, &["rotate", "--compromised", "--no-revoke-sessions"]);
    let (path, before) = evidence_of(&run);
    world.configure(&world.quick_profile(""));
    world.expect(0, &["resume", "--wait", "deleted"]);
    let after: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    let folder = std::path::Path::new(&path).parent().unwrap();
    assert_eq!(std::fs::read_dir(folder).unwrap().count(), 1);
    let count = |evidence: &serde_json::Value, name: &str| evidence[name].as_array().unwrap().len();
    assert!(count(&after, "calls") > count(&before, "calls"));
    assert!(after["timeline"].to_string().contains("finished"), "{after}");
    assert_eq!(after["last_used"], before["last_used"]);
    assert_eq!(after["replacement"], before["replacement"]);
    // An ordinary rotation afterwards is none of it.
    world.expect(0, &["rotate"]);
    let again: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    assert_eq!(after, again);
}
