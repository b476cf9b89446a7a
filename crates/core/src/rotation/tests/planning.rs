//! Where a rotation is taken up again, from the journal and a list: `plan`, asked directly.

use super::moments::{LOST, ROTATE, crashed, crashed_in, create, intends, is_done, world, writes};
use super::world::{World, at, id, old};
use crate::credential::{AccessKeyId, KeyStatus};
use crate::iam::{KeyList, ListedKey};
use crate::journal::{Record, Status};
use crate::recovery::{Plan, plan};
use crate::rotation::Goal;

use KeyStatus::{Active, Inactive};

fn new() -> AccessKeyId {
    id("AKIANEW1")
}

fn listing(keys: &[(AccessKeyId, KeyStatus)]) -> KeyList {
    let line = |(access_key_id, status): &(AccessKeyId, KeyStatus)| ListedKey {
        access_key_id: access_key_id.clone(),
        status: *status,
        created: at(0),
    };
    KeyList { keys: keys.iter().map(line).collect(), server_time: at(0) }
}

/// What a rotation amounts to that crashed directly after the first such record.
fn after(test: impl Fn(&Record) -> bool) -> Status {
    crashed(|command| writes(command, &test)).status()
}

fn is_stuck(plan: &Plan, why: &str) -> bool {
    matches!(plan, Plan::Stuck(text) if text.contains(why))
}

#[test]
fn a_new_key_that_no_list_has_yet_is_verified() {
    let status = after(|record| matches!(record, Record::Created { .. }));
    assert_eq!(plan(&status, &listing(&[(old(), Active)])), Plan::Verify);
    let both = listing(&[(old(), Active), (new(), Active)]);
    assert_eq!(plan(&status, &both), Plan::Verify);
    let inactive = plan(&status, &listing(&[(old(), Active), (new(), Inactive)]));
    assert!(is_stuck(&inactive, "deactivated by somebody else"), "{inactive:?}");
}

/// An undo that crashed directly after it was begun.
fn turned_round() -> World {
    let published = crashed(|command| writes(command, |record| is_done(record, "publish")));
    crashed_in(&published, &Goal::Undo, None, |record| matches!(record, Record::UndoBegun { .. }))
}

#[test]
fn a_previous_key_that_is_gone_cannot_be_served_again() {
    let status = turned_round().status();
    let gone = plan(&status, &listing(&[(new(), Active)]));
    assert_eq!(gone, Plan::Note(Record::Vanished { access_key_id: old() }));
    let nothing_works = plan(&status, &listing(&[(new(), Inactive)]));
    assert!(is_stuck(&nothing_works, "the previous key AKIAOLD is gone"), "{nothing_works:?}");
    // It is the way out when the key that is served does not work any more.
    let broken = plan(&status, &listing(&[(old(), Active), (new(), Inactive)]));
    assert_eq!(broken, Plan::Verify);
}

#[test]
fn once_an_undo_has_published_the_previous_key_trouble_with_it_is_told() {
    let published = |record: &Record| is_done(record, "publish");
    let world = crashed_in(&turned_round(), &Goal::Resume, None, published);
    let trouble = plan(&world.status(), &listing(&[(old(), Inactive), (new(), Active)]));
    assert!(is_stuck(&trouble, "the served key AKIAOLD was deactivated"), "{trouble:?}");
}

#[test]
fn a_deactivated_key_that_is_active_again_is_for_a_person_to_see() {
    let status = after(|record| is_done(record, "deactivate"));
    let soaking = listing(&[(old(), Inactive), (new(), Active)]);
    assert_eq!(plan(&status, &soaking), Plan::Soak);
    let again = plan(&status, &listing(&[(old(), Active), (new(), Active)]));
    assert!(is_stuck(&again, "made active again"), "{again:?}");
    let gone = plan(&status, &listing(&[(new(), Active)]));
    assert_eq!(gone, Plan::Note(Record::Vanished { access_key_id: old() }));
}

#[test]
fn a_key_that_we_began_to_delete_has_to_be_seen_gone_by_the_same_rule_as_ever() {
    let world = crashed(|command| intends(command, "delete"));
    assert_eq!(plan(&world.status(), &listing(&[(new(), Active)])), Plan::Soak);
}

#[test]
fn one_list_does_not_make_an_orphan_gone_that_nobody_touched() {
    let found = |record: &Record| matches!(record, Record::OrphanFound { .. });
    let world = crashed_in(&world(), &ROTATE, Some((create(), LOST)), found);
    let gone = plan(&world.status(), &listing(&[(old(), Active)]));
    assert_eq!(gone, Plan::Orphan, "a list may lag behind the creation");
    let there = plan(&world.status(), &listing(&[(old(), Active), (new(), Active)]));
    assert_eq!(there, Plan::Orphan);
    let fenced = |record: &Record| is_done(record, "deactivate");
    let world = crashed_in(&self::world(), &ROTATE, Some((create(), LOST)), fenced);
    let gone = plan(&world.status(), &listing(&[(old(), Active)]));
    assert_eq!(gone, Plan::Note(Record::Vanished { access_key_id: new() }));
}
