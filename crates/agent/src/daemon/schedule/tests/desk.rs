//! One key, its clocks and its journal by hand.

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use rotakey_core::credential::{AccessKeyId, Generation};
use rotakey_core::journal::{Act, Entry, Origin, Reason, Record, RotationId, Status};
use rotakey_core::rotation::{Goal, WaitingFor};
use rotakey_core::time::{Monotonic, Now, later};

use super::super::{Health, Next, Rules, Scheduler, Why};
use crate::config::QuietHours;
use crate::driver::Came;

pub(super) const DAY: u64 = 86_400;
pub(super) const BEGIN: Next = Next::Run(Goal::Rotate(Reason::Scheduled));
pub(super) const RESUME: Next = Next::Run(Goal::Resume);

pub(super) fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// Monday, midnight.
pub(super) fn start() -> Timestamp {
    "2026-03-02T00:00:00Z".parse().expect("a time")
}

pub(super) fn id(text: &str) -> AccessKeyId {
    text.parse().expect("an id")
}

/// One key, made at [`start`], and its schedule.
pub(super) struct Desk {
    pub(super) now: Now,
    pub(super) rules: Rules,
    pub(super) status: Status,
    pub(super) scheduler: Scheduler,
}

impl Desk {
    pub(super) fn new(quiet: &[&str]) -> Self {
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

    pub(super) fn write(&mut self, record: Record) {
        let rotation = Some(RotationId("r".to_owned()));
        let entry = Entry { time: self.now.wall, rotation, record };
        self.status.apply(&entry).expect("legal");
    }

    pub(super) fn pass(&mut self, duration: Duration) {
        self.now.wall = later(self.now.wall, duration);
        self.now.monotonic.since_boot += duration;
    }

    pub(super) fn go_to(&mut self, day: u64, clock: &str) {
        let (hours, minutes) = clock.split_once(':').expect("a time of the day");
        let number = |text: &str| text.parse::<u64>().expect("a number");
        let second = day * DAY + number(hours) * 3600 + number(minutes) * 60;
        let wall = later(start(), seconds(second));
        self.pass(Duration::try_from(wall.duration_since(self.now.wall)).expect("ahead"));
    }

    pub(super) fn look(&mut self) -> Next {
        self.scheduler.look(&self.now, &self.rules, &self.status)
    }

    pub(super) fn came_to(&mut self, came: &Came) {
        self.scheduler.came_to(self.now.wall, came, &self.status);
    }

    pub(super) fn waits_for(&mut self) -> Option<Why> {
        while self.look() == Next::Health {
            self.scheduler.health(self.now.wall, &self.rules, Health::Good);
        }
        assert!(matches!(self.look(), Next::At(_)), "{:?}", self.scheduler.view());
        self.scheduler.view().waits_for
    }

    /// How long it waits from now on.
    pub(super) fn pause(&mut self) -> u64 {
        let Next::At(next) = self.look() else { panic!("it does not wait") };
        next.duration_since(self.now.wall).as_secs().unsigned_abs()
    }

    /// As far as the new key is published.
    pub(super) fn publish(&mut self) {
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
    pub(super) fn soak(&mut self) {
        self.publish();
        self.write(Record::Drained { access_key_id: id("AKIAOLD") });
        let act = Act::Deactivate { access_key_id: id("AKIAOLD") };
        self.write(Record::Intended { act: act.clone() });
        self.write(Record::Done { act });
        let until = later(self.now.wall, self.rules.soak);
        self.came_to(&Came::Waits(until, WaitingFor::Soak));
    }
}
