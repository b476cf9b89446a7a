//! What `credential-process` is told, over the Unix socket.

use rotakey_endpoint::publish::Snapshot;
use rotakey_endpoint::table::{Caller, Refused, Source};
use serde_json::json;

use super::client::{ask, get};
use super::world::{KEY_SECRET, SESSION, World, at, session};

#[test]
fn the_answer_is_what_it_prints() {
    let world = World::new();
    let mut stream = world.unix();
    let reply = ask(&mut stream, &get("/credential-process/deploy", ""));
    assert_eq!((reply.status, reply.header("content-type")), (200, Some("application/json")));
    let expected = json!({
        "Version": 1, "AccessKeyId": "AKIAEXAMPLE", "SecretAccessKey": KEY_SECRET,
        "Expiration": "2027-01-15T09:00:00Z", "AccountId": "123456789012",
    });
    assert_eq!(reply.json(), expected);
    assert!(reply.body.ends_with("}\n"));
    let handed = world.desk.handed();
    assert_eq!((handed.len(), handed[0].source, handed[0].until), (1, Source::Process, at(3600)));
    let pid = std::process::id();
    let uid = rotakey_endpoint::caller::own_uid();
    assert_eq!(handed[0].caller, Caller::Process { uid, pid });
}

#[test]
fn what_it_cannot_have_it_is_told_about() {
    let world = World::new();
    let mut stream = world.unix();
    let reply = ask(&mut stream, &get("/credential-process/nobody", ""));
    assert_eq!((reply.status, world.desk.whys()), (404, vec![Refused::NotFound]));
    assert!(reply.json()["message"].as_str().unwrap().contains("hint:"), "{reply:?}");
    let reply = ask(&mut stream, &get("/credential-process/empty", ""));
    assert_eq!((reply.status, world.desk.whys()), (503, vec![Refused::Unavailable]));
    assert!(reply.json()["message"].as_str().unwrap().contains("empty"), "{reply:?}");
    assert_eq!(world.desk.handed().len(), 0);
}

#[test]
fn it_gets_what_is_published_for_it_key_or_session() {
    let world = World::new();
    let mut stream = world.unix();
    world.process.publish(session(2)).unwrap();
    let json = ask(&mut stream, &get("/credential-process/deploy", "")).json();
    assert_eq!(
        (&json["AccessKeyId"], &json["SessionToken"]),
        (&json!("ASIAEXAMPLE"), &json!(SESSION))
    );
    let valid_until = Some(at(-1));
    world.process.publish(Snapshot { valid_until, ..session(3) }).unwrap();
    assert_eq!(ask(&mut stream, &get("/credential-process/deploy", "")).status, 503);
    let generations: Vec<u64> = world.desk.handed().iter().map(|h| h.generation.0).collect();
    assert_eq!(generations, [2]);
}
