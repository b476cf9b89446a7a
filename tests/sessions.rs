//! Sessions and roles by the real binary, without an agent: what programs get, and what it is accounted to.
#![allow(missing_docs, clippy::unwrap_used, clippy::disallowed_methods, reason = "a test")]

#[path = "sessions/mfa.rs"]
mod mfa;
mod support;

use std::time::Duration;

use jiff::Timestamp;
use rotakey_agent::iam::KeyService;
use rotakey_agent::iam::aws::{AwsKeyService, Endpoints};
use rotakey_core::credential::{Credentials, SecretAccessKey, SessionToken};
use rotakey_core::iam::Outcome;
use serde_json::{Value, json};
use support::World;

const ACCOUNT: &str = "arn:aws:iam::123456789012";

/// Makes a role that `principal` of the account may assume.
fn role(world: &World, name: &str, principal: &str, more: Value) {
    let trust = [format!("{ACCOUNT}:{principal}")];
    let mut order = json!({"op": "create-role", "role": name, "trust": trust});
    order.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    world.control(order);
}

/// The table of a profile that serves a role of its own name.
fn role_table(name: &str, source: &str, more: &str) -> String {
    format!(
        "[profile.{name}]\nserve = \"role\"\nsource_profile = \"{source}\"\n\
         role_arn = \"{ACCOUNT}:role/{name}\"\n{more}"
    )
}

/// What a profile's `credential_process` prints.
fn served(world: &World, profile: &str) -> Value {
    let run = world.expect(0, &["credential-process", "--profile", profile]);
    assert_eq!(run.stderr, "", "it is silent");
    serde_json::from_str(&run.stdout).unwrap()
}

fn text(answer: &Value, name: &str) -> String {
    answer[name].as_str().unwrap().to_owned()
}

/// Whom a served credential stands for, as STS says.
fn arn(world: &World, answer: &Value) -> String {
    let credentials = Credentials {
        access_key_id: text(answer, "AccessKeyId").parse().unwrap(),
        secret_access_key: SecretAccessKey::new(text(answer, "SecretAccessKey")),
        session_token: Some(SessionToken::new(text(answer, "SessionToken"))),
    };
    let endpoints = Endpoints { iam: Some(world.url.clone()), sts: Some(world.url.clone()) };
    let (region, limit) = ("us-east-1", Duration::from_secs(10));
    let service = AwsKeyService::new(endpoints, region.to_owned(), limit, Timestamp::now);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    match runtime.block_on(service.caller_identity(&credentials, region)) {
        Outcome::Done(identity) => identity.arn,
        other => panic!("{other:?}"),
    }
}

/// The key that a session was minted from.
fn minted_from(world: &World, answer: &Value) -> String {
    let sessions = world.control(json!({"op": "sessions"}));
    let sessions = sessions["sessions"].as_array().unwrap().clone();
    let ours = sessions.iter().find(|session| session["access_key_id"] == answer["AccessKeyId"]);
    text(ours.unwrap(), "minted_from")
}

fn horizon(world: &World, key: &str) -> Timestamp {
    let status = world.status();
    status["leases"]["horizon"][key].as_str().unwrap().parse().unwrap()
}

#[test]
fn a_session_is_served_instead_of_the_key_and_accounted_to_it() {
    let world = World::added();
    world.configure(
        &world.quick_profile("serve = \"session\"\n").replace("lease = \"1s\"", "lease = \"30m\""),
    );
    let before = Timestamp::now();
    let answer = served(&world, "app");
    assert!(text(&answer, "AccessKeyId").starts_with("ASIA"), "{answer}");
    assert_eq!(arn(&world, &answer), format!("{ACCOUNT}:user/app"));
    // The session lives for an hour; the lease is shorter.
    let expiration: Timestamp = text(&answer, "Expiration").parse().unwrap();
    let told = expiration.duration_since(before).as_secs();
    assert!((1799..=1860).contains(&told), "{expiration}");
    assert!(horizon(&world, &world.id) >= expiration);
    // A session shorter than the lease ends when it ends.
    world.configure(
        &world
            .quick_profile("serve = \"session\"\nsession_duration = \"15m\"\n")
            .replace("lease = \"1s\"", "lease = \"30m\""),
    );
    let before = Timestamp::now();
    let expiration: Timestamp = text(&served(&world, "app"), "Expiration").parse().unwrap();
    let told = expiration.duration_since(before).as_secs();
    assert!((898..=960).contains(&told), "{expiration}");
}

#[test]
fn a_chain_of_roles_ends_with_the_last_one() {
    let world = World::added();
    role(&world, "one", "user/app", json!({}));
    role(&world, "two", "role/one", json!({"external_id": "ours:1"}));
    role(&world, "three", "role/two", json!({}));
    world.configure(&format!(
        "{}{}{}{}[profile.key]\nsource_profile = \"three\"\n",
        world.quick_profile(""),
        role_table("one", "app", ""),
        role_table("two", "one", "external_id = \"ours:1\"\n"),
        role_table("three", "two", "session_name = \"me@home\"\nduration = \"15m\"\n"),
    ));
    for (profile, session) in
        [("one", "one/rotakey-one"), ("two", "two/rotakey-two"), ("three", "three/me@home")]
    {
        let answer = served(&world, profile);
        assert_eq!(
            arn(&world, &answer),
            format!("arn:aws:sts::123456789012:assumed-role/{session}")
        );
        assert_eq!(minted_from(&world, &answer), world.id);
        let expiration: Timestamp = text(&answer, "Expiration").parse().unwrap();
        assert!(horizon(&world, &world.id) >= expiration, "{profile}");
    }
    // The key itself is what it was.
    assert_eq!(world.served_id(), world.id);
    assert_eq!(text(&served(&world, "key"), "AccessKeyId"), world.id);
}

#[test]
fn a_role_that_cannot_be_had_is_refused_with_a_way_out_and_nothing_on_stdout() {
    let world = World::added();
    role(&world, "other", "user/other", json!({}));
    role(&world, "theirs", "user/app", json!({"external_id": "theirs"}));
    let tables = [("other", ""), ("absent", ""), ("theirs", "external_id = \"ours\"\n")];
    let tables = tables.map(|(name, more)| role_table(name, "app", more)).concat();
    world.configure(&format!("{}{tables}", world.quick_profile("")));
    for name in ["other", "absent", "theirs"] {
        let run = world.expect(4, &["credential-process", "--profile", name]);
        assert_eq!(run.stdout, "");
        assert!(run.stderr.contains(&format!("role/{name}")), "{run:?}");
        assert!(run.stderr.contains("hint:") && run.stderr.contains("trust policy"), "{run:?}");
    }
    // Not a matter of the role: STS does not answer, for a long time.
    world.fault("AssumeRole", "hung");
    let begun = std::time::Instant::now();
    let run = world.expect(1, &["credential-process", "--profile", "theirs"]);
    assert!(run.stdout.is_empty() && run.stderr.contains("hint:"), "{run:?}");
    assert!(begun.elapsed() < Duration::from_secs(9), "SDKs do not wait for ever");
}

#[test]
fn a_rotation_ends_well_whatever_is_served_and_the_next_session_is_the_new_keys() {
    for (serve, arn_expected) in [
        ("serve = \"session\"\n".to_owned(), format!("{ACCOUNT}:user/app")),
        (
            format!("serve = \"role\"\nrole_arn = \"{ACCOUNT}:role/team/r\"\n"),
            "arn:aws:sts::123456789012:assumed-role/r/rotakey-app".to_owned(),
        ),
    ] {
        let world = World::added();
        role(&world, "r", "user/app", json!({"path": "/team/"}));
        world.configure(&world.quick_profile(&serve));
        assert_eq!(minted_from(&world, &served(&world, "app")), world.id);
        world.expect(0, &["rotate", "--wait", "deleted"]);
        let keys = world.keys();
        assert!(keys.len() == 1 && keys[0].0 != world.id, "{keys:?}");
        let answer = served(&world, "app");
        assert_eq!(
            (arn(&world, &answer), minted_from(&world, &answer)),
            (arn_expected, keys[0].0.clone())
        );
    }
}

#[test]
fn a_role_that_is_lost_on_the_way_undoes_the_rotation() {
    let world = World::added();
    world.configure(
        &world
            .quick_profile(&format!("serve = \"role\"\nrole_arn = \"{ACCOUNT}:role/none\"\n"))
            .replace("deadline = \"8s\"", "deadline = \"2s\""),
    );
    let run = world.rotakey(&["rotate", "--wait", "deleted"]);
    assert_ne!(run.code, 0, "what is not served is not published: {run:?}");
    assert!(run.stderr.contains("role/none"), "{run:?}");
    assert!(world.accepts(&world.id));
}
