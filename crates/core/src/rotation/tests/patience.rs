//! How long is waited, and what follows when the time is over: at that very instant, not after it.

use std::time::Duration;

use jiff::Timestamp;

use super::moments::{ROTATE, TICK, find, intends, is_done, trace, waits, world, writes};
use super::world::{Blow, LAG, World, at, id, old, seconds};
use crate::credential::KeyStatus;
use crate::error::Failure;
use crate::iam::RefusalClass;
use crate::journal::{Entry, Origin, Record};
use crate::rotation::{Command, Ending, Goal, WaitingFor};
use crate::time::{earlier, later};

fn identifies(command: &Command, key: &str) -> bool {
    matches!(command, Command::Identify { signer, .. } if *signer == id(key))
}

fn verifies(command: &Command) -> bool {
    writes(command, |record| matches!(record, Record::Verified { .. }))
}

/// For how long each wait for AWS was, until it was given up; it may be asked at the very deadline, too.
fn waits_in_an_outage(spacing: u64, at_the_deadline: bool) -> (Vec<i64>, Option<Ending>) {
    let mut world = world();
    world.policy.spacing = seconds(spacing);
    world.denied.insert("sts:GetCallerIdentity", RefusalClass::Throttled);
    let (mut waits, mut since) = (Vec::new(), None);
    let (_, ending) = world.drive_with(ROTATE, &[], |world, _, command| match command {
        Command::Wait { until, .. } => waits.push(until.as_second() - world.now.wall.as_second()),
        _ => {
            let deadline = later(*since.get_or_insert(later(world.now.wall, TICK)), seconds(120));
            if at_the_deadline && world.now.wall > earlier(deadline, seconds(30)) {
                world.now.wall = earlier(deadline, TICK).max(world.now.wall);
            }
        }
    });
    (waits, ending)
}

#[test]
fn while_aws_does_not_answer_it_is_asked_ever_less_often_until_the_deadline() {
    let (waits, ending) = waits_in_an_outage(1000, false);
    assert_eq!(waits, [2, 4, 8, 16, 32, 32, 32]);
    let given_up = matches!(&ending, Some(Ending::Failed(Failure::Unreachable { act, .. }))
        if act == "sts:GetCallerIdentity");
    assert!(given_up, "{ending:?}");
    // No wait is longer than eight spacings of the probes.
    assert_eq!(waits_in_an_outage(2, false).0, [2, 4, 8, 16, 16, 16, 16, 16, 16, 16]);
    // At the deadline itself it is asked once more.
    assert_eq!(waits_in_an_outage(1000, true).0, [2, 4, 8, 16, 32, 32, 32]);
}

#[test]
fn an_answer_ends_an_outage_and_the_next_one_has_its_own_deadline() {
    let mut world = world();
    let (_, ending) = world.drive_with(ROTATE, &[], |world, _, _| {
        world.denied.clear();
        if world.now.wall < at(100) {
            world.denied.insert("sts:GetCallerIdentity", RefusalClass::Throttled);
        } else if world.now.wall < at(200) {
            world.denied.insert("iam:ListAccessKeys", RefusalClass::Throttled);
        }
    });
    assert_eq!(ending, Some(Ending::Finished));
}

#[test]
fn a_new_key_is_probed_as_often_as_the_policy_says_and_no_more() {
    for (settle, rounds) in [(5, 3), (0, 2)] {
        let mut world = world();
        world.policy.settle = seconds(settle);
        // It is known at once, and so nothing is refused.
        let (_, ending) = world.drive_with(ROTATE, &[], |world, _, command| {
            let probe = identifies(command, "AKIANEW1");
            if let Some(key) = world.iam.get_mut(&id("AKIANEW1")).filter(|_| probe) {
                key.changed = key.changed.min(at(-1000));
            }
        });
        assert_eq!(ending, Some(Ending::Finished));
        let verified = world.commands().position(verifies);
        let probes: Vec<_> = world
            .commands()
            .take(verified.expect("it was verified"))
            .filter(|command| {
                identifies(command, "AKIANEW1")
                    || matches!(command, Command::List { signer } if *signer == id("AKIANEW1"))
            })
            .collect();
        assert_eq!(probes.len(), rounds * world.policy.vantages.len(), "settle {settle}");
    }
}

#[test]
fn a_key_that_may_not_list_is_recognised_all_the_same() {
    let probe = find(|command| matches!(command, Command::List { signer } if *signer != old()));
    let undisturbed = trace().len();
    let mut world = world();
    let blow = Blow::Refused(RefusalClass::Permission);
    assert_eq!(world.drive(ROTATE, Some((probe, blow))), (undisturbed, Some(Ending::Finished)));
}

#[test]
fn what_was_settled_once_is_not_settled_again() {
    let verified = find(verifies);
    let mut world = world();
    world.drive(ROTATE, Some((verified, Blow::CrashAfter)));
    let settled = waits(&world, |what| *what == WaitingFor::Settling);
    assert_eq!(world.drive(Goal::Resume, None).1, Some(Ending::Finished));
    assert_eq!(waits(&world, |what| *what == WaitingFor::Settling), settled);
}

#[test]
fn sources_that_lag_are_waited_for_and_nothing_is_turned_round() {
    let mut world = world();
    world.sources_frozen = Some((old(), at(90)));
    assert_eq!(world.drive(ROTATE, None).1, Some(Ending::Finished));
    assert_eq!(world.status().last_failure, None);
    assert!(waits(&world, |what| *what == WaitingFor::Sources) > 30);
}

/// Runs a rotation whose first fetch is late by so much.
fn fetched_after(late: Duration) -> World {
    let mut world = world();
    let mut first = true;
    world.drive_with(ROTATE, &[], |world, _, command| {
        if matches!(command, Command::Fetch) && std::mem::take(&mut first) {
            let intended = world.journal.last().expect("the intent to publish").time;
            world.now.wall = earlier(later(intended, late), TICK);
            world.sources_frozen = Some((old(), later(world.now.wall, seconds(1))));
        }
    });
    world
}

#[test]
fn sources_that_lag_until_the_deadline_turn_the_rotation_round() {
    let policy = world().policy;
    assert_eq!(fetched_after(policy.deadline - seconds(1)).status().last_failure, None);
    assert!(fetched_after(policy.deadline).status().last_failure.is_some());
}

/// AWS goes on accepting the deactivated key; the second time it is asked, it is so late.
fn accepted_for(late: Duration) -> (World, Option<Ending>) {
    let mut world = world();
    let mut asked = None;
    let (_, ending) = world.drive_with(ROTATE, &[], |world, _, command| {
        let Some(key) = world.iam.get_mut(&old()).filter(|key| key.status == KeyStatus::Inactive)
        else {
            return;
        };
        if identifies(command, "AKIAOLD") {
            match asked {
                None => asked = Some(world.now.wall),
                Some(first) => {
                    world.now.wall = world.now.wall.max(earlier(later(first, late), TICK));
                }
            }
            if world.now.wall < later(asked.expect("set above"), late) {
                // For this once: by the next time it has heard of the change.
                key.changed = later(earlier(world.now.wall, LAG), TICK * 2);
            }
        }
    });
    (world, ending)
}

#[test]
fn a_deactivated_key_that_aws_accepts_until_the_deadline_is_for_a_person_to_see() {
    let deadline = world().policy.deadline;
    let (world, ending) = accepted_for(deadline - seconds(1));
    assert_eq!(ending, Some(Ending::Finished), "{:?}", world.journal.last());
    let (world, ending) = accepted_for(deadline);
    assert!(matches!(&ending, Some(Ending::Stuck(why)) if why.contains("still accepts")));
    assert_eq!(world.recorded(|record| is_done(record, "deactivate")), 0);
}

#[test]
fn a_key_counts_as_gone_when_two_lists_in_a_row_do_not_have_it() {
    // Whether each list after the deletion still shows the key.
    let cases: [(&[bool], usize); 4] =
        [(&[], 2), (&[true], 3), (&[false, true], 4), (&[true, false, true], 5)];
    for (shown, lists) in cases {
        let mut world = world();
        let (mut key, mut seen) = (None, 0);
        let (_, ending) = world.drive_with(ROTATE, &[], |world, _, command| match command {
            Command::Delete { id, .. } if *id == old() => key = world.iam.get(id).cloned(),
            Command::List { .. } if world.recorded(|record| is_done(record, "delete")) == 0 => {
                let Some(key) = key.clone() else { return };
                world.iam.remove(&old());
                if shown.get(seen) == Some(&true) {
                    world.iam.insert(old(), key);
                }
                seen += 1;
            }
            _ => {}
        });
        assert_eq!((ending, seen), (Some(Ending::Finished), lists), "{shown:?}");
    }
}

#[test]
fn a_deleted_key_that_is_listed_past_the_deadline_is_for_a_person_to_see() {
    for (listed, stuck) in [(119, false), (121, true), (100_000, true)] {
        let mut world = world();
        let (mut key, mut until) = (None, Timestamp::MAX);
        let (_, ending) = world.drive_with(ROTATE, &[], |world, _, command| match command {
            Command::Delete { id, .. } if *id == old() => {
                key = world.iam.get(id).cloned();
                until = later(world.now.wall, seconds(listed));
            }
            Command::List { .. } => {
                if let Some(key) = key.clone() {
                    world.iam.remove(&old());
                    if world.now.wall < until {
                        world.iam.insert(old(), key);
                    }
                }
            }
            _ => {}
        });
        assert_eq!(matches!(ending, Some(Ending::Stuck(_))), stuck, "{listed} s: {ending:?}");
    }
}

#[test]
fn once_a_key_is_gone_its_secret_goes_without_another_look() {
    let trace = trace();
    let gone = find(|command| writes(command, |record| is_done(record, "delete")));
    assert!(intends(&trace[gone + 1], "forget"), "{:?}", trace[gone + 1]);
}

#[test]
fn a_key_with_unknown_holders_is_observed_and_one_of_our_own_is_not() {
    for (origin, observed) in [(Origin::HandedOver, 1), (Origin::Created, 0)] {
        let mut world = World::new(origin);
        let mut end = None;
        world.drive_with(ROTATE, &[], |world, _, command| match (command, end) {
            (Command::Wait { until, waiting_for: WaitingFor::Observation }, _) => {
                end = Some(*until)
            }
            // Directly at the end of it, it is over.
            (Command::ReadHorizon(_), Some(end)) => world.now.wall = earlier(end, TICK),
            _ => {}
        });
        let waited = waits(&world, |what| *what == WaitingFor::Observation);
        assert_eq!(waited, observed, "{origin:?}");
        world.settled();
    }
}

#[test]
fn a_key_of_our_own_that_was_exported_is_observed() {
    let mut world = World::new(Origin::Created);
    let record = Record::Exported { access_key_id: old() };
    world.journal.push(Entry { time: world.now.wall, rotation: None, record });
    world.drive(ROTATE, None);
    assert_eq!(waits(&world, |what| *what == WaitingFor::Observation), 1);
    world.settled();
}

#[test]
fn a_soak_is_over_at_its_last_instant() {
    let soak =
        find(|command| matches!(command, Command::Wait { waiting_for: WaitingFor::Soak, .. }));
    for (short, more) in [(Duration::from_millis(1), 1), (Duration::ZERO, 0)] {
        let mut world = world();
        world.drive(ROTATE, Some((soak, Blow::CrashBefore)));
        let since = world.status().rotation.and_then(|open| open.deactivated);
        let end = later(since.expect("deactivated"), world.policy.soak);
        world.now.wall = earlier(end, TICK + short);
        assert_eq!(world.drive(Goal::Resume, None).1, Some(Ending::Finished));
        assert_eq!(waits(&world, |what| *what == WaitingFor::Soak), more);
    }
}

#[test]
fn a_call_that_is_throttled_is_asked_again_and_what_was_answered_is_not() {
    let trace = trace();
    let begun = find(|command| matches!(command, Command::Append(_)));
    for (n, command) in trace.iter().enumerate().take(begun) {
        if command.action().is_empty() {
            continue;
        }
        let mut world = world();
        let blow = Blow::Refused(RefusalClass::Throttled);
        let (length, ending) = world.drive(ROTATE, Some((n, blow)));
        // The call is turned away, it is waited, and the call is made.
        assert_eq!((length, ending), (trace.len() + 2, Some(Ending::Finished)), "{command:?}");
    }
}
