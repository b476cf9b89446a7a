//! When what is done: one key, its clocks and its journal by hand.

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use rotakey_core::credential::{AccessKeyId, Generation};
use rotakey_core::journal::{Act, Entry, Origin, Reason, Record, RotationId, Status, Step};
use rotakey_core::rotation::{Finding, Goal, WaitingFor};
use rotakey_core::time::{Monotonic, Now, later};

use super::*;
use crate::driver::Came;

const DAY: u64 = 86_400;

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// Monday, midnight.
fn start() -> Timestamp {
    "2026-03-02T00:00:00Z".parse().expect("a time")
}

fn id(text: &str) -> AccessKeyId {
    text.parse().expect("an id")
}

/// One key, made at [`start`], and its schedule.
struct Desk {
    now: Now,
    rules: Rules,
    status: Status,
    scheduler: Scheduler,
}

impl Desk {
    fn new(quiet: &[&str]) -> Self {
        let now = Now {
            wall: start(),
            monotonic: Monotonic { boot: "a".to_owned(), since_boot: seconds(100) },
        };
        let rules = Rules {
            max_age: seconds(30 * DAY),
            soak: seconds(7 * DAY),
            quiet: QuietHours::parse(quiet.iter().copied()).expect("hours"),
            zone: TimeZone::UTC,
        };
        let mut desk =
            Self { now, rules, status: Status::default(), scheduler: Scheduler::new("p") };
        desk.write(Record::Enrolled {
            access_key_id: id("AKIAOLD"),
            account_id: "1".to_owned(),
            arn: "arn:aws:iam::1:user/app".to_owned(),
            user: "app".to_owned(),
            created: Some(start()),
            origin: Origin::Created,
        });
        desk
    }

    fn write(&mut self, record: Record) {
        let rotation = Some(RotationId("r".to_owned()));
        let entry = Entry { time: self.now.wall, rotation, record };
        self.status.apply(&entry).expect("legal");
    }

    fn pass(&mut self, duration: Duration) {
        self.now.wall = later(self.now.wall, duration);
        self.now.monotonic.since_boot += duration;
    }

    fn go_to(&mut self, day: u64, clock: &str) {
        let (hours, minutes) = clock.split_once(':').expect("a time of the day");
        let number = |text: &str| text.parse::<u64>().expect("a number");
        let second = day * DAY + number(hours) * 3600 + number(minutes) * 60;
        let wall = later(start(), seconds(second));
        self.pass(Duration::try_from(wall.duration_since(self.now.wall)).expect("ahead"));
    }

    fn look(&mut self) -> Next {
        self.scheduler.look(&self.now, &self.rules, &self.status)
    }

    fn came_to(&mut self, came: &Came) {
        self.scheduler.came_to(self.now.wall, came, &self.status);
    }

    fn waits_for(&mut self) -> Option<Why> {
        while self.look() == Next::Health {
            self.scheduler.health(self.now.wall, &self.rules, Health::Good);
        }
        assert!(matches!(self.look(), Next::At(_)), "{:?}", self.scheduler.view());
        self.scheduler.view().waits_for
    }

    /// How long it waits from now on.
    fn pause(&mut self) -> u64 {
        let Next::At(next) = self.look() else { panic!("it does not wait") };
        next.duration_since(self.now.wall).as_secs().unsigned_abs()
    }

    /// As far as the new key is published.
    fn publish(&mut self) {
        let new = id("AKIANEW");
        self.write(Record::Begun { reason: Reason::Scheduled });
        let known = vec![id("AKIAOLD")];
        self.write(Record::Intended { act: Act::Create { known, clock_offset_ms: 0 } });
        let created = self.now.wall;
        self.write(Record::Created { access_key_id: new.clone(), created, adopted: false });
        self.write(Record::Verified { access_key_id: new.clone() });
        let act = Act::Publish { access_key_id: new, generation: Generation(2) };
        self.write(Record::Intended { act: act.clone() });
        self.write(Record::Done { act });
    }

    /// As far as the old key is deactivated.
    fn soak(&mut self) {
        self.publish();
        self.write(Record::Drained { access_key_id: id("AKIAOLD") });
        let act = Act::Deactivate { access_key_id: id("AKIAOLD") };
        self.write(Record::Intended { act: act.clone() });
        self.write(Record::Done { act });
        let until = later(self.now.wall, self.rules.soak);
        self.came_to(&Came::Waits(until, WaitingFor::Soak));
    }
}

const BEGIN: Next = Next::Run(Goal::Rotate(Reason::Scheduled));
const RESUME: Next = Next::Run(Goal::Resume);

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
