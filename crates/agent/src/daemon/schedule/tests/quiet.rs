//! What quiet hours hold back, and what they do not.

use std::time::Duration;

use rotakey_core::journal::{Act, Reason, Record};
use rotakey_core::rotation::WaitingFor;
use rotakey_core::time::later;

use super::super::{Next, Why, held_back};
use super::desk::{BEGIN, DAY, Desk, RESUME, id, seconds, start};
use crate::driver::Came;

#[test]
fn no_rotation_begins_in_quiet_hours_before_the_key_is_as_old_as_cis_allows() {
    let mut desk = Desk::new(&["08:00-18:00"]);
    desk.go_to(40, "08:00");
    assert_eq!(desk.waits_for(), Some(Why::QuietHours));
    let end = later(start(), seconds(40 * DAY + 18 * 3600));
    assert_eq!(desk.scheduler.view().until, Some(end));
    let begun = Record::Begun { reason: Reason::Scheduled };
    assert_eq!(held_back(&desk.rules, &desk.status, &begun, desk.now.wall), Some(end));
    desk.go_to(40, "18:00");
    assert_eq!(desk.look(), BEGIN);
    desk.go_to(90, "09:00");
    assert_eq!(desk.look(), BEGIN, "it is 90 days old");
    assert_eq!(held_back(&desk.rules, &desk.status, &begun, desk.now.wall), None);
}

#[test]
fn what_is_begun_is_published_in_quiet_hours_and_nothing_deactivated_or_deleted() {
    let mut desk = Desk::new(&["08:00-18:00"]);
    desk.go_to(40, "07:59");
    desk.write(Record::Begun { reason: Reason::Scheduled });
    desk.go_to(40, "08:30");
    assert_eq!(desk.look(), RESUME);
    let create = Act::Create { known: Vec::new(), clock_offset_ms: 0 };
    let held = |desk: &Desk, act: Act| {
        held_back(&desk.rules, &desk.status, &Record::Intended { act }, desk.now.wall).is_some()
    };
    assert!(held(&desk, create), "the key is not made yet");
    let mut desk = Desk::new(&["08:00-18:00"]);
    desk.go_to(40, "07:59");
    desk.publish();
    desk.go_to(40, "09:30");
    assert_eq!(desk.waits_for(), Some(Why::QuietHours));
    let act = Act::Deactivate { access_key_id: id("AKIAOLD") };
    desk.write(Record::Drained { access_key_id: id("AKIAOLD") });
    assert!(held(&desk, act.clone()));
    // Once it is announced, it may have been done.
    desk.write(Record::Intended { act: act.clone() });
    assert!(!held(&desk, act.clone()));
    assert_eq!(desk.look(), RESUME);
    desk.write(Record::Done { act });
    desk.go_to(47, "09:30");
    assert_eq!(desk.waits_for(), Some(Why::QuietHours));
    assert!(held(&desk, Act::Delete { access_key_id: id("AKIAOLD") }));
    desk.go_to(47, "18:00");
    assert_eq!(desk.look(), RESUME);
    // A machine that is awake in them alone.
    desk.go_to(54, "09:29");
    assert_eq!(desk.waits_for(), Some(Why::QuietHours));
    desk.go_to(54, "09:30");
    assert_eq!(desk.look(), RESUME);
    assert!(!held(&desk, Act::Delete { access_key_id: id("AKIAOLD") }));
}

/// How often the engine runs from 08:00 to 18:00, if it is at this record whenever it runs; ends if that may be written.
fn runs_until_six(desk: &mut Desk, record: &Record) -> (u32, bool) {
    let end = later(start(), seconds(40 * DAY + 18 * 3600));
    let mut runs = 0;
    while desk.now.wall < end && runs < 100 {
        match desk.look() {
            Next::At(next) => {
                let left = next.duration_since(desk.now.wall);
                desk.pass(Duration::try_from(left).expect("ahead").max(seconds(1)));
            }
            Next::Run(_) => {
                runs += 1;
                match held_back(&desk.rules, &desk.status, record, desk.now.wall) {
                    None => return (runs, true),
                    Some(until) => desk.came_to(&Came::Waits(until, WaitingFor::QuietHours)),
                }
                desk.pass(Duration::from_millis(1));
            }
            Next::Health => panic!("nothing soaks"),
        }
    }
    (runs, false)
}

#[test]
fn what_is_held_back_in_quiet_hours_is_not_tried_again_before_they_end() {
    let hours = ["08:00-18:00"];
    let intended = |act: Act| Record::Intended { act };
    let create = || Act::Create { known: vec![id("AKIAOLD")], clock_offset_ms: 0 };
    let begun = |clock: &str| {
        let mut desk = Desk::new(&hours);
        desk.go_to(40, clock);
        desk.write(Record::Begun { reason: Reason::Scheduled });
        desk
    };
    // Begun, then a crash.
    let mut desk = begun("07:59");
    desk.go_to(40, "08:30");
    assert_eq!(runs_until_six(&mut desk, &intended(create())), (1, false));
    assert_eq!(desk.look(), RESUME);
    // The creation was throttled directly before.
    let mut desk = begun("07:59");
    desk.write(intended(create()));
    desk.write(Record::NotCreated { why: "throttled".to_owned() });
    desk.go_to(40, "08:00");
    assert_eq!(runs_until_six(&mut desk, &intended(create())), (1, false));
    // The new key is accepted nowhere until the deadline, which is over at 09:00: it is given up.
    let mut desk = begun("07:59");
    desk.write(intended(create()));
    let created = desk.now.wall;
    desk.write(Record::Created { access_key_id: id("AKIANEW"), created, adopted: false });
    desk.go_to(40, "09:00");
    desk.write(Record::AbortBegun { why: "it is refused".to_owned() });
    let delete = intended(Act::Delete { access_key_id: id("AKIANEW") });
    assert_eq!(runs_until_six(&mut desk, &delete), (1, true));
    // The reply was lost, and the key is found.
    let mut desk = begun("07:59");
    desk.write(intended(create()));
    desk.write(Record::OrphanFound { access_key_id: id("AKIANEW"), created });
    desk.go_to(40, "08:30");
    let deactivate = Act::Deactivate { access_key_id: id("AKIANEW") };
    assert_eq!(runs_until_six(&mut desk, &intended(deactivate.clone())), (1, true));
    desk.write(intended(deactivate.clone()));
    desk.write(Record::Done { act: deactivate });
    // It is somebody's after all, perhaps: that waits.
    let delete = intended(Act::Delete { access_key_id: id("AKIANEW") });
    assert_eq!(runs_until_six(&mut desk, &delete), (1, false));
    assert_eq!(runs_until_six(&mut begun("08:01"), &intended(create())), (1, true));
}

#[test]
fn seven_days_of_quiet_are_counted_from_the_publish() {
    let mut desk = Desk::new(&["00:00-22:00"]);
    desk.go_to(40, "00:00");
    desk.publish();
    desk.go_to(46, "12:00");
    desk.write(Record::Drained { access_key_id: id("AKIAOLD") });
    assert_eq!(desk.waits_for(), Some(Why::QuietHours));
    desk.go_to(47, "00:00");
    assert_eq!(desk.look(), RESUME, "not seven more");
    let act = Act::Deactivate { access_key_id: id("AKIAOLD") };
    assert_eq!(
        held_back(&desk.rules, &desk.status, &Record::Intended { act }, desk.now.wall),
        None
    );
}
