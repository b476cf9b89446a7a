//! `GET /credentials/<profile>`.

use std::sync::atomic::Ordering;

use rotakey_core::credential::Generation;
use rotakey_endpoint::publish::Snapshot;
use rotakey_endpoint::table::{Caller, CallerToken, Refused, Source};
use serde_json::json;

use super::client::{Reply, get, once};
use super::world::{SECRET, SESSION, TOKEN, World, at, long_term, session};

fn asked(world: &World, path: &str, token: &str) -> Reply {
    once(world.address, &get(path, &format!("Authorization: {token}\r\n")))
}

fn deploy(world: &World) -> Reply {
    asked(world, "/credentials/deploy", TOKEN)
}

fn expiration(reply: &Reply) -> String {
    reply.json()["Expiration"].as_str().expect("an Expiration").to_owned()
}

#[test]
fn the_right_token_gets_every_field() {
    let world = World::new();
    let reply = deploy(&world);
    assert_eq!((reply.status, reply.header("content-type")), (200, Some("application/json")));
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
    let known =
        ["content-type", "cache-control", "x-content-type-options", "content-length", "date"];
    assert!(reply.names().iter().all(|name| known.contains(name)), "{:?}", reply.names());
    let expected = json!({
        "Code": "Success", "LastUpdated": "2027-01-15T08:00:00Z", "Type": "AWS-HMAC",
        "AccessKeyId": "ASIAEXAMPLE", "SecretAccessKey": SECRET, "Token": SESSION,
        "Expiration": "2027-01-15T09:00:00Z", "AccountId": "123456789012",
    });
    assert_eq!(reply.json(), expected);

    let handed = world.desk.handed();
    let [handed] = &handed[..] else { panic!("{handed:?}") };
    assert_eq!((handed.source, handed.profile.name.as_str()), (Source::Container, "deploy"));
    assert_eq!((handed.key.as_str(), handed.generation), ("AKIAEXAMPLE", Generation(1)));
    assert_eq!((handed.until, handed.is_covered), (at(3600), true));
    let Caller::Socket { uid, inode } = handed.caller else { panic!("{handed:?}") };
    assert_eq!(uid, rotakey_endpoint::caller::own_uid());
    assert!(inode > 0);
    assert_eq!(world.desk.refusals(), []);
}

#[test]
fn without_the_right_token_nothing_is_told_apart() {
    let world = World::new();
    let wrong = "1".repeat(64);
    let lines = [
        String::new(),
        "Authorization:\r\n".to_owned(),
        format!("Authorization: {wrong}\r\n"),
        format!("Authorization: Bearer {TOKEN}\r\n"),
        format!("Authorization: {}\r\n", &TOKEN[..63]),
        format!("Authorization: {TOKEN}0\r\n"),
        format!("Authorization: {}\r\n", TOKEN.to_uppercase()),
        format!("Authorization: {TOKEN}\r\nAuthorization: {TOKEN}\r\n"),
        format!("Authorization: {TOKEN}\r\nAuthorization: {wrong}\r\n"),
        format!("X-Authorization: {TOKEN}\r\n"),
    ];
    let mut bodies = Vec::new();
    for line in &lines {
        for path in ["/credentials/deploy", "/credentials/empty", "/credentials/nobody"] {
            let reply = once(world.address, &get(path, line));
            assert_eq!(reply.status, 401, "{path} {line:?}");
            assert_eq!(world.desk.whys(), [Refused::Token], "{path} {line:?}");
            bodies.push(reply.body);
        }
    }
    bodies.dedup();
    let [body] = &bodies[..] else { panic!("{bodies:?}") };
    let body: serde_json::Value = serde_json::from_str(body).unwrap();
    assert!(body["code"].is_string() && body["message"].is_string(), "{body}");
    // The right token, for something else than the path names.
    let path =
        ["/credentials/nobody", "/credentials/", "/credentials/deploy/", "/credentials/DEPLOY"];
    let odd =
        ["/credentials/dep%6Coy", "/credentials/../credentials/deploy", "/credentials//deploy"];
    for path in path.into_iter().chain(odd) {
        assert_eq!(asked(&world, path, TOKEN).status, 401, "{path}");
    }
    assert_eq!(world.desk.handed().len(), 0);
}

#[test]
fn an_empty_token_lets_nobody_in() {
    let world = World::new();
    world.change(|table| {
        table.profiles["deploy"].token.store(CallerToken::new(String::new()).into());
    });
    for line in ["", "Authorization:\r\n", "Authorization: \r\n"] {
        assert_eq!(once(world.address, &get("/credentials/deploy", line)).status, 401);
    }
}

#[test]
fn a_token_that_was_changed_counts_at_once() {
    let world = World::new();
    let other = "f".repeat(64);
    world.desk.table.load().profiles["deploy"].token.store(CallerToken::new(other.clone()).into());
    assert_eq!(deploy(&world).status, 401);
    assert_eq!(asked(&world, "/credentials/deploy", &other).status, 200);
}

#[test]
fn an_answer_promises_no_more_than_there_is() {
    let world = World::new();
    // Half a second past: what is told is rounded down, what is recorded is rounded up.
    let half = at(0) + jiff::SignedDuration::from_millis(1_500_500);
    let valid_until = Some(half);
    world.temporary.publish(Snapshot { valid_until, ..session(2) }).unwrap();
    assert_eq!(expiration(&deploy(&world)), "2027-01-15T08:25:00Z");
    assert_eq!(world.desk.handed()[0].until, at(1501));
    // Its last second, and after that.
    world.desk.second.store(1500, Ordering::SeqCst);
    assert_eq!(deploy(&world).status, 503);
    world.desk.second.store(1502, Ordering::SeqCst);
    assert_eq!(deploy(&world).status, 503);
    assert_eq!(world.desk.whys(), [Refused::Unavailable; 2]);
    assert_eq!(world.desk.handed().len(), 0);
}

#[test]
fn beyond_the_horizon_only_the_current_generation_is_served() {
    let world = World::new();
    let covered_until = Some(at(60));
    world.temporary.publish(Snapshot { covered_until, ..session(2) }).unwrap();
    assert_eq!(expiration(&deploy(&world)), "2027-01-15T09:00:00Z");
    let handed = world.desk.handed();
    assert_eq!((handed[0].until, handed[0].is_covered), (at(3600), false));
    world.desk.is_current.store(false, Ordering::SeqCst);
    let reply = deploy(&world);
    assert_eq!((reply.status, world.desk.handed().len()), (503, 0));
    // One that is covered is not asked about.
    world.temporary.cover(Generation(2), at(1800));
    assert_eq!(expiration(&deploy(&world)), "2027-01-15T08:30:00Z");
}

#[test]
fn without_temporary_credentials_the_caller_is_told_why() {
    let world = World::new();
    let reply = asked(&world, "/credentials/empty", TOKEN);
    assert_eq!(reply.status, 503);
    let message = reply.json()["message"].as_str().unwrap().to_owned();
    assert!(message.contains("empty") && message.contains("hint:"), "{message}");
    // The key itself is no substitute.
    world.temporary.publish(long_term(2)).unwrap();
    let reply = deploy(&world);
    assert_eq!(reply.status, 503);
    assert!(!reply.body.contains("SECRET"), "{reply:?}");
    world.temporary.withdraw();
    assert_eq!(deploy(&world).status, 503);
    assert_eq!(world.desk.whys(), [Refused::Unavailable; 3]);
    assert_eq!(world.desk.handed().len(), 0);
}

#[test]
fn a_source_that_is_off_is_not_there() {
    let world = World::new();
    world.change(|table| table.container = false);
    assert_eq!(deploy(&world).status, 404);
    assert_eq!(world.desk.whys(), [Refused::NotFound]);
}

#[test]
fn it_answers_at_the_ipv6_loopback_too() {
    let world = World::with(Default::default(), "[::1]:0");
    let request = format!(
        "GET /credentials/deploy HTTP/1.1\r\nHost: [::1]:1\r\nAuthorization: {TOKEN}\r\n\r\n"
    );
    assert_eq!(once(world.address, &request).status, 200);
}
