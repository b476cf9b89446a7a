//! The minter against the simulator, in one process.

use std::time::Duration;

use rotakey_core::credential::{Credentials, Generation, SecretAccessKey};
use rotakey_core::iam::{Outcome, RefusalClass};
use rotakey_core::time::later;
use serde_json::json;

use super::super::mfa::seed_id;
use super::super::{MfaSessions, NoCode, NotMinted};
use super::world::{SEED, World, plan, role_table};
use crate::clock::Clock;
use crate::iam::{KeyService, MfaCode};
use crate::store::keystore::Keystore;
use crate::totp;

#[tokio::test]
async fn a_session_is_the_users_and_says_which_key_it_is_of() {
    let world = World::new();
    let minted = world.mint(&plan("[profile.app]\nregion = \"eu-west-1\"\n", "app")).await;
    let minted = minted.expect("minted");
    assert_eq!(world.arn(&minted).await, "arn:aws:iam::123456789012:user/app");
    assert_eq!((&minted.key, minted.generation), (&world.key.access_key_id, Generation(1)));
    assert!(minted.credentials.session_token.is_some());
    assert_eq!(minted.expires, later(world.clock.now().wall, Duration::from_secs(3600)));
}

#[tokio::test]
async fn a_chain_ends_with_its_last_role_and_its_links_are_kept_while_they_last() {
    let world = World::new();
    world.role("a", "user/app", json!({"max_session_seconds": 7200}));
    world.role("b", "role/a", json!({"external_id": "ours"}));
    world.role("c", "role/b", json!({}));
    let config = format!(
        "[profile.app]\nregion = \"eu-west-1\"\n{}{}{}",
        role_table("a", "app", "duration = \"2h\"\n"),
        role_table("b", "a", "external_id = \"ours\"\nduration = \"30m\"\n"),
        role_table("c", "b", "session_name = \"me\"\n"),
    );
    let plan = plan(&config, "c");
    let minted = world.mint(&plan).await.expect("minted");
    assert_eq!(world.arn(&minted).await, "arn:aws:sts::123456789012:assumed-role/c/me");
    assert_eq!((world.calls("AssumeRole"), world.calls("GetSessionToken")), (3, 0));
    // All links last.
    world.clock.pass(1000);
    world.mint(&plan).await.expect("minted");
    assert_eq!(world.calls("AssumeRole"), 4);
    // b's is over, a's is not.
    world.clock.pass(800);
    world.mint(&plan).await.expect("minted");
    assert_eq!(world.calls("AssumeRole"), 6);
    // A new key has links of its own.
    let newer = world.new_key();
    let minted = world.mint_with(&plan, &newer, 2).await.expect("minted");
    assert_eq!((minted.key, minted.generation), (newer.access_key_id, Generation(2)));
    assert_eq!(world.calls("AssumeRole"), 9);
    // And what the old one had made is forgotten.
    world.mint(&plan).await.expect("minted");
    assert_eq!(world.calls("AssumeRole"), 12);
}

#[tokio::test]
async fn a_role_that_is_not_given_says_so() {
    let world = World::new();
    world.role("a", "user/other", json!({}));
    world.role("b", "user/app", json!({"external_id": "ours"}));
    world.role("c", "user/app", json!({"max_session_seconds": 3600}));
    for (name, more, class, hint) in [
        ("a", "", RefusalClass::Permission, "trust policy"),
        ("gone", "", RefusalClass::Permission, "role_arn"),
        ("b", "external_id = \"theirs\"\n", RefusalClass::Permission, "external_id"),
        ("c", "duration = \"2h\"\n", RefusalClass::Invalid, "duration"),
    ] {
        let config = format!("[profile.app]\n{}", role_table(name, "app", more));
        let error = world.mint(&plan(&config, name)).await.expect_err(name);
        let NotMinted::Denied { act, refusal } = &error else { panic!("{error:?}") };
        assert!(act.ends_with(&format!("role/{name}")) && refusal.class == class, "{error:?}");
        assert!(error.hint().contains(hint), "{name}: {}", error.hint());
    }
}

#[tokio::test]
async fn a_quarantine_a_dead_key_and_silence_are_told_apart() {
    let world = World::new();
    let plan = plan("[profile.app]\n", "app");
    world.control(json!({"op": "fault", "action": "GetSessionToken", "kind": "lost"}));
    let error = world.mint(&plan).await.expect_err("no answer");
    assert!(matches!(&error, NotMinted::Unreachable { .. }), "{error:?}");
    assert!(error.hint().contains("network"));
    world.control(json!({"op": "quarantine", "user": "app"}));
    let error = world.mint(&plan).await.expect_err("quarantined");
    assert!(error.hint().contains("found this key in public"), "{error:?}");
    let nobody = Credentials::long_term(
        "AKIANOBODY".parse().expect("an id"),
        SecretAccessKey::new("x".to_owned()),
    );
    let error = world.mint_with(&plan, &nobody, 1).await.expect_err("unknown");
    assert!(error.hint().contains("inactive or deleted"), "{error:?}");
}

fn with_mfa(serial: &str, more: &str) -> String {
    format!("[profile.app]\nmfa_serial = \"{serial}\"\n{more}")
}

#[tokio::test]
async fn a_seed_makes_one_session_for_hours_and_never_uses_a_code_twice() {
    let world = World::new();
    let serial = world.device();
    world.control(json!({"op": "require-mfa", "user": "app"}));
    world.role("a", "user/app", json!({"requires_mfa": true}));
    world.keystore.put(&seed_id("app"), &SecretAccessKey::new(SEED.to_owned())).expect("kept");
    let config = format!("{}{}", with_mfa(&serial, ""), role_table("a", "app", ""));
    let (session, role) = (plan(&config, "app"), plan(&config, "a"));
    let minted = world.mint(&session).await.expect("minted");
    assert_eq!(minted.expires, later(world.clock.now().wall, Duration::from_secs(12 * 3600)));
    let keys = world.service.list_access_keys(&minted.credentials, "app").await;
    assert!(matches!(keys, Outcome::Done(_)), "{keys:?}");
    // The role is assumed with the same session: no code.
    world.mint(&role).await.expect("minted");
    assert_eq!(world.calls("GetSessionToken"), 1);
    // Another key takes another code, which is there only in the next half minute.
    let newer = world.new_key();
    let before = world.clock.now().wall;
    world.mint_with(&session, &newer, 2).await.expect("minted");
    let waited = world.clock.now().wall.duration_since(before).as_secs();
    assert!((1..=30).contains(&waited), "{waited}");
    assert_eq!(world.calls("GetSessionToken"), 2, "no code was refused on the way");
    // Half an hour before its end it is renewed.
    world.clock.pass(11 * 3600);
    world.mint(&session).await.expect("minted");
    assert_eq!(world.calls("GetSessionToken"), 2);
    world.clock.pass(1800);
    world.mint(&session).await.expect("minted");
    assert_eq!(world.calls("GetSessionToken"), 3);
}

#[tokio::test]
async fn a_code_that_was_used_elsewhere_is_followed_by_the_next_one() {
    let world = World::new();
    let serial = world.device();
    world.keystore.put(&seed_id("app"), &SecretAccessKey::new(SEED.to_owned())).expect("kept");
    let plan = plan(&with_mfa(&serial, ""), "app");
    let other = World { mfa: MfaSessions::default(), ..world };
    other.mint(&plan).await.expect("minted");
    let again = World { mfa: MfaSessions::default(), ..other };
    again.mint(&plan).await.expect("minted with the next code");
    assert_eq!(again.calls("GetSessionToken"), 3);
    // Whoever has no time is told when.
    let hasty = World { mfa: MfaSessions::default(), patience: Duration::ZERO, ..again };
    let error = hasty.mint(&plan).await.expect_err("no time");
    assert!(matches!(error, NotMinted::Mfa(NoCode::NotYet { .. })), "{error:?}");
    // A seed that is not the device's is not tried for ever.
    hasty.keystore.delete(&seed_id("app")).expect("gone");
    hasty
        .keystore
        .put(&seed_id("app"), &SecretAccessKey::new("MFRGGZDF".to_owned()))
        .expect("kept");
    let wrong = World { patience: Duration::from_secs(35), ..hasty };
    let before = wrong.calls("GetSessionToken");
    let error = wrong.mint(&plan).await.expect_err("a wrong seed");
    assert!(matches!(error, NotMinted::Mfa(NoCode::NotTaken { .. })), "{error:?}");
    assert!(error.hint().contains("mfa_serial") && wrong.calls("GetSessionToken") <= before + 2);
}

#[tokio::test]
async fn a_persons_code_is_used_once_and_soon_or_not_at_all() {
    let world = World::new();
    let serial = world.device();
    let plan = plan(&with_mfa(&serial, ""), "app");
    let person = world.mint(&plan).await.expect_err("nobody gave a code");
    assert!(matches!(&person, NotMinted::Mfa(NoCode::Person { .. })), "{person:?}");
    assert!(person.to_string().contains(&serial) && person.hint().contains("rotakey mfa app"));
    let shown = |world: &World| {
        let now = world.clock.now().wall;
        let code = totp::code(SEED, now).expect("a seed");
        world.mfa.give(&serial, MfaCode::new(&code).expect("a code"), now);
    };
    shown(&world);
    world.mfa.given(&serial).await;
    world.clock.pass(61);
    let error = world.mint(&plan).await.expect_err("it is over");
    assert!(matches!(error, NotMinted::Mfa(NoCode::Person { .. })), "{error:?}");
    shown(&world);
    world.mint(&plan).await.expect("minted");
    // The same code again, for another key.
    shown(&world);
    let error = world.mint_with(&plan, &world.new_key(), 2).await.expect_err("used");
    assert!(matches!(error, NotMinted::Mfa(NoCode::NotTaken { .. })), "{error:?}");
}

#[tokio::test]
async fn a_command_gives_codes_and_the_one_it_gave_is_not_sent_again() {
    let world = World::new();
    let serial = world.device();
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("code");
    let config = with_mfa(&serial, &format!("mfa_process = 'cat {}'\n", path.display()));
    let plan = plan(&config, "app");
    let show = |world: &World| {
        let code = totp::code(SEED, world.clock.now().wall).expect("a seed");
        crate::store::disk::replace(&path, code.as_bytes()).expect("writable");
    };
    let error = world.mint(&plan).await.expect_err("no such file");
    assert!(matches!(&error, NotMinted::Mfa(NoCode::Process { .. })), "{error:?}");
    assert!(!error.to_string().contains("cat"), "{error}");
    show(&world);
    world.mint(&plan).await.expect("minted");
    // It shows the same one still, and still in the next half minute.
    let newer = world.new_key();
    let error = world.mint_with(&plan, &newer, 2).await.expect_err("the same code");
    assert!(error.to_string().contains("used already"), "{error}");
    assert_eq!(world.calls("GetSessionToken"), 1, "it was not sent");
    show(&world);
    world.mint_with(&plan, &newer, 2).await.expect("minted");
}
