//! Single things that the agent does by itself, and does not.

use rotakey_agent::daemon::schedule::{AT_ONCE, SPACING, Why};
use rotakey_agent::driver::Came;
use rotakey_agent::news::Kind;
use rotakey_core::credential::KeyStatus;
use rotakey_core::journal::{Origin, Step};
use rotakey_core::rotation::REACTIVATED;
use rotakey_core::time::later;
use serde_json::json;

use crate::fleet::Fleet;
use crate::one::some_hours;
use crate::system::seconds;

/// Profiles in good weather.
fn calm(profiles: usize) -> Fleet {
    calm_where(|fleet| fleet.ones.len() >= profiles, profiles)
}

fn calm_where(is_it: impl Fn(&mut Fleet) -> bool, profiles: usize) -> Fleet {
    let found = (1..).map(Fleet::new).find_map(|mut fleet| is_it(&mut fleet).then_some(fleet));
    let mut fleet = found.expect("some seed");
    fleet.ones.truncate(profiles);
    fleet.kinds.clear();
    for one in &mut fleet.ones {
        one.rules.quiet = some_hours(0);
        one.rules.max_age = seconds(20 * 86_400);
        one.rules.soak = seconds(7 * 86_400);
        let mut policy = (*one.world.policy).clone();
        policy.soak = one.rules.soak;
        one.world.policy = policy.into();
    }
    fleet
}

fn until(fleet: &mut Fleet, what: &str, mut is_it: impl FnMut(&mut Fleet) -> bool) {
    let end = later(fleet.true_time(), seconds(60 * 86_400));
    while !is_it(fleet) {
        assert!(fleet.true_time() < end, "{what}: {:#?}", fleet.log());
        fleet.advance(true);
        assert_eq!(fleet.violations(), Vec::<String>::new(), "{:#?}", fleet.log());
    }
}

fn soaks(fleet: &mut Fleet) -> bool {
    let open = fleet.ones[0].world.status(0).rotation;
    open.is_some_and(|open| open.step == Step::Soak) && !fleet.ones[0].is_at_work()
}

#[test]
fn a_rotation_in_good_weather_is_told_as_published_and_as_rotated_and_as_nothing_else() {
    let mut fleet = calm(1);
    until(&mut fleet, "a rotation ends", |fleet| fleet.ones[0].rotations == 1);
    until(&mut fleet, "it is told", |fleet| !fleet.ones[0].is_at_work());
    let kinds: Vec<_> = fleet.ones[0].news.iter().map(|news| news.kind).collect();
    assert_eq!(kinds, [Kind::Published, Kind::Rotated]);
}

#[test]
fn a_holders_report_during_the_soak_brings_the_old_key_back() {
    let mut fleet = calm(1);
    until(&mut fleet, "it soaks", soaks);
    let one = &mut fleet.ones[0];
    let status = one.world.status(0);
    let old = status.rotation.as_ref().expect("open").outgoing.id.clone();
    assert!(one.scheduler.report(
        one.world.now.wall,
        &status,
        "pid 7 (app) says: refused".to_owned()
    ));
    one.had_a_sign = true;
    one.look_at(one.world.now.wall);
    until(&mut fleet, "the old key is served", |fleet| {
        fleet.ones[0].world.ledger(0).access_key_id == old
    });
    let one = &mut fleet.ones[0];
    let open = one.world.status(0).rotation.expect("open");
    assert!(open.undone.is_some_and(|why| why.starts_with(REACTIVATED)));
    assert!(one.world.keys().contains(&(old, KeyStatus::Active)));
    until(&mut fleet, "it is told", |fleet| {
        fleet.ones[0].news.iter().any(|news| news.kind == Kind::Reactivated)
    });
}

#[test]
fn somebody_who_tries_the_soaking_key_brings_nothing_back() {
    let mut fleet = calm(1);
    until(&mut fleet, "it soaks", soaks);
    let old = fleet.ones[0].world.status(0).rotation.expect("open").outgoing.id;
    let mut tries = 0;
    until(&mut fleet, "a rotation ends", |fleet| {
        let used = json!({"op": "use-key", "access_key_id": old.as_str(), "service": "s3",
            "region": "eu-west-1"});
        fleet.ones[0].world.order(used);
        tries += 1;
        fleet.ones[0].rotations == 1
    });
    assert!(tries > 100, "{tries}");
    assert_eq!(fleet.ones[0].turned_round, 0);
}

#[test]
fn a_straggler_holds_it_and_it_goes_on_by_itself_when_that_stops() {
    let is_handed_over = |fleet: &mut Fleet| {
        let current = fleet.ones[0].world.status(0).current;
        current.is_some_and(|key| key.origin == Origin::HandedOver)
    };
    let mut fleet = calm_where(is_handed_over, 1);
    let mut policy = (*fleet.ones[0].world.policy).clone();
    policy.on_straggler = rotakey_core::policy::OnStraggler::Hold;
    // The default: longer than IAM takes to show a use.
    policy.observe = seconds(4 * 3600);
    fleet.ones[0].world.policy = policy.into();
    until(&mut fleet, "it drains", |fleet| {
        let open = fleet.ones[0].world.status(0).rotation;
        open.is_some_and(|open| open.step == Step::Drain) && !fleet.ones[0].is_at_work()
    });
    let old = fleet.ones[0].world.status(0).rotation.expect("open").outgoing.id;
    let stops = later(fleet.true_time(), seconds(3 * 86_400));
    let mut held = 0;
    until(&mut fleet, "it soaks", |fleet| {
        if fleet.true_time() < stops {
            let used = json!({"op": "use-key", "access_key_id": old.as_str(), "service": "s3",
                "region": "eu-west-1"});
            assert_eq!(fleet.ones[0].world.order(used)["accepted"], true);
        }
        held += u32::from(fleet.ones[0].scheduler.view().waits_for == Some(Why::Straggler));
        soaks(fleet)
    });
    assert!(held > 0 && fleet.true_time() > stops);
    assert!(fleet.true_time() < later(stops, seconds(86_400)), "it does not wait for ever");
    let told = fleet.ones[0].news.iter().filter(|news| news.kind == Kind::Held).count();
    assert_eq!(told, 1);
}

#[test]
fn another_installations_tag_is_noticed_and_told_once() {
    let mut fleet = calm(1);
    fleet.ones[0].world.foreign_tag(0, true);
    fleet.ones[0].is_tagged = true;
    let mut looks = 0;
    until(&mut fleet, "it is seen more than once", |fleet| {
        looks += u32::from(matches!(fleet.ones[0].came.take(), Some(Came::Blocked(_))));
        looks > 4
    });
    let news = &fleet.ones[0].news;
    assert_eq!(news.len(), 1, "{news:?}");
    assert!(news[0].kind == Kind::Held && news[0].message.contains("rotakey:elsewhere"));
    fleet.ones[0].a_person_comes();
    until(&mut fleet, "a rotation ends", |fleet| fleet.ones[0].rotations == 1);
}

/// All of them are due when the machine wakes up.
#[test]
fn many_that_are_due_after_a_sleep_take_turns() {
    let mut fleet = calm(6);
    until(&mut fleet, "all were looked at", |fleet| {
        fleet.ones.iter().all(|one| one.scheduler.view().next_look.is_some())
    });
    for one in &mut fleet.ones {
        one.world.now.wall = later(one.world.now.wall, seconds(40 * 86_400));
        one.calm_since = one.world.true_time();
    }
    let (woke, mut most) = (fleet.true_time(), 0);
    until(&mut fleet, "all are published", |fleet| {
        most = most.max(fleet.ones.iter().filter(|one| one.is_at_work()).count());
        fleet
            .ones
            .iter_mut()
            .all(|one| one.world.status(0).rotation.is_some_and(|open| open.published.is_some()))
    });
    assert!((2..=AT_ONCE).contains(&most), "{most}");
    let took = fleet.true_time().duration_since(woke).as_secs().unsigned_abs();
    assert!((SPACING.as_secs() * 5..1200).contains(&took), "{took}");
}
