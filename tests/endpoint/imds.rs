//! The instance metadata service.

use std::sync::atomic::Ordering;

use rotakey_endpoint::table::{Refused, Source};
use serde_json::json;

use super::client::{Reply, get, once, put};
use super::world::{SECRET, SESSION, TOKEN, World};

const ROLES: &str = "/latest/meta-data/iam/security-credentials";
const TTL: &str = "X-aws-ec2-metadata-token-ttl-seconds";

fn token(world: &World, ttl: u32) -> String {
    let reply = once(world.address, &put("/latest/api/token", &format!("{TTL}: {ttl}\r\n")));
    assert_eq!((reply.status, reply.header("content-type")), (200, Some("text/plain")));
    assert_eq!(reply.header(&TTL.to_lowercase()), Some(ttl.to_string().as_str()));
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    assert!(!reply.body.is_empty() && reply.body.bytes().all(|b| b.is_ascii_alphanumeric()));
    reply.body
}

fn with(world: &World, path: &str, token: &str) -> Reply {
    once(world.address, &get(path, &format!("X-aws-ec2-metadata-token: {token}\r\n")))
}

#[test]
fn a_token_a_role_and_its_credentials() {
    let world = World::new();
    let token = token(&world, 21600);
    for path in [ROLES.to_owned(), format!("{ROLES}/")] {
        let reply = with(&world, &path, &token);
        assert_eq!((reply.status, reply.body.as_str()), (200, "deploy"), "{path}");
        assert_eq!(reply.header("content-type"), Some("text/plain"));
    }
    assert_eq!(world.desk.handed().len(), 0);
    let reply = with(&world, &format!("{ROLES}/deploy"), &token);
    assert_eq!((reply.status, reply.header("content-type")), (200, Some("application/json")));
    let expected = json!({
        "Code": "Success", "LastUpdated": "2027-01-15T08:00:00Z", "Type": "AWS-HMAC",
        "AccessKeyId": "ASIAEXAMPLE", "SecretAccessKey": SECRET, "Token": SESSION,
        "Expiration": "2027-01-15T09:00:00Z", "AccountId": "123456789012",
    });
    assert_eq!(reply.json(), expected);
    let handed = world.desk.handed();
    assert_eq!((handed.len(), handed[0].source), (1, Source::Imds));
    assert_eq!(world.desk.refusals(), []);
}

#[test]
fn a_token_needs_a_life_of_one_second_to_six_hours() {
    let world = World::new();
    for good in [1, 60, 21600] {
        token(&world, good);
    }
    let bad = [
        "0",
        "21601",
        "-1",
        "+5",
        "1.5",
        "",
        "abc",
        "0x10",
        "6 0",
        "4294967297",
        "99999999999999999999",
    ];
    let bad = bad.iter().map(|ttl| format!("{TTL}: {ttl}\r\n"));
    for lines in bad.chain([String::new(), format!("{TTL}: 60\r\n{TTL}: 60\r\n")]) {
        let reply = once(world.address, &put("/latest/api/token", &lines));
        assert_eq!((reply.status, world.desk.whys()), (400, vec![Refused::Malformed]), "{lines:?}");
    }
}

#[test]
fn a_token_ends_and_another_helps() {
    let world = World::new();
    let first = token(&world, 60);
    world.desk.second.store(59, Ordering::SeqCst);
    assert_eq!(with(&world, ROLES, &first).status, 200);
    world.desk.second.store(60, Ordering::SeqCst);
    for path in [ROLES.to_owned(), format!("{ROLES}/"), format!("{ROLES}/deploy")] {
        let reply = with(&world, &path, &first);
        assert_eq!((reply.status, world.desk.whys()), (401, vec![Refused::ImdsToken]), "{path}");
    }
    assert_eq!(with(&world, ROLES, &token(&world, 60)).status, 200);
}

#[test]
fn without_a_token_there_is_nothing_unless_v1_is_on() {
    let world = World::new();
    let paths = [ROLES.to_owned(), format!("{ROLES}/"), format!("{ROLES}/deploy")];
    for path in &paths {
        assert_eq!(once(world.address, &get(path, "")).status, 401);
    }
    world.desk.refusals();
    world.change(|table| table.imds.as_mut().unwrap().v1 = true);
    for path in &paths {
        assert_eq!(once(world.address, &get(path, "")).status, 200);
    }
    let good = token(&world, 60);
    assert_eq!(with(&world, ROLES, &good).status, 200);
    assert_eq!(world.desk.refusals(), []);
    // A wrong one is not the same as none.
    let twice = format!("{good}\r\nX-aws-ec2-metadata-token: {good}");
    let wrong = good.replace(|c: char| c.is_ascii_digit(), "e");
    for wrong in ["", "x", TOKEN, &good[1..], &wrong, &twice] {
        for path in &paths {
            assert_eq!(with(&world, path, wrong).status, 401, "{path} {wrong:?}");
            assert_eq!(world.desk.whys(), [Refused::ImdsToken]);
        }
    }
}

#[test]
fn everything_else_is_not_there() {
    let world = World::new();
    let token = token(&world, 60);
    for path in [
        "/latest/meta-data/iam/security-credentials-extended/",
        "/latest/meta-data/iam/security-credentials-extended/deploy",
        "/latest/meta-data/placement/availability-zone/",
        "/latest/meta-data/placement/region",
        "/latest/dynamic/instance-identity/document",
        "/latest/meta-data/iam/info",
        "/latest/meta-data/iam/security-credentials/other",
        "/latest/meta-data/iam/security-credentials/deploy/",
        "/latest/meta-data/iam/security-credentials//",
        "/latest/meta-data/",
        "/latest/user-data",
        "/latest",
        "/",
        "/metrics",
        "/credential-process/deploy",
        "/credentials",
    ] {
        let reply = with(&world, path, &token);
        assert_eq!((reply.status, world.desk.whys()), (404, vec![Refused::NotFound]), "{path}");
        assert!(reply.json()["code"].is_string(), "{reply:?}");
    }
    let known = once(world.address, &get("/latest/meta-data/placement/availability-zone/", ""));
    assert_eq!(known.status, 404);
}

#[test]
fn each_route_has_its_method() {
    let world = World::new();
    let ttl = format!("{TTL}: 60\r\n");
    let reply = once(world.address, &get("/latest/api/token", &ttl));
    assert_eq!((reply.status, reply.header("allow")), (405, Some("PUT")));
    for path in [ROLES, "/latest/meta-data/iam/security-credentials/deploy", "/credentials/deploy"]
    {
        let reply = once(world.address, &put(path, ""));
        assert_eq!((reply.status, reply.header("allow")), (405, Some("GET")), "{path}");
    }
    assert_eq!(world.desk.whys(), [Refused::Method; 4]);
}

#[test]
fn a_token_outlives_the_agent() {
    let good = token(&World::new(), 60);
    assert_eq!(with(&World::new(), ROLES, &good).status, 200);
}

#[test]
fn it_is_not_there_unless_a_profile_is_chosen() {
    let world = World::new();
    let good = token(&world, 60);
    world.change(|table| table.imds = None);
    assert_eq!(
        once(world.address, &put("/latest/api/token", &format!("{TTL}: 60\r\n"))).status,
        404
    );
    assert_eq!(with(&world, ROLES, &good).status, 404);
}
