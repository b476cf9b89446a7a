//! The keeper, by enumeration: every order of what can happen to it, held to what must never be.

use std::time::Duration;

use jiff::Timestamp;
use rotakey_core::credential::{Credentials, Generation, SecretAccessKey, SessionToken};
use rotakey_core::iam::{Doubt, Refusal, RefusalClass};
use rotakey_core::time::later;

use super::super::{Keeper, Minted, Next, NoCode, NotMinted, Plan};

const HOUR: u64 = 3600;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).expect("a time")
}

fn plan(life: u64) -> Plan {
    Plan {
        region: "eu-west-1".to_owned(),
        session_duration: Duration::from_secs(life),
        mfa: None,
        roles: Vec::new(),
    }
}

fn minted(generation: u64, expires: i64) -> Minted {
    let id = format!("ASIA{generation}{expires}").parse().expect("an id");
    let token = Some(SessionToken::new("t".to_owned()));
    let secret_access_key = SecretAccessKey::new("s".to_owned());
    Minted {
        key: format!("AKIA{generation}").parse().expect("an id"),
        generation: Generation(generation),
        credentials: Credentials { access_key_id: id, secret_access_key, session_token: token },
        expires: at(expires),
    }
}

fn unreachable() -> NotMinted {
    let doubt = Doubt { sent: true, reason: "no answer in time".to_owned() };
    NotMinted::Unreachable { act: "sts:GetSessionToken".to_owned(), doubt }
}

fn denied(class: RefusalClass) -> NotMinted {
    let refusal = Refusal { class, code: "No".to_owned(), message: String::new() };
    NotMinted::Denied { act: "sts:GetSessionToken".to_owned(), refusal }
}

/// A keeper with a session of the first key, minted at 0.
fn fresh(life: u64) -> Keeper {
    let mut keeper = Keeper::new(&plan(life));
    keeper.publish(Generation(1));
    assert_eq!(keeper.next(at(0)), Next::Mint(Generation(1)));
    keeper.begun(Generation(1));
    assert!(keeper.minted(minted(1, life.cast_signed()), at(0)));
    keeper
}

#[test]
fn nothing_is_minted_before_a_key_is_published() {
    let keeper = Keeper::new(&plan(HOUR));
    assert_eq!((keeper.next(at(0)), keeper.good(at(0))), (Next::Idle, None));
}

#[test]
fn it_is_renewed_half_an_hour_before_its_end_or_at_half_of_a_shorter_life() {
    for (life, renewed) in [(12 * HOUR, 41_400), (HOUR, 1800), (900, 450), (4, 2)] {
        assert_eq!(fresh(life).next(at(0)), Next::At(at(renewed)), "{life}");
        assert_eq!(fresh(life).next(at(renewed - 1)), Next::At(at(renewed)), "{life}");
        assert_eq!(fresh(life).next(at(renewed)), Next::Mint(Generation(1)), "{life}");
    }
}

#[test]
fn a_session_shorter_than_asked_for_is_not_renewed_all_the_time() {
    let mut keeper = fresh(HOUR);
    keeper.begun(Generation(1));
    keeper.minted(minted(1, 1000), at(0));
    assert_eq!(keeper.next(at(0)), Next::At(at(500)));
    // By a clock that is ahead, it was over before it came.
    keeper.begun(Generation(1));
    keeper.minted(minted(1, 1000), at(5000));
    assert_eq!((keeper.next(at(5000)), keeper.good(at(5000))), (Next::Mint(Generation(1)), None));
}

#[test]
fn failures_are_tried_again_later_and_later_and_the_last_good_one_is_kept_to_its_end() {
    let mut keeper = fresh(HOUR);
    let mut now = at(1800);
    for wait in [1, 2, 4, 8, 16, 32, 60, 60, 60] {
        assert_eq!(keeper.next(now), Next::Mint(Generation(1)));
        keeper.begun(Generation(1));
        keeper.failed(Generation(1), unreachable(), now, 0.0);
        now = later(now, Duration::from_secs(wait));
        assert_eq!(keeper.next(later(now, Duration::ZERO)), Next::Mint(Generation(1)), "{wait}");
        assert_eq!(keeper.next(at(now.as_second() - 1)), Next::At(now), "{wait}");
        assert_eq!(keeper.good(now).map(|good| good.expires), Some(at(3600)));
        assert_eq!(keeper.trouble(), Some(&unreachable()));
    }
    assert_eq!((keeper.good(at(3599)).is_some(), keeper.good(at(3600))), (true, None));
    keeper.begun(Generation(1));
    assert!(keeper.minted(minted(1, 9000), at(5400)));
    assert_eq!((keeper.trouble(), keeper.next(at(5400))), (None, Next::At(at(7200))));
    // The next failure begins anew.
    keeper.begun(Generation(1));
    keeper.failed(Generation(1), unreachable(), at(7200), 0.0);
    assert_eq!(keeper.next(at(7200)), Next::At(at(7201)));
}

#[test]
fn each_failure_has_its_patience_and_jitter_only_shortens_it() {
    let not_yet = NotMinted::Mfa(NoCode::NotYet { until: at(20) });
    for (why, wait) in [
        (unreachable(), 1),
        (denied(RefusalClass::Throttled), 1),
        (denied(RefusalClass::Permission), 60),
        (denied(RefusalClass::Quarantine), 60),
        (not_yet, 30),
    ] {
        for jitter in [0.0, 0.5, 1.0, 7.0, f64::NAN] {
            let mut keeper = Keeper::new(&plan(HOUR));
            keeper.publish(Generation(1));
            keeper.begun(Generation(1));
            keeper.failed(Generation(1), why.clone(), at(0), jitter);
            let Next::At(again) = keeper.next(at(0)) else { panic!("{why:?} {jitter}") };
            let waited = again.as_millisecond();
            assert!(
                waited <= wait * 1000 && waited >= 1000.max(wait * 500),
                "{why:?} {jitter} {again}"
            );
            // A code was given, or the network is back.
            keeper.at_once();
            assert_eq!(keeper.next(at(0)), Next::Mint(Generation(1)));
        }
    }
}

#[test]
fn a_clock_set_back_makes_nobody_wait_for_hours() {
    let mut keeper = Keeper::new(&plan(HOUR));
    keeper.publish(Generation(1));
    keeper.begun(Generation(1));
    keeper.failed(Generation(1), denied(RefusalClass::Permission), at(100_000), 0.0);
    assert_eq!(keeper.next(at(100_000)), Next::At(at(100_060)));
    assert_eq!(keeper.next(at(0)), Next::Mint(Generation(1)));
}

/// What can happen.
#[derive(Clone, Copy, Debug)]
enum Step {
    Publish,
    Time,
    Land(bool),
    LandOld(bool),
}

/// Every order of eight happenings. A mint is begun whenever the keeper asks for one, as the daemon does.
#[test]
fn no_order_of_events_mints_with_an_old_key_or_twice_at_a_time() {
    use Step::{Land, LandOld, Publish, Time};
    let steps = [Publish, Time, Land(true), Land(false), LandOld(true), LandOld(false)];
    let mut orders = 0u32;
    for order in 0..6u32.pow(8) {
        let mut keeper = Keeper::new(&plan(4));
        let (mut now, mut published) = (0, 1);
        keeper.publish(Generation(published));
        // The mints under way, oldest first.
        let mut flying: Vec<u64> = Vec::new();
        let mut rest = order;
        for _ in 0..8 {
            if let Next::Mint(Generation(with)) = keeper.next(at(now)) {
                assert_eq!(with, published, "{order}: an old key mints");
                assert!(!flying.contains(&with), "{order}: two at a time");
                keeper.begun(Generation(with));
                flying.push(with);
            }
            let step = steps[(rest % 6) as usize];
            rest /= 6;
            match step {
                Publish => {
                    published += 1;
                    keeper.publish(Generation(published));
                    // Old news changes nothing.
                    keeper.publish(Generation(published - 1));
                }
                Time => now += 1,
                Land(_) | LandOld(_) if flying.is_empty() => {}
                Land(well) | LandOld(well) => {
                    let which = if matches!(step, Land(_)) { flying.len() - 1 } else { 0 };
                    let generation = flying.remove(which);
                    if well {
                        let taken = keeper.minted(minted(generation, now + 4), at(now));
                        assert_eq!(taken, generation == published, "{order}");
                    } else {
                        keeper.failed(Generation(generation), unreachable(), at(now), 0.5);
                    }
                }
            }
            if let Some(good) = keeper.good(at(now)) {
                assert!(good.expires > at(now), "{order}: over");
                assert!(good.generation <= Generation(published), "{order}");
            }
            // It never sleeps for good unless a mint of the published key is under way.
            assert_eq!(keeper.next(at(now)) == Next::Idle, flying.contains(&published), "{order}");
        }
        orders += 1;
    }
    assert_eq!(orders, 1_679_616);
}
