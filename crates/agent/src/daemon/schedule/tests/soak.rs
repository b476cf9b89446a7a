//! Signs, during the soak, that the old key is still needed.

use rotakey_core::journal::{Record, Step};
use rotakey_core::rotation::Goal;

use super::super::{Health, Next, Why};
use super::desk::{Desk, RESUME, seconds};
use crate::driver::Came;

#[test]
fn what_is_served_is_tried_during_the_soak_and_refusals_in_a_row_are_a_sign() {
    let mut desk = Desk::new(&["00:00-22:00"]);
    desk.soak();
    let refused = || Health::Refused("sts refuses it".to_owned());
    let mut tried = 0;
    let mut next = |desk: &mut Desk, health: Health| {
        let pause = desk.pause();
        desk.pass(seconds(pause + 1));
        assert_eq!(desk.look(), Next::Health);
        desk.scheduler.health(desk.now.wall, &desk.rules, health);
        tried += 1;
        pause
    };
    assert!((2700..=4500).contains(&next(&mut desk, Health::Good)));
    for health in [refused(), refused(), Health::Good, refused(), Health::Unknown, refused()] {
        next(&mut desk, health);
    }
    assert_eq!(next(&mut desk, refused()), 20);
    let sign = Goal::Reactivate("sts refuses it".to_owned());
    assert_eq!(desk.look(), Next::Run(sign.clone()), "in quiet hours as well");
    // It does not work, and is tried again with patience.
    desk.came_to(&Came::Failed("AWS refused iam:ListAccessKeys".to_owned()));
    assert_eq!(desk.waits_for(), Some(Why::Backoff));
    desk.pass(seconds(20));
    assert_eq!(desk.look(), Next::Health, "it may work by now");
    desk.scheduler.health(desk.now.wall, &desk.rules, Health::Unknown);
    assert_eq!((desk.pause(), desk.waits_for()), (60, Some(Why::Backoff)));
    desk.pass(seconds(60));
    for _ in 0..2 {
        assert_eq!(desk.look(), Next::Health);
        desk.scheduler.health(desk.now.wall, &desk.rules, refused());
        desk.pass(seconds(20));
    }
    assert_eq!(desk.look(), Next::Run(sign));
    desk.came_to(&Came::Failed("AWS refused iam:ListAccessKeys".to_owned()));
    desk.pass(seconds(60));
    desk.scheduler.health(desk.now.wall, &desk.rules, Health::Good);
    assert_eq!(desk.waits_for(), Some(Why::QuietHours), "it works again");
    assert!(desk.pause() <= 4500, "and is tried on");
    desk.write(Record::UndoBegun { why: "so".to_owned(), forced: false });
    assert_eq!(desk.look(), RESUME);
}

#[test]
fn a_holders_report_counts_during_the_soak_alone() {
    let mut desk = Desk::new(&[]);
    let report = |desk: &mut Desk| {
        desk.scheduler.report(desk.now.wall, &desk.status.clone(), "it says so".to_owned())
    };
    assert!(!report(&mut desk));
    desk.publish();
    assert!(!report(&mut desk));
    let mut desk = Desk::new(&[]);
    desk.soak();
    assert_eq!(desk.waits_for(), Some(Why::Soak));
    assert!(report(&mut desk));
    assert_eq!(desk.look(), Next::Run(Goal::Reactivate("it says so".to_owned())));
    assert_eq!(desk.status.rotation.as_ref().map(|open| open.step), Some(Step::Soak));
}

#[test]
fn a_sign_on_which_nobody_could_act_is_looked_into_again() {
    let report = |desk: &mut Desk| {
        desk.scheduler.report(desk.now.wall, &desk.status.clone(), "it says so".to_owned())
    };
    let mut desk = Desk::new(&[]);
    desk.soak();
    assert!(report(&mut desk));
    desk.came_to(&Came::Clock("it is off".to_owned()));
    desk.pass(seconds(290));
    assert_eq!(desk.look(), Next::Run(Goal::Reactivate("it says so".to_owned())));
    desk.pass(seconds(11));
    assert_eq!(desk.look(), Next::Health, "what was refused may be taken by now");
    desk.scheduler.health(desk.now.wall, &desk.rules, Health::Good);
    assert_eq!(desk.look(), RESUME);
}
