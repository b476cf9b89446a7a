//! How long it is until something that did not go well is tried again.

use rotakey_core::rotation::Finding;
use rotakey_core::time::later;

use super::super::{Scheduler, Why};
use super::desk::{BEGIN, DAY, Desk, id, seconds, start};
use crate::driver::Came;

#[test]
fn failures_back_off_and_calls_that_do_not_arrive_are_none() {
    let mut desk = Desk::new(&[]);
    desk.go_to(40, "00:00");
    let mut pauses = Vec::new();
    for n in 1..=9 {
        desk.came_to(&Came::Failed("the disk is full".to_owned()));
        assert_eq!(desk.waits_for(), Some(Why::Backoff));
        assert_eq!(desk.scheduler.failures(), n);
        pauses.push(desk.pause());
        desk.pass(seconds(1200));
        assert_eq!(desk.look(), BEGIN);
    }
    assert!((7..=13).contains(&pauses[0]) && (14..=26).contains(&pauses[1]), "{pauses:?}");
    assert!(pauses[7..].iter().all(|pause| (674..=1126).contains(pause)), "{pauses:?}");
    assert_ne!(pauses[7], pauses[8], "jitter");
    for _ in 0..8 {
        desk.came_to(&Came::Offline("no route".to_owned()));
        assert_eq!(desk.waits_for(), Some(Why::Offline));
        assert!(desk.pause() <= 375, "{}", desk.pause());
        desk.pass(seconds(400));
    }
    assert_eq!(desk.scheduler.failures(), 9, "being offline is no failure");
    desk.came_to(&Came::Clock("an hour ahead".to_owned()));
    assert_eq!(desk.waits_for(), Some(Why::Clock));
    assert_eq!(desk.scheduler.view().detail.as_deref(), Some("an hour ahead"));
}

#[test]
fn a_rotation_that_is_taken_back_is_not_tried_again_at_once() {
    let mut desk = Desk::new(&[]);
    desk.go_to(40, "00:00");
    for least in [2700, 5400, 10_800] {
        desk.came_to(&Came::Abandoned("the new key is refused".to_owned()));
        assert!((least..=least * 2).contains(&desk.pause()), "{} {least}", desk.pause());
    }
    desk.came_to(&Came::Blocked(vec![Finding::Stranger(vec![id("AKIAX")])]));
    assert_eq!(desk.waits_for(), Some(Why::Person));
    assert!((2700..=4500).contains(&desk.pause()));
}

#[test]
fn after_a_sleep_profiles_take_turns_and_what_failed_before_is_forgotten() {
    let mut ends = std::collections::BTreeSet::new();
    for name in ["a", "b", "c", "d"] {
        let mut desk = Desk::new(&[]);
        desk.scheduler = Scheduler::new(name);
        desk.go_to(40, "00:00");
        assert_eq!(desk.look(), BEGIN);
        for _ in 0..6 {
            desk.came_to(&Came::Offline("no route".to_owned()));
        }
        assert_eq!(desk.waits_for(), Some(Why::Offline));
        // The wall clock goes on, the monotonic one does not.
        desk.now.wall = later(desk.now.wall, seconds(61));
        assert_eq!(desk.waits_for(), Some(Why::Turn));
        let pause = desk.pause();
        assert!((5..=65).contains(&pause), "{pause}");
        ends.insert(pause);
        desk.pass(seconds(pause + 1));
        assert_eq!(desk.look(), BEGIN);
    }
    assert!(ends.len() > 2, "{ends:?}");
}

#[test]
fn a_clock_that_is_set_back_does_not_prolong_a_hold() {
    let mut desk = Desk::new(&[]);
    desk.go_to(40, "00:00");
    desk.came_to(&Came::Failed("why".to_owned()));
    desk.now.wall = later(start(), seconds(39 * DAY));
    assert_eq!(desk.look(), BEGIN);
}
