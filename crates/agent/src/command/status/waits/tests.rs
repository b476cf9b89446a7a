use rotakey_core::journal::{Key, Origin, Reason, RotationId};
use rotakey_core::time::Monotonic;

use super::*;
use crate::command::status::headline::Headline;
use crate::config::{Config, Env};

fn at(minute: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_040 + minute * 60).expect("in range")
}

/// The defaults: an hour for leases, a quarter of one for clients and for signatures.
fn policy() -> Policy {
    Config::default().settings("app", &Env::default()).expect("defaults").policy
}

fn key(text: &str, origin: Origin) -> Key {
    Key { id: text.parse().expect("an id"), created: None, origin, exported: false }
}

fn open(step: Step) -> Open {
    Open {
        id: RotationId("r1".into()),
        reason: Reason::Scheduled,
        begun: at(-5),
        step,
        since: at(0),
        incoming: Some(key("AKIANEW", Origin::Created)),
        outgoing: key("AKIAOLD", Origin::Created),
        intent: None,
        reply_lost: None,
        orphan: None,
        verified: true,
        published: Some(at(0)),
        deactivated: None,
        compromised: None,
        reactivate: false,
        deleted: false,
        forgotten: false,
        undone: None,
        aborting: None,
        stuck: None,
    }
}

fn asked(open: &Open, lease: Option<i64>, healthy: i64, now: i64) -> Wait {
    asked_of(open, lease, healthy, None, now)
}

fn asked_of(
    open: &Open,
    lease: Option<i64>,
    healthy: i64,
    fell_over: Option<Timestamp>,
    now: i64,
) -> Wait {
    let horizon = Horizon { served_until: lease.map(at), monotonic: None, unrecorded_until: None };
    let monotonic = Monotonic { boot: "a".into(), since_boot: Duration::from_secs(1) };
    let now = Now { wall: at(now), monotonic };
    let policy = policy();
    let known = Known {
        policy: &policy,
        horizon: Some(&horizon),
        healthy_since: Some(at(healthy)),
        fell_over,
        now: &now,
    };
    wait(open, &known)
}

/// The instant is the core's, and the words name what decides it.
#[test]
fn a_drain_says_until_when_and_what_moves_that() {
    let open = open(Step::Drain);
    let lease = asked(&open, Some(60), 0, 10);
    assert_eq!(lease.until, Some(later(at(75), Duration::from_secs(1))));
    let when = lease.when.expect("a reason");
    assert!(when.contains("the last lease") && !when.contains("gap"), "{when}");

    // A restart in the middle: clients need their time after it, and the lease is still there.
    let restart = asked(&open, Some(60), 50, 55);
    assert_eq!(restart.until, Some(later(at(50 + 15 + 15), Duration::from_secs(1))));
    let when = restart.when.expect("a reason");
    assert!(when.contains("the last lease") && when.contains("recovered from the gap"), "{when}");

    let only_restart = asked(&open, Some(20), 50, 55).when.expect("a reason");
    assert!(only_restart.starts_with("clients have recovered"), "{only_restart}");
    let nobody = asked(&open, None, 0, 5).when.expect("a reason");
    assert!(nobody.contains("published"), "{nobody}");
    assert_eq!(asked(&open, Some(60), 0, 100).until, None);
}

#[test]
fn the_proxys_last_use_of_the_old_key_is_named_if_it_is_what_holds() {
    let open = open(Step::Drain);
    let used = |at_second| asked_of(&open, Some(60), 0, Some(at(at_second)), 70);
    assert_eq!(used(50), asked(&open, Some(60), 0, 70));
    let wait = used(70);
    assert_eq!(wait.until, Some(later(at(85), Duration::from_secs(1))));
    assert!(wait.what.contains("proxy") && wait.when.expect("a reason").contains("signed"));
}

#[test]
fn unknown_holders_of_a_key_that_was_handed_over_have_their_time() {
    let mut open = open(Step::Drain);
    assert_eq!(asked(&open, Some(60), 0, 10).over, None);
    open.outgoing.origin = Origin::HandedOver;
    // Before the leases have ended it is told already: whoever asks when the key goes is not to hear of them alone.
    let wait = asked(&open, Some(60), 0, 10);
    assert_eq!(wait.over, Some(at(60 + 15 + 240)));
    assert!(wait.until < wait.over && wait.when.expect("a reason").contains("does not know of"));
    let wait = asked(&open, Some(60), 0, 100);
    assert_eq!(wait.until, Some(at(60 + 15 + 240)));
    assert!(wait.when.expect("a reason").contains("4h"));
    // The proxy's own uses show nobody.
    assert_eq!(asked_of(&open, Some(60), 0, Some(at(70)), 100).until, Some(at(70 + 15 + 240)));
}

#[test]
fn a_soak_names_its_end_and_the_way_back() {
    let mut open = open(Step::Soak);
    open.deactivated = Some(at(80));
    let wait = asked(&open, None, 0, 100);
    assert_eq!(wait.until, Some(at(80 + 7 * 1440)));
    assert!(wait.when.expect("a reason").contains("`undo` brings it back"));
    open.compromised = Some(open.outgoing.id.clone());
    let wait = asked(&open, None, 0, 100);
    assert!(!wait.when.expect("a reason").contains("undo"), "what leaked is not to come back");
    open.stuck = Some("a stranger".into());
    assert_eq!(asked(&open, None, 0, 100).what, "a person to decide");
}

#[test]
fn what_is_undone_or_given_up_goes_back() {
    let soaking = Open { deactivated: Some(at(1)), ..open(Step::Soak) };
    assert_eq!(Headline::under_way(&soaking).word(), "rotating (soak)");
    let undone = Open { undone: Some("x".to_owned()), ..soaking };
    let aborting = Open { aborting: Some("x".to_owned()), ..open(Step::Verify) };
    for open in [undone, aborting] {
        let headline = Headline::under_way(&open);
        assert_eq!((headline.word(), headline.name()), ("going back", "rotating"));
    }
}
