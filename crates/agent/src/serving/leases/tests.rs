use rotakey_core::credential::{AccessKeyId, Credentials, SecretAccessKey};
use rotakey_core::lease::Ledger;
use rotakey_endpoint::lease::Grant;
use rotakey_endpoint::publish::Snapshot;

use super::*;
use crate::store::profile::ProfileState;

const LEASE: Duration = Duration::from_secs(3600);

fn id(text: &str) -> AccessKeyId {
    text.parse().expect("an id")
}

/// A key that is served, its horizon written.
fn served(state: ProfileState, now: &Now) -> ServedKey {
    drop(state.lock().expect("free"));
    let first = Ledger::new(id("AKIAOLD"), Generation(1), now.wall);
    state.update_ledger(|slot| *slot = Some(first)).expect("writable");
    let key = ServedKey::for_test(state, LEASE);
    let credentials = Credentials::long_term(id("AKIAOLD"), SecretAccessKey::new("s".to_owned()));
    let snapshot = Snapshot {
        generation: Generation(1),
        key: id("AKIAOLD"),
        credentials,
        valid_until: None,
        covered_until: None,
    };
    key.key.publish(snapshot).expect("the first");
    note(&key, &raise(&key, now).expect("writable").expect("a key"));
    key
}

fn grant(key: &ServedKey, now: Timestamp) -> Grant {
    key.key.subscribe().latest().as_ref().expect("published").grant(now, LEASE)
}

/// ADR 4: nobody tells us of another process's publish, and still no answer outlives what it counted with.
#[test]
fn what_is_promised_after_a_publish_by_another_process_was_counted_before_it() {
    let dir = tempfile::tempdir().expect("a folder");
    let state = ProfileState::new(dir.path(), "p");
    let now = SystemClock::new().now();
    let key = served(state.clone(), &now);
    let later = |seconds| later(now.wall, Duration::from_secs(seconds));
    assert_eq!(grant(&key, now.wall), Grant::Covered(later(3600)));
    let flip = |slot: &mut Option<Ledger>| {
        let ledger = slot.as_mut().expect("written");
        ledger.publish(id("AKIANEW"), Generation(2), &now, LEASE);
        ledger.horizons[&id("AKIAOLD")].served_until.expect("it was served")
    };
    let counted = state.update_ledger(flip).expect("writable");
    // The horizon that is raised from now on is the new key's.
    let raised = raise(&key, &now).expect("writable").expect("a key");
    assert_eq!(raised.generation, Generation(2));
    note(&key, &raised);
    for after in [0, 60, 600, 1800, 2400, 3600, 4200] {
        match grant(&key, later(after)) {
            Grant::Covered(until) => assert!(until <= counted, "{after} s later: {until}"),
            Grant::Uncovered(_) | Grant::Over => assert!(after > 1800, "{after} s later"),
        }
    }
}

#[test]
fn a_horizon_is_raised_ahead_and_not_for_each_answer() {
    let dir = tempfile::tempdir().expect("a folder");
    let state = ProfileState::new(dir.path(), "p");
    let now = SystemClock::new().now();
    let key = served(state.clone(), &now);
    let first = key.covered_until();
    assert_eq!(first.as_second(), later(now.wall, LEASE + ahead(LEASE)).as_second());
    let mut soon = now.clone();
    soon.wall = later(now.wall, ahead(LEASE) / 3);
    note(&key, &raise(&key, &soon).expect("writable").expect("a key"));
    assert_eq!(key.covered_until(), first, "it reaches far enough");
    soon.wall = later(now.wall, ahead(LEASE));
    assert!(!is_near(&key, soon.wall));
    note(&key, &raise(&key, &soon).expect("writable").expect("a key"));
    assert!(key.covered_until() > first);
    // Nobody asked for long: it is raised before an answer would have to wait for the disk.
    assert!(is_near(&key, later(now.wall, Duration::from_secs(2700))));
}
