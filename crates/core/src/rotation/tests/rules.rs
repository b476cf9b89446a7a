//! Single rules, each with the case that would break it.

use std::time::Duration;

use super::moments::{LOST, NOT_DONE, ROTATE, create, find, intends, loses_a_key, trace, world};
use super::world::{Blow, World, at, foreign, id, old, seconds};
use crate::credential::KeyStatus;
use crate::error::Failure;
use crate::iam::{RefusalClass, Vantage};
use crate::journal::{Act, Origin, Record};
use crate::rotation::{Command, Ending, Finding, Goal, WaitingFor};
use crate::time::later;

#[test]
fn without_its_precheck_no_key_is_deactivated_or_deleted() {
    use RefusalClass as Class;
    let trace = trace();
    for act in ["deactivate", "delete"] {
        let intent = find(|command| intends(command, act));
        for n in [intent - 3, intent - 1] {
            assert!(matches!(trace[n], Command::Identify { .. } | Command::List { .. }));
            let losses = trace[..n].iter().filter(|command| loses_a_key(command)).count();
            for class in [Class::KeyUnknown, Class::WrongSecret, Class::Expired, Class::Permission]
            {
                let mut world = world();
                let (_, ending) = world.drive(ROTATE, Some((n, Blow::Refused(class))));
                assert!(matches!(ending, Some(Ending::Failed(Failure::Account { .. }))));
                assert_eq!(world.sent(loses_a_key), losses, "{act}: {class:?} at {n}");
                world.heal();
            }
        }
    }
}

/// The command that reads the tags directly before an act.
fn tags_before(act: &str) -> usize {
    let n = find(|command| intends(command, act)) - 2;
    assert!(matches!(trace()[n], Command::ListTags { .. }));
    n
}

#[test]
fn a_second_installation_stops_an_act_that_was_about_to_come() {
    for act in ["deactivate", "delete"] {
        let n = tags_before(act);
        let losses = trace()[..n].iter().filter(|command| loses_a_key(command)).count();
        let mut world = world();
        let (_, ending) = world.drive_with(ROTATE, &[], |world, m, _| {
            if m == n {
                world.tags.push(("rotakey:elsewhere".to_owned(), String::new()));
            }
        });
        assert!(matches!(&ending, Some(Ending::Stuck(why)) if why.contains("rotakey:elsewhere")));
        assert_eq!(world.sent(loses_a_key), losses, "{act}");
        world.tags.retain(|(key, _)| key != "rotakey:elsewhere");
        world.heal();
    }
}

#[test]
fn tags_that_may_not_be_read_stop_nothing_and_a_refused_key_does() {
    use RefusalClass as Class;
    for n in ["deactivate", "delete"].map(tags_before) {
        // A server may not know the call at all.
        for class in [Class::Permission, Class::NoSuchEntity, Class::Invalid] {
            let ending = world().drive(ROTATE, Some((n, Blow::Refused(class)))).1;
            assert_eq!(ending, Some(Ending::Finished), "{class:?}");
        }
        for class in [Class::KeyUnknown, Class::WrongSecret, Class::Clock, Class::Expired] {
            let mut world = world();
            let (_, ending) = world.drive(ROTATE, Some((n, Blow::Refused(class))));
            assert!(matches!(ending, Some(Ending::Failed(Failure::Account { .. }))), "{ending:?}");
            world.heal();
        }
    }
}

#[test]
fn two_installations_that_look_at_the_same_time_both_stop() {
    let mut world = world();
    let (_, ending) = world.drive_with(ROTATE, &[], |world, _, command| {
        // The other one has looked too, and sets its tag a moment before us.
        if matches!(command, Command::Tag { describes: None, .. }) {
            world.tags.push(("rotakey:elsewhere".to_owned(), String::new()));
        }
    });
    let finding = Finding::SecondInstall("rotakey:elsewhere".to_owned());
    assert_eq!(ending, Some(Ending::Blocked(vec![finding])));
    assert_eq!(world.sent(|command| matches!(command, Command::Create { .. })), 0);
}

/// Each use by the proxy holds the key anew, for as long as what was signed is good, and no longer.
#[test]
fn a_fail_over_of_the_proxy_holds_the_old_key_and_is_no_outage() {
    let mut world = World::new(Origin::Created);
    let (mut asked, mut last, mut gone) = (0, None, None);
    world.drive_with(ROTATE, &[], |world, _, command| {
        if matches!(command, Command::ReadHorizon(_)) && asked < 3 {
            asked += 1;
            if asked == 1 {
                // All leases are long over.
                world.now.wall = later(world.now.wall, seconds(100_000));
                world.now.monotonic.since_boot += seconds(100_000);
            }
            world.fell_over = Some(world.now.wall);
            last = world.fell_over;
        }
        if loses_a_key(command) && gone.is_none() {
            gone = Some(world.now.wall);
        }
    });
    let (used, window) = (last.expect("drained"), world.policy.signature_window);
    let held = gone.expect("gone").duration_since(used);
    let held = Duration::try_from(held).expect("later");
    assert!(held >= window && held < window + world.policy.client_backoff, "{held:?}");
    world.settled();
}

#[test]
fn an_outage_of_the_sources_holds_the_old_key_as_long_as_a_client_may_back_off() {
    let mut world = World::new(Origin::Created);
    let mut back = None;
    world.drive_with(ROTATE, &[], |world, _, command| {
        if matches!(command, Command::ReadHorizon(_)) && back.is_none() {
            // The sources were away, and have only just come back.
            world.now.wall = later(world.now.wall, seconds(100_000));
            world.now.monotonic.since_boot += seconds(100_000);
            world.healthy_since = Some(world.now.wall);
            back = Some(world.now.wall);
        }
        if loses_a_key(command) {
            let policy = &world.policy;
            let wait = policy.client_backoff + policy.signature_window;
            assert!(world.now.wall >= later(back.expect("drained"), wait));
        }
    });
    world.settled();
}

#[test]
fn a_stranger_among_the_keys_stops_an_act_that_was_about_to_come() {
    let deactivate = find(|command| intends(command, "deactivate"));
    let mut world = world();
    let (_, ending) = world.drive_with(ROTATE, &[], |world, n, _| {
        if n == deactivate - 1 {
            let stranger = world.iam[&old()].clone();
            world.iam.insert(id("AKIASTRANGER"), stranger);
        }
    });
    assert!(matches!(ending, Some(Ending::Stuck(_))), "{ending:?}");
    assert_eq!(world.sent(loses_a_key), 0);
    world.iam.remove(&id("AKIASTRANGER"));
    world.heal();
}

#[test]
fn a_creation_is_sent_once_for_each_intent() {
    for blow in [LOST, NOT_DONE, Blow::Lost { sent: false, done: false }, Blow::CrashAfter] {
        let mut world = world();
        world.drive(ROTATE, Some((create(), blow)));
        world.heal();
        let creates = world.sent(|command| matches!(command, Command::Create { .. }));
        let intents = world.recorded(|r| matches!(r, Record::Intended { act: Act::Create { .. } }));
        assert_eq!((creates, intents), (2, 2), "{blow:?}");
    }
    let mut world = world();
    world.drive(ROTATE, Some((create() - 1, Blow::CrashAfter)));
    world.drive(Goal::Resume, None);
    world.settled();
    let creates = world.sent(|command| matches!(command, Command::Create { .. }));
    assert_eq!(creates, 1, "an intent found after a crash may have been carried out");
}

#[test]
fn a_key_whose_secret_was_lost_is_fenced_and_deleted_before_another_is_made() {
    let mut world = world();
    let (_, ending) = world.drive(ROTATE, Some((create(), LOST)));
    assert_eq!(ending, Some(Ending::Finished));
    world.settled();
    assert_eq!(world.recorded(|r| matches!(r, Record::OrphanFound { .. })), 1);
    assert!(world.iam.contains_key(&id("AKIANEW2")));
}

#[test]
fn a_key_whose_secret_was_kept_is_adopted() {
    let store = find(|command| matches!(command, Command::Store(_)));
    let mut world = world();
    world.drive(ROTATE, Some((store, Blow::CrashAfter)));
    world.heal();
    assert_eq!(world.recorded(|r| matches!(r, Record::Created { adopted: true, .. })), 1);
    assert!(world.iam.contains_key(&id("AKIANEW1")));
}

#[test]
fn a_key_that_the_keystore_does_not_take_becomes_an_orphan() {
    for (full, orphans) in [(1, 0), (30, 1)] {
        let mut world = world();
        world.store_full = Some(at(full));
        let (_, ending) = world.drive(ROTATE, None);
        assert_eq!(ending, Some(Ending::Finished));
        world.settled();
        assert_eq!(world.recorded(|r| matches!(r, Record::OrphanFound { .. })), orphans);
    }
}

#[test]
fn a_persons_key_that_is_used_is_never_taken_for_an_orphan() {
    let mut world = world();
    let create = create();
    let (_, ending) = world.drive_with(ROTATE, &[(create, NOT_DONE)], |world, n, _| {
        if n == create + 1 {
            world.add_foreign();
            world.iam.get_mut(&foreign()).expect("just made").last_used = Some(world.now.wall);
        }
    });
    assert!(matches!(ending, Some(Ending::Stuck(_))), "{ending:?}");
    let status = world.iam[&foreign()].status;
    assert_eq!(status, KeyStatus::Active);
    world.iam.remove(&foreign());
    world.heal();
}

#[test]
fn a_persons_key_outside_the_window_is_never_taken_for_an_orphan() {
    let mut world = world();
    let create = create();
    let (_, ending) = world.drive_with(ROTATE, &[(create, NOT_DONE)], |world, n, _| {
        if n == create + 3 {
            world.add_foreign();
            let key = world.iam.get_mut(&foreign()).expect("just made");
            key.created = at(3600);
        }
    });
    assert!(matches!(ending, Some(Ending::Stuck(_))), "{ending:?}");
    assert_eq!(world.iam[&foreign()].status, KeyStatus::Active);
}

#[test]
fn a_persons_key_that_was_fenced_is_left_alone_once_somebody_reactivates_it() {
    let mut world = world();
    world.may_fence = true;
    let create = create();
    let (_, ending) = world.drive_with(ROTATE, &[(create, NOT_DONE)], |world, n, command| {
        if n == create + 1 {
            world.add_foreign();
        }
        if matches!(command, Command::Identify { .. })
            && world.iam.get(&foreign()).is_some_and(|key| key.status == KeyStatus::Inactive)
        {
            world.iam.get_mut(&foreign()).expect("there").status = KeyStatus::Active;
        }
    });
    assert!(matches!(ending, Some(Ending::Stuck(_))), "{ending:?}");
    assert_eq!(world.iam[&foreign()].status, KeyStatus::Active);
    let fences =
        world.sent(|command| matches!(command, Command::Update { id, .. } if *id == foreign()));
    assert_eq!(fences, 1);
}

#[test]
fn a_refusal_makes_the_successes_count_anew() {
    let new = id("AKIANEW1");
    let probe = |command: &Command| match command {
        Command::Identify { signer, .. } | Command::List { signer } => *signer == new,
        _ => false,
    };
    let verified = find(|command| {
        matches!(command, Command::Append(entry)
            if matches!(entry.record, Record::Verified { .. }))
    });
    let trace = trace();
    for n in (0..verified).filter(|n| probe(&trace[*n])) {
        let mut world = world();
        world.drive(ROTATE, Some((n, Blow::Refused(RefusalClass::KeyUnknown))));
        let commands: Vec<_> = world.commands().cloned().collect();
        let end = commands.iter().position(|command| {
            matches!(command, Command::Append(entry)
                if matches!(entry.record, Record::Verified { .. }))
        });
        let end = end.expect("verified at last");
        let after = commands[n + 1..end].iter().filter(|command| probe(command)).count();
        // Two rounds and the one that confirms them, at two vantages each.
        assert!(after >= 6, "refused at {n}: {after} probes followed");
        world.settled();
    }
}

#[test]
fn a_vantage_that_refuses_holds_the_publish() {
    for vantage in [Vantage::Sts("eu-west-1".to_owned()), Vantage::Iam] {
        let mut world = world();
        world.deaf = Some((vantage.clone(), at(60)));
        let (_, ending) = world.drive_with(ROTATE, &[], |world, _, command| {
            let early = matches!(command, Command::Publish { .. }) && world.now.wall < at(60);
            assert!(!early, "published while {vantage} refuses");
        });
        assert_eq!(ending, Some(Ending::Finished));
    }
}

#[test]
fn a_key_that_is_never_accepted_is_given_up() {
    let mut world = world();
    world.deaf = Some((Vantage::Sts("eu-west-1".to_owned()), at(1_000_000)));
    let (_, ending) = world.drive(ROTATE, None);
    assert!(matches!(ending, Some(Ending::Abandoned(_))), "{ending:?}");
    world.settled();
    assert!(world.iam.contains_key(&old()));
    assert_eq!(world.sent(|command| matches!(command, Command::Publish { .. })), 0);
}

#[test]
fn sources_that_go_on_with_the_old_key_turn_the_rotation_round() {
    let mut world = world();
    world.sources_frozen = Some((old(), at(1_000_000)));
    let (_, ending) = world.drive(ROTATE, None);
    assert_eq!(ending, Some(Ending::Finished));
    world.settled();
    assert!(world.iam.contains_key(&old()));
    assert!(world.status().last_failure.is_some());
}

#[test]
fn a_key_of_somebody_else_blocks_before_anything_is_changed() {
    let mut world = world();
    world.add_foreign();
    let (_, ending) = world.drive(ROTATE, None);
    assert_eq!(ending, Some(Ending::Blocked(vec![Finding::Stranger(vec![foreign()])])));
    assert_eq!(world.journal.len(), 1);
    assert_eq!(world.iam.len(), 2);
}

#[test]
fn a_second_installation_blocks() {
    let mut world = world();
    world.tags.push(("rotakey:elsewhere".to_owned(), String::new()));
    let (_, ending) = world.drive(ROTATE, None);
    let finding = Finding::SecondInstall("rotakey:elsewhere".to_owned());
    assert_eq!(ending, Some(Ending::Blocked(vec![finding])));
}

#[test]
fn a_dry_run_changes_nothing() {
    let mut world = world();
    let (_, ending) = world.drive(Goal::Check, None);
    assert_eq!(ending, Some(Ending::Checked(Vec::new())));
    assert_eq!((world.journal.len(), world.iam.len(), world.tags.len()), (1, 1, 0));
}

#[test]
fn a_use_from_outside_holds_the_old_key() {
    let mut world = world();
    let (mut held, last) = (0, at(20_000));
    let (_, ending) = world.drive_with(ROTATE, &[], |world, _, command| {
        if matches!(command, Command::LastUsed { id, .. } if *id == old())
            && world.status().rotation.is_some()
            && world.now.wall < last
        {
            let wall = world.now.wall;
            world.iam.get_mut(&old()).expect("not deleted yet").last_used = Some(wall);
            let explained = world.ledger.horizons[&old()].served_until.expect("was served");
            assert!(wall > explained, "it was not drained");
        }
        if let Command::Wait { waiting_for: WaitingFor::Straggler(..), .. } = command {
            held += 1;
        }
        let early = loses_a_key(command) && world.now.wall < last;
        assert!(!early, "deactivated while it is used");
    });
    assert_eq!(ending, Some(Ending::Finished));
    assert!(held > 2, "held {held} times");
}

#[test]
fn after_the_deletion_began_there_is_no_undo() {
    let delete = find(|command| intends(command, "delete"));
    let mut world = world();
    world.drive(ROTATE, Some((delete, Blow::CrashAfter)));
    let (_, ending) = world.drive(Goal::Undo, None);
    assert!(matches!(ending, Some(Ending::Failed(Failure::Operator(_)))), "{ending:?}");
    world.heal();
}

#[test]
fn a_stuck_rotation_waits_for_a_person() {
    let deactivate = find(|command| intends(command, "deactivate"));
    let mut world = world();
    world.drive_with(ROTATE, &[], |world, n, _| {
        if n == deactivate - 1 {
            world.iam.insert(id("AKIASTRANGER"), world.iam[&old()].clone());
        }
    });
    world.iam.remove(&id("AKIASTRANGER"));
    let (commands, ending) = world.drive(ROTATE, None);
    assert!(matches!(ending, Some(Ending::Stuck(_))), "{ending:?}");
    assert_eq!(commands, 0, "only a person may decide");
    world.heal();
}
