//! What a person may ask for, and when; and a key that turns out to be another user's.

use super::moments::{ROTATE, crashed, crashed_in, create, intends, waits, world, writes};
use super::world::{Blow, World, at, id, identity, old};
use crate::error::Failure;
use crate::iam::CallerIdentity;
use crate::journal::Record;
use crate::rotation::{Command, Ending, Goal, REACTIVATED, WaitingFor};

#[track_caller]
fn does_not_apply(mut world: World, goal: Goal) {
    let before = world.journal.len();
    let (commands, ending) = world.drive(goal.clone(), None);
    assert!(matches!(ending, Some(Ending::Failed(Failure::Operator(_)))), "{goal:?}: {ending:?}");
    assert_eq!((commands, world.journal.len()), (0, before), "{goal:?} did something");
}

/// Crashed directly after the new key was recorded.
fn created() -> World {
    crashed(|command| writes(command, |record| matches!(record, Record::Created { .. })))
}

/// Crashed with the new key published, and then again directly after an undo was begun.
fn undone() -> World {
    let published = crashed(|command| matches!(command, Command::ReadHorizon(_)));
    crashed_in(&published, &Goal::Undo, None, |record| matches!(record, Record::UndoBegun { .. }))
}

#[test]
fn what_does_not_apply_is_said_before_anything_is_done() {
    for goal in [Goal::Undo, Goal::Abort] {
        does_not_apply(world(), goal);
    }
    for goal in [Goal::Undo, Goal::Check] {
        does_not_apply(created(), goal);
    }
    for goal in [Goal::Abort, Goal::Check] {
        does_not_apply(crashed(|command| intends(command, "publish")), goal);
    }
    does_not_apply(undone(), Goal::Abort);
}

#[test]
fn an_undo_that_is_asked_for_again_goes_on() {
    let mut world = undone();
    assert_eq!(world.drive(Goal::Undo, None).1, Some(Ending::Finished));
    assert_eq!(world.recorded(|record| matches!(record, Record::UndoBegun { .. })), 1);
    assert_eq!(world.ledger.access_key_id, old());
    world.settled();
}

#[test]
fn an_abort_that_is_asked_for_again_goes_on() {
    let begun = |record: &Record| matches!(record, Record::AbortBegun { .. });
    let mut world = crashed_in(&created(), &Goal::Abort, None, begun);
    assert!(matches!(world.drive(Goal::Abort, None).1, Some(Ending::Abandoned(_))));
    assert_eq!(world.recorded(|record| matches!(record, Record::AbortBegun { .. })), 1);
    world.settled();
}

/// Crashed while the old key soaks.
fn soaking() -> World {
    crashed(|command| matches!(command, Command::Wait { waiting_for: WaitingFor::Soak, .. }))
}

#[test]
fn a_soaking_key_is_made_active_again_on_a_sign_and_the_journal_says_which() {
    let mut world = soaking();
    let sign = "AWS refuses what is served".to_owned();
    assert_eq!(world.drive(Goal::Reactivate(sign.clone()), None).1, Some(Ending::Finished));
    let why = |record: &Record| matches!(record, Record::UndoBegun { why, .. } if *why == format!("{REACTIVATED}{sign}"));
    assert_eq!(world.recorded(why), 1);
    assert_eq!(world.ledger.access_key_id, old());
    world.settled();
}

#[test]
fn no_sign_turns_round_what_does_not_soak() {
    let sign = Goal::Reactivate("AWS refuses what is served".to_owned());
    for world in [world(), created(), undone(), crashed(|c| matches!(c, Command::ReadHorizon(_)))] {
        does_not_apply(world, sign.clone());
    }
    let deleting = crashed(|command| intends(command, "delete"));
    does_not_apply(deleting, sign);
}

fn stranger() -> CallerIdentity {
    CallerIdentity { arn: "arn:aws:iam::1:user/stranger".to_owned(), ..identity() }
}

#[test]
fn a_new_key_that_is_another_users_is_given_up() {
    let mut world = world();
    let (_, ending) = world.drive_with(ROTATE, &[], |world, _, command| {
        let probe = matches!(command, Command::Identify { signer, .. } if *signer != old());
        world.caller = if probe { stranger() } else { identity() };
    });
    assert!(matches!(&ending, Some(Ending::Abandoned(why)) if why.contains("user/stranger")));
    assert_eq!(world.sent(|command| matches!(command, Command::Publish { .. })), 0);
    world.settled();
}

#[test]
fn sources_that_serve_another_user_turn_the_rotation_round() {
    let mut world = world();
    let (_, ending) = world.drive_with(ROTATE, &[], |world, _, command| {
        let served = world.ledger.access_key_id != old();
        let fetch = matches!(command, Command::Fetch) && served;
        world.caller = if fetch { stranger() } else { identity() };
    });
    assert_eq!(ending, Some(Ending::Finished));
    let why = world.status().last_failure.expect("it was turned round");
    assert!(why.contains("imds serves arn:aws:iam::1:user/stranger"), "{why}");
    assert_eq!(world.ledger.access_key_id, old());
}

#[test]
fn sources_that_do_not_come_back_after_an_undo_are_for_a_person_to_see() {
    let mut world = crashed(|command| matches!(command, Command::ReadHorizon(_)));
    world.sources_frozen = Some((id("AKIANEW1"), at(1_000_000)));
    let (_, ending) = world.drive(Goal::Undo, None);
    assert!(
        matches!(&ending, Some(Ending::Stuck(why)) if why.contains("do not serve AKIAOLD")),
        "{ending:?}"
    );
    world.sources_frozen = None;
    world.heal();
}

#[test]
fn a_creation_that_is_given_up_while_its_reply_is_lost_is_cleaned_up_first() {
    let mut world = world();
    world.drive(ROTATE, Some((create(), Blow::CrashAfter)));
    let (_, ending) = world.drive(Goal::Abort, None);
    assert!(matches!(ending, Some(Ending::Abandoned(_))), "{ending:?}");
    assert_eq!(waits(&world, |what| *what == WaitingFor::Orphan), 1);
    world.settled();
}
