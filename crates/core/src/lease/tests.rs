use super::*;
use crate::policy::{OnStraggler, Policy};

const LEASE: Duration = Duration::from_secs(900);

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + second).expect("in range")
}

fn now(wall: i64, boot: &str, since_boot: u64) -> Now {
    let since_boot = Duration::from_secs(since_boot);
    Now { wall: at(wall), monotonic: Monotonic { boot: boot.to_owned(), since_boot } }
}

/// X = 10, S = 100, C = 1, presigned 1000.
fn policy() -> Policy {
    let zero = Duration::ZERO;
    Policy {
        successes: 1,
        spacing: zero,
        settle: zero,
        deadline: zero,
        vantages: Vec::new(),
        lease: LEASE,
        client_backoff: Duration::from_secs(10),
        signature_window: Duration::from_secs(100),
        presigned_ttl: Duration::from_secs(1000),
        observe: zero,
        soak: zero,
        orphan_wait: zero,
        on_straggler: OnStraggler::Hold,
        create_timeout: zero,
        lost_reply_wait: zero,
    }
}

fn horizon(served: Option<i64>, mono: Option<u64>, unrecorded: Option<i64>) -> Horizon {
    let monotonic =
        |seconds| Monotonic { boot: "a".to_owned(), since_boot: Duration::from_secs(seconds) };
    Horizon {
        served_until: served.map(at),
        monotonic: mono.map(monotonic),
        unrecorded_until: unrecorded.map(at),
    }
}

fn id(text: &str) -> AccessKeyId {
    text.parse().expect("an id")
}

#[test]
fn a_key_is_safe_when_the_wall_clock_says_so_to_the_second() {
    let cases = [
        // Never served: only clients that back off.
        (None, 10 + 1101),
        (Some(horizon(None, None, None)), 10 + 1101),
        // The last answer ended before the back-off does.
        (Some(horizon(Some(5), None, None)), 10 + 1101),
        (Some(horizon(Some(500), None, None)), 500 + 1101),
        // An answer that could not be recorded ends later than those that were, or earlier.
        (Some(horizon(Some(500), None, Some(700))), 700 + 1101),
        (Some(horizon(Some(500), None, Some(300))), 500 + 1101),
        (Some(horizon(None, None, Some(300))), 300 + 1101),
    ];
    for (horizon, end) in cases {
        let safe = |wall| safety(horizon.as_ref(), at(0), &policy(), &now(wall, "a", 0));
        assert_eq!(safe(end - 1), Safety::NotBefore(at(end)), "{horizon:?}");
        assert_eq!(safe(end), Safety::Safe, "{horizon:?}");
    }
}

#[test]
fn what_the_proxy_signed_holds_a_key_for_as_long_as_it_is_good() {
    let horizon = horizon(Some(500), None, None);
    let safe = |fell_over: Option<i64>, wall| {
        let serving = Serving { healthy_since: at(0), fell_over: fell_over.map(at) };
        safety(Some(&horizon), serving, &policy(), &now(wall, "a", 0))
    };
    // Neither X nor anything else comes on top; and what the leases ask for stays.
    for (fell_over, end) in [(None, 500), (Some(499), 500), (Some(501), 501), (Some(900), 900)] {
        let end = end + 1101;
        assert_eq!(safe(fell_over, end - 1), Safety::NotBefore(at(end)), "{fell_over:?}");
        assert_eq!(safe(fell_over, end), Safety::Safe, "{fell_over:?}");
    }
}

#[test]
fn a_wall_clock_that_was_set_forward_does_not_make_a_key_safe() {
    let horizon = horizon(Some(500), Some(2000), None);
    let safe = |mono| safety(Some(&horizon), at(0), &policy(), &now(1_000_000, "a", mono));
    assert_eq!(safe(2099), Safety::NotBefore(at(1_000_001)));
    assert_eq!(safe(500), Safety::NotBefore(at(1_001_600)));
    assert_eq!(safe(2100), Safety::Safe);
}

#[test]
fn a_wall_clock_that_was_set_back_holds_a_key() {
    let horizon = horizon(Some(500), Some(2000), None);
    let now = now(-1000, "a", 1_000_000);
    let safe = safety(Some(&horizon), at(0), &policy(), &now);
    assert_eq!(safe, Safety::NotBefore(at(1601)));
}

#[test]
fn the_monotonic_clock_of_another_boot_says_nothing() {
    let horizon = horizon(Some(500), Some(2000), None);
    let safe = |wall| safety(Some(&horizon), at(0), &policy(), &now(wall, "b", 1));
    assert_eq!(safe(1601), Safety::Safe);
    assert_eq!(safe(1600), Safety::NotBefore(at(1601)));
}

#[test]
fn a_horizon_only_ever_rises() {
    let mut ledger = Ledger::new(id("AKIAOLD"), Generation(1), at(0));
    let ahead = Duration::from_secs(60);
    assert_eq!(ledger.covers(Generation(1), at(0)), Ok(false));
    ledger.extend(Generation(1), &now(100, "a", 50), LEASE, ahead).expect("served");
    assert_eq!(ledger.covers(Generation(1), at(1060)), Ok(true));
    assert_eq!(ledger.covers(Generation(1), at(1061)), Ok(false));
    // The wall clock is set back: neither clock's horizon falls.
    ledger.extend(Generation(1), &now(0, "a", 40), LEASE, ahead).expect("served");
    assert_eq!(ledger.horizons[&id("AKIAOLD")], horizon(Some(1060), Some(1010), None));
    // After another boot the old reading means nothing.
    ledger.extend(Generation(1), &now(0, "b", 1), LEASE, ahead).expect("served");
    let kept = &ledger.horizons[&id("AKIAOLD")];
    assert_eq!(kept.served_until, Some(at(1060)));
    assert_eq!(kept.monotonic.as_ref().map(|m| m.since_boot.as_secs()), Some(961));
}

#[test]
fn a_superseded_generation_is_neither_covered_nor_extended() {
    let mut ledger = Ledger::new(id("AKIAOLD"), Generation(1), at(0));
    ledger.extend(Generation(1), &now(0, "a", 0), LEASE, LEASE).expect("served");
    ledger.publish(id("AKIANEW"), Generation(2), &now(10, "a", 10), LEASE);
    let superseded = Superseded { asked: Generation(1), current: Generation(2) };
    assert_eq!(ledger.covers(Generation(1), at(0)), Err(superseded));
    let before = ledger.clone();
    assert!(ledger.extend(Generation(1), &now(20, "a", 20), LEASE, LEASE).is_err());
    assert_eq!(ledger, before);
    // What could not be recorded ends a lease after the key was superseded.
    assert_eq!(ledger.horizons[&id("AKIAOLD")].unrecorded_until, Some(at(910)));
    assert_eq!(ledger.published, at(10));
}

#[test]
fn a_superseded_key_is_held_for_a_lease_on_the_monotonic_clock() {
    let superseded = |recorded: &[Now], cutover: Now| {
        let mut ledger = Ledger::new(id("AKIAOLD"), Generation(1), at(0));
        for now in recorded {
            ledger.extend(Generation(1), now, LEASE, Duration::from_secs(60)).expect("served");
        }
        ledger.publish(id("AKIANEW"), Generation(2), &cutover, LEASE);
        ledger.horizons[&id("AKIAOLD")].monotonic.clone()
    };
    let until = |boot: &str, second| Some(now(0, boot, second).monotonic);
    // The ledger could not be written.
    assert_eq!(superseded(&[], now(10, "a", 10)), until("a", 910));
    // What was written lasts longer, or does not.
    assert_eq!(superseded(&[now(0, "a", 0)], now(10, "a", 10)), until("a", 960));
    assert_eq!(superseded(&[now(0, "a", 0)], now(100, "a", 100)), until("a", 1000));
    // The wall clock was set back, so that the old horizon covered all that was served for a day.
    assert_eq!(superseded(&[now(0, "a", 0)], now(0, "a", 86_400)), until("a", 87_300));
    // The machine was booted, and the old horizon still covers what is served.
    assert_eq!(superseded(&[now(0, "a", 5000)], now(30, "b", 20)), until("b", 920));
}

#[test]
fn publishing_the_served_key_again_moves_nothing_back() {
    let mut ledger = Ledger::new(id("AKIAOLD"), Generation(1), at(0));
    ledger.publish(id("AKIAOLD"), Generation(3), &now(10, "a", 10), LEASE);
    assert_eq!((ledger.generation, ledger.published), (Generation(3), at(0)));
    assert!(ledger.horizons.is_empty());
}

#[test]
fn each_revocation_counts_whatever_the_clock_says() {
    let mut ledger = Ledger::new(id("AKIAOLD"), Generation(1), at(0));
    ledger.void_sessions(at(100));
    let first = ledger.clone();
    ledger.void_sessions(at(50));
    assert_eq!((ledger.sessions_since, ledger.revocations), (Some(at(100)), 2));
    assert_ne!(ledger, first);
}

/// A ledger of before there were revocations is read, and one without any looks like it.
#[test]
fn revocations_are_written_once_there_are_any() {
    let mut ledger = Ledger::new(id("AKIAOLD"), Generation(1), at(0));
    let written = |ledger: &Ledger| serde_json::to_value(ledger).expect("plain data");
    let before = written(&ledger);
    assert_eq!(before.get("revocations"), None);
    ledger.void_sessions(at(100));
    assert_eq!(written(&ledger)["revocations"], 1);
    for value in [before, written(&ledger)] {
        let read: Ledger = serde_json::from_value(value.clone()).expect("the same");
        assert_eq!(written(&read), value);
    }
}

#[test]
fn the_served_key_is_never_forgotten() {
    let mut ledger = Ledger::new(id("AKIAOLD"), Generation(1), at(0));
    ledger.extend(Generation(1), &now(0, "a", 0), LEASE, LEASE).expect("served");
    ledger.forget(&id("AKIAOLD"));
    assert_eq!(ledger.horizons.len(), 1);
    ledger.publish(id("AKIANEW"), Generation(2), &now(10, "a", 10), LEASE);
    ledger.forget(&id("AKIAOLD"));
    assert!(ledger.horizons.is_empty());
}
