//! What holds an old key back, and what proves that it is gone.

use jiff::Timestamp;

use super::moments::{
    ROTATE, TICK, crashed, find, intends, is_done, loses_a_key, trace, waits, world,
};
use super::world::{Blow, World, old, seconds};
use crate::credential::{Generation, KeyStatus};
use crate::error::Failure;
use crate::iam::RefusalClass;
use crate::journal::Record;
use crate::lease::Ledger;
use crate::policy::OnStraggler;
use crate::rotation::{Command, Ending, Goal, WaitingFor};
use crate::time::{earlier, later};

fn stragglers(world: &World) -> usize {
    waits(world, |what| matches!(what, WaitingFor::Straggler(..)))
}

fn deactivates(command: &Command) -> bool {
    matches!(command, Command::Update { status: KeyStatus::Inactive, .. })
}

/// The question whether the old key is refused by now.
fn probe_of_the_old_key() -> usize {
    let n = find(deactivates) + 1;
    assert!(matches!(&trace()[n], Command::Identify { signer, .. } if *signer == old()));
    n
}

#[test]
fn a_use_that_our_own_serving_explains_holds_nothing() {
    let mut world = world();
    assert_eq!(world.drive(ROTATE, None).1, Some(Ending::Finished));
    assert_eq!(stragglers(&world), 0);
}

#[test]
fn our_own_probe_of_a_deactivated_key_holds_nothing() {
    let mut world = world();
    world.drive(ROTATE, Some((probe_of_the_old_key(), Blow::CrashAfter)));
    let used = world.iam[&old()].last_used.expect("AWS has not heard of the change yet");
    assert!(used > world.journal.last().expect("an intent").time);
    assert_eq!(world.drive(Goal::Resume, None).1, Some(Ending::Finished));
    assert_eq!(stragglers(&world), 0);
}

#[test]
fn a_use_from_outside_holds_the_old_key_until_it_was_quiet_for_long_enough() {
    let mut world = world();
    let mut used: Option<Timestamp> = None;
    let (_, ending) = world.drive_with(ROTATE, &[], |world, _, command| {
        let quiet = world.policy.observe + world.policy.signature_window;
        if let Command::Wait { until, waiting_for: WaitingFor::Straggler(..) } = command {
            assert_eq!(*until, later(used.expect("it was used"), quiet));
        }
        let asks = matches!(command, Command::LastUsed { id, .. } if *id == old());
        if !asks || world.status().rotation.is_none() {
            return;
        }
        match used {
            None => {
                used = Some(world.now.wall);
                world.iam.get_mut(&old()).expect("there").last_used = used;
            }
            Some(at) => world.now.wall = earlier(later(at, quiet), TICK),
        }
    });
    assert_eq!((ending, stragglers(&world)), (Some(Ending::Finished), 1));
}

/// Somebody outside uses the old key at every instant; how often it held the rotation, and for how long at the most.
fn used_all_the_while(on_straggler: OnStraggler) -> (Option<Ending>, usize, Option<Timestamp>) {
    let mut world = world();
    world.policy.on_straggler = on_straggler;
    let mut until = None;
    let (_, ending) = world.drive_with(ROTATE, &[], |world, n, command| {
        let now = world.now.wall;
        if let Some(key) = world.iam.get_mut(&old()).filter(|_| n < 400) {
            key.last_used = Some(now);
        }
        if let Command::Wait { waiting_for: WaitingFor::Straggler(..), until: end } = command {
            until = until.max(Some(*end));
        }
    });
    (ending, stragglers(&world), until)
}

#[test]
fn one_that_never_stops_holds_it_unless_it_is_to_proceed_or_a_person_lets_it_pass() {
    let (_, held, _) = used_all_the_while(OnStraggler::Hold);
    assert!(held > 10, "{held}");
    let (ending, held, until) = used_all_the_while(OnStraggler::Proceed);
    assert_eq!((ending, held), (Some(Ending::Finished), usize::from(until.is_some())));
    let (ending, held, _) = used_all_the_while(OnStraggler::Pass(Timestamp::MAX));
    assert_eq!((ending, held), (Some(Ending::Finished), 0));
    // He was told of an earlier use.
    let (_, held, _) = used_all_the_while(OnStraggler::Pass(Timestamp::MIN));
    assert!(held > 10, "{held}");
}

#[test]
fn only_the_answer_for_unknown_keys_proves_that_a_key_is_deactivated() {
    use RefusalClass as Class;
    let n = probe_of_the_old_key();
    for class in [Class::WrongSecret, Class::Clock, Class::Expired, Class::Permission] {
        let mut world = world();
        let (_, ending) = world.drive(ROTATE, Some((n, Blow::Refused(class))));
        assert!(matches!(ending, Some(Ending::Failed(Failure::Account { .. }))), "{class:?}");
        assert_eq!(world.recorded(|record| is_done(record, "deactivate")), 0, "{class:?}");
        world.heal();
    }
}

#[test]
fn a_refused_deletion_is_an_error_and_a_key_that_is_gone_already_is_not() {
    let n = find(|command| matches!(command, Command::Delete { id, .. } if *id == old()));
    for class in [RefusalClass::Permission, RefusalClass::Invalid, RefusalClass::KeyUnknown] {
        let mut world = world();
        let (_, ending) = world.drive(ROTATE, Some((n, Blow::Refused(class))));
        assert!(
            matches!(&ending, Some(Ending::Failed(Failure::Account { act, .. }))
                if act == "iam:DeleteAccessKey"),
            "{class:?}: {ending:?}"
        );
        world.heal();
    }
    let mut world = world();
    let (_, ending) = world.drive_with(ROTATE, &[], |world, m, _| {
        if m == n {
            world.iam.remove(&old());
        }
    });
    assert_eq!(ending, Some(Ending::Finished));
    world.settled();
}

#[test]
fn a_look_that_is_not_allowed_is_an_error_and_no_other_key_is_asked() {
    let mut world = world();
    world.drive(ROTATE, Some((probe_of_the_old_key(), Blow::CrashAfter)));
    let before = world.commands().count();
    let blow = Blow::Refused(RefusalClass::Permission);
    let (commands, ending) = world.drive(Goal::Resume, Some((0, blow)));
    assert!(
        matches!(&ending, Some(Ending::Failed(Failure::Account { act, .. }))
            if act == "iam:ListAccessKeys"),
        "{ending:?}"
    );
    assert_eq!(commands, 1);
    assert!(matches!(world.commands().nth(before), Some(Command::List { .. })));
    assert_eq!(world.sent(loses_a_key), 1);
}

/// Each answer reaches further than the one before, on both clocks, until the machine starts anew.
#[test]
fn a_horizon_rises_on_the_monotonic_clock_too() {
    let mut now = world().now;
    let mut ledger = Ledger::new(old(), Generation(1), now.wall);
    let lease = seconds(900);
    for _ in 0..3 {
        now.wall = later(now.wall, seconds(100));
        now.monotonic.since_boot += seconds(100);
        ledger.extend(Generation(1), &now, lease, seconds(60)).expect("it is served");
        let kept = ledger.horizons[&old()].monotonic.clone().expect("it was served");
        assert_eq!(kept.since_boot, now.monotonic.since_boot + lease + seconds(60));
    }
}

/// Found by the simulation.
#[test]
fn a_clock_that_is_set_back_after_the_soak_makes_it_go_on() {
    let last_look = find(|command| intends(command, "delete")) - 1;
    let mut world = world();
    let (_, ending) = world.drive_with(ROTATE, &[], |world, n, _| {
        if n == last_look {
            world.now.wall = earlier(world.now.wall, seconds(3000));
        }
    });
    // The guard sees to it that nothing is deleted early.
    assert_eq!(ending, Some(Ending::Finished));
    assert_eq!(waits(&world, |what| *what == WaitingFor::Soak), 2);
}

#[test]
fn a_soaking_key_that_somebody_deletes_is_gone_and_one_that_we_deleted_is_seen_to_be() {
    let vanished = |record: &Record| matches!(record, Record::Vanished { .. });
    let deletes = |command: &Command| matches!(command, Command::Delete { id, .. } if *id == old());
    let mut world = world();
    let (_, ending) = world.drive_with(ROTATE, &[], |world, _, command| {
        if matches!(command, Command::Wait { waiting_for: WaitingFor::Soak, .. }) {
            world.iam.remove(&old());
        }
    });
    assert_eq!(ending, Some(Ending::Finished));
    assert_eq!((world.recorded(vanished), world.sent(deletes)), (1, 0));
    // Our own deletion, whose answer a crash lost.
    let mut world = crashed(deletes);
    assert_eq!(world.drive(Goal::Resume, None).1, Some(Ending::Finished));
    assert_eq!((world.recorded(vanished), world.sent(deletes)), (0, 2));
}
