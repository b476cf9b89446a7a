//! When a key is due, and until when nothing is looked at.

use std::time::Duration;

use rotakey_core::journal::Record;
use rotakey_core::rotation::WaitingFor;
use rotakey_core::time::later;

use super::super::{Next, Why, is_kept, of_age, peeks_at};
use super::desk::{BEGIN, DAY, Desk, RESUME, id, seconds, start};
use crate::driver::Came;

#[test]
fn a_key_is_rotated_at_its_age_and_looked_at_within_the_hour_before() {
    let mut desk = Desk::new(&[]);
    let due = later(start(), of_age(seconds(30 * DAY), "p"));
    assert_eq!(desk.look(), Next::At(later(start(), seconds(3600))));
    assert_eq!(desk.scheduler.view().due, Some(due));
    assert_eq!(desk.scheduler.view().waits_for, None);
    desk.pass(Duration::try_from(due.duration_since(start())).expect("ahead"));
    assert_eq!(desk.look(), BEGIN);
    desk.publish();
    assert_eq!(desk.look(), RESUME);
    assert_eq!(desk.scheduler.view().due, None);
}

#[test]
fn a_straggler_a_stuck_rotation_and_a_person_who_comes() {
    let mut desk = Desk::new(&[]);
    desk.publish();
    let until = later(desk.now.wall, seconds(4 * 3600));
    desk.came_to(&Came::Waits(until, WaitingFor::Straggler(start(), "s3".to_owned())));
    assert_eq!(desk.look(), Next::At(until));
    let json = desk.scheduler.view().to_json();
    assert_eq!(json["waits_for"], "straggler");
    assert_eq!(json["until"], json["next_look"]);
    assert!(json["detail"].as_str().is_some_and(|detail| detail.contains("s3")), "{json}");
    assert_eq!((&json["due"], &json["failures"]), (&serde_json::Value::Null, &0.into()));
    desk.scheduler.wake();
    assert_eq!(desk.look(), RESUME);
    desk.write(Record::Stuck { why: "who is that".to_owned() });
    assert_eq!(desk.waits_for(), Some(Why::Person));
    assert_eq!(desk.scheduler.view().detail.as_deref(), Some("who is that"));
    desk.write(Record::Resumed);
    assert_eq!(desk.look(), RESUME);
}

#[test]
fn long_waits_are_left_to_the_journal_and_short_ones_and_probes_are_not() {
    let soon = later(start(), seconds(5));
    let long = later(start(), seconds(6));
    assert!(is_kept(start(), soon, &WaitingFor::Leases));
    assert!(!is_kept(start(), long, &WaitingFor::Leases));
    assert!(!is_kept(start(), long, &WaitingFor::Straggler(start(), String::new())));
    assert!(is_kept(start(), long, &WaitingFor::Propagation));
}

/// A command wrote its record, and was killed before it woke the agent.
#[test]
fn a_hold_is_over_when_the_journal_has_gone_on_without_it() {
    let mut desk = Desk::new(&[]);
    desk.soak();
    assert_eq!(desk.waits_for(), Some(Why::Soak));
    desk.write(Record::UndoBegun { why: "a person".to_owned(), forced: false });
    assert_eq!(desk.look(), RESUME);

    let mut desk = Desk::new(&[]);
    desk.publish();
    let until = later(desk.now.wall, seconds(4 * 3600));
    desk.came_to(&Came::Waits(until, WaitingFor::Leases));
    assert_eq!(desk.look(), Next::At(until));
    assert_eq!(desk.look(), Next::At(until));
    desk.write(Record::Compromised { access_key_id: id("AKIAOLD") });
    assert_eq!(desk.look(), RESUME);
    // It may have been written before the hold was looked at for the first time.
    let before = desk.status.clone();
    desk.write(Record::UndoBegun { why: "a person".to_owned(), forced: true });
    desk.scheduler.came_to(desk.now.wall, &Came::Waits(until, WaitingFor::Leases), &before);
    assert_eq!(desk.look(), RESUME);
}

#[test]
fn an_open_rotations_journal_is_looked_at_each_minute_and_any_within_the_hour() {
    let mut desk = Desk::new(&[]);
    let week = later(start(), seconds(7 * DAY));
    assert_eq!(peeks_at(start(), week, &desk.status), later(start(), seconds(3600)));
    desk.soak();
    assert_eq!(peeks_at(start(), week, &desk.status), later(start(), seconds(60)));
    let soon = later(start(), seconds(3));
    assert_eq!(peeks_at(start(), soon, &desk.status), soon);
}
