//! A creation that is refused, whose secret is not taken, or whose reply is lost.

use std::time::Duration;

use jiff::Timestamp;

use super::moments::{LOST, NOT_DONE, ROTATE, TICK, create, find, waits, world};
use super::world::{Blow, World, at, foreign, id, seconds};
use crate::credential::{AccessKeyId, KeyStatus};
use crate::error::Failure;
use crate::iam::RefusalClass;
use crate::journal::{Orphan, Record};
use crate::rotation::{Command, Ending, Finding, Goal, WaitingFor};
use crate::time::{earlier, later};

fn is_create(command: &Command) -> bool {
    matches!(command, Command::Create { .. })
}

fn orphan() -> AccessKeyId {
    id("AKIANEW1")
}

/// Refuses every creation; the second one so long after the rotation was begun.
fn refused(class: RefusalClass, late: Duration) -> (World, Option<Ending>) {
    let mut world = world();
    let mut sent = 0;
    let (_, ending) = world.drive_with(ROTATE, &[], |world, _, command| {
        world.denied.clear();
        if is_create(command) {
            sent += 1;
            if sent < 3 {
                world.denied.insert("iam:CreateAccessKey", class);
            }
            let begun = world.status().rotation.expect("begun").begun;
            if sent == 2 {
                world.now.wall = earlier(later(begun, late), TICK);
            }
        }
    });
    (world, ending)
}

#[test]
fn a_creation_that_is_throttled_is_sent_again_until_the_deadline_and_any_other_is_not() {
    let deadline = world().policy.deadline;
    let creates = |world: &World| world.sent(is_create);
    for class in [RefusalClass::Throttled, RefusalClass::Conflict] {
        let (world, ending) = refused(class, deadline - seconds(1));
        assert_eq!((creates(&world), ending), (3, Some(Ending::Finished)));
        // At the deadline itself the time is over.
        let (world, ending) = refused(class, deadline);
        assert!(matches!(ending, Some(Ending::Failed(Failure::Account { .. }))), "{ending:?}");
        assert_eq!(creates(&world), 2);
        assert_eq!(world.recorded(|r| matches!(r, Record::Abandoned { .. })), 1);
    }
    let (world, ending) = refused(RefusalClass::Permission, deadline);
    assert!(matches!(&ending, Some(Ending::Failed(Failure::Account { act, .. }))
        if act == "iam:CreateAccessKey"));
    assert_eq!(creates(&world), 1);
    assert_eq!(world.status().rotation, None, "nothing was made, so nothing stays open");
}

#[test]
fn a_full_quota_is_looked_at_again_and_the_key_that_fills_it_is_named() {
    let mut world = world();
    let (_, ending) = world.drive_with(ROTATE, &[], |world, _, command| {
        if is_create(command) {
            world.add_foreign();
        }
    });
    assert_eq!(ending, Some(Ending::Blocked(vec![Finding::Stranger(vec![foreign()])])));
    assert_eq!(world.status().rotation, None);
}

#[test]
fn a_creation_that_never_left_the_machine_made_nothing() {
    let mut world = world();
    let blow = Blow::Lost { sent: false, done: false };
    let (_, ending) = world.drive(ROTATE, Some((create(), blow)));
    assert!(matches!(&ending, Some(Ending::Failed(Failure::Unreachable { act, .. }))
        if act == "iam:CreateAccessKey"));
    assert_eq!(world.recorded(|r| matches!(r, Record::NotCreated { .. })), 1);
    assert_eq!(world.recorded(|r| matches!(r, Record::CreateUnknown { .. })), 0);
}

#[test]
fn a_secret_is_offered_to_the_keystore_three_times() {
    let mut world = world();
    world.store_full = Some(at(1000));
    let mut offered = 0;
    world.drive_with(ROTATE, &[], |world, _, command| {
        offered += usize::from(matches!(command, Command::Store(_)) && world.made == 1);
    });
    assert_eq!(offered, 3);
}

/// Loses the reply to the creation; whoever waited then gets a list that late after the request.
fn lost(blow: Blow, listed: Duration) -> (World, Option<Timestamp>) {
    let mut world = world();
    let create = create();
    let mut sent = None;
    world.drive_with(ROTATE, &[(create, blow)], |world, n, command| {
        let intended = world.journal.last().map(|entry| entry.time);
        if n == create {
            sent = intended;
        }
        let waits = matches!(
            world.done.last(),
            Some((Command::Wait { waiting_for: WaitingFor::LostReply, .. }, _))
        );
        if matches!(command, Command::List { .. }) && waits {
            world.now.wall = earlier(later(sent.expect("sent"), listed), TICK).max(world.now.wall);
        }
    });
    (world, sent)
}

#[test]
fn a_lost_reply_is_judged_when_no_more_keys_can_come_and_not_before() {
    let policy = world().policy;
    let end = policy.create_timeout + policy.lost_reply_wait;
    for blow in [LOST, NOT_DONE] {
        let (world, sent) = lost(blow, end);
        let judged = world.journal.iter().find(|entry| {
            matches!(entry.record, Record::NotCreated { .. } | Record::OrphanFound { .. })
        });
        let judged = judged.expect("judged").time;
        let last = later(sent.expect("sent"), end);
        assert!(judged >= last, "judged too early");
        // The list that is answered at the last instant settles it.
        assert!(judged < later(last, seconds(1)), "judged too late");
    }
}

#[test]
fn a_key_whose_secret_is_held_is_adopted_without_waiting() {
    let store = find(|command| matches!(command, Command::Store(_)));
    let mut world = world();
    world.drive(ROTATE, Some((store, Blow::CrashAfter)));
    assert_eq!(world.drive(Goal::Resume, None).1, Some(Ending::Finished));
    assert_eq!(waits(&world, |what| *what == WaitingFor::LostReply), 0);
}

/// Loses the reply to the creation, and lets somebody do something before each command.
fn orphaned(mut meddle: impl FnMut(&mut World, &Command)) -> (World, Option<Ending>) {
    let mut world = world();
    let create = create();
    let (_, ending) =
        world.drive_with(ROTATE, &[(create, LOST)], |world, _, command| meddle(world, command));
    (world, ending)
}

fn found(world: &World) -> Option<Orphan> {
    world.status().rotation.and_then(|open| open.orphan)
}

#[test]
fn an_orphan_that_somebody_deletes_before_the_next_look_is_no_more_concern_of_ours() {
    let (world, ending) = orphaned(|world, _| {
        if found(world).is_some_and(|orphan| orphan.deactivated.is_none()) {
            world.iam.remove(&orphan());
        }
    });
    assert_eq!(ending, Some(Ending::Finished));
    assert_eq!(world.recorded(|r| matches!(r, Record::Vanished { .. })), 1);
}

#[test]
fn an_orphan_that_is_gone_between_two_looks_needs_no_person() {
    for fenced in [false, true] {
        let (world, ending) = orphaned(|world, command| {
            let checking = matches!(command, Command::Identify { .. });
            if checking && found(world).is_some_and(|o| o.deactivated.is_some() == fenced) {
                world.iam.remove(&orphan());
            }
        });
        assert_eq!(ending, Some(Ending::Finished));
        assert_eq!(world.recorded(|r| matches!(r, Record::Vanished { .. })), 1);
    }
}

/// Found while the mutants were looked at: it was taken for gone, and came back as a key of nobody.
#[test]
fn an_orphan_that_the_lists_do_not_show_yet_is_waited_for() {
    let (mut hidden, mut hides) = (None, 0);
    let mut world = world();
    world.store_full = Some(later(world.now.wall, seconds(60)));
    let (_, ending) = world.drive_with(ROTATE, &[], |world, _, command| {
        if let Some((id, key)) = hidden.take() {
            world.iam.insert(id, key);
        }
        let young = found(world).is_some_and(|orphan| orphan.deactivated.is_none());
        if young && hides < 3 && matches!(command, Command::List { .. }) {
            hides += 1;
            hidden = world.iam.remove_entry(&orphan());
        }
    });
    assert_eq!((hides, ending), (3, Some(Ending::Finished)));
    assert_eq!(world.recorded(|r| matches!(r, Record::Vanished { .. })), 0);
    world.settled();
}

#[test]
fn an_orphan_that_the_lists_never_show_is_gone_when_it_was_waited_for() {
    let mut world = world();
    world.store_full = Some(later(world.now.wall, seconds(60)));
    let (_, ending) = world.drive_with(ROTATE, &[], |world, _, command| {
        if found(world).is_some() && matches!(command, Command::List { .. }) {
            world.iam.remove(&orphan());
            world.store_full = None;
            let since = world.status().rotation.expect("open").since;
            world.now.wall = earlier(later(since, world.policy.lost_reply_wait), TICK);
        }
    });
    assert_eq!(ending, Some(Ending::Finished));
    assert_eq!(waits(&world, |what| *what == WaitingFor::LostReply), 0);
    assert_eq!(world.recorded(|r| matches!(r, Record::Vanished { .. })), 1);
}

/// Found by the simulation: it was stuck for good.
#[test]
fn an_orphan_that_is_gone_when_it_was_about_to_be_fenced_needs_no_person() {
    let (mut world, ending) = orphaned(|world, command| {
        let is_fence = matches!(command, Command::Update { status: KeyStatus::Inactive, .. });
        if is_fence && found(world).is_some() {
            world.iam.remove(&orphan());
        }
    });
    assert!(matches!(ending, Some(Ending::Failed(_))), "the key is not there: {ending:?}");
    world.heal();
    assert_eq!(world.recorded(|r| matches!(r, Record::Vanished { .. })), 1);
}

#[test]
fn a_fenced_orphan_has_waited_enough_at_its_last_instant() {
    let (world, ending) = orphaned(|world, command| {
        let waited = matches!(
            world.done.last(),
            Some((Command::Wait { waiting_for: WaitingFor::Orphan, .. }, _))
        );
        if waited && matches!(command, Command::List { .. }) {
            let since = found(world).and_then(|orphan| orphan.deactivated);
            world.now.wall = earlier(later(since.expect("fenced"), world.policy.orphan_wait), TICK);
        }
    });
    assert_eq!(ending, Some(Ending::Finished));
    assert_eq!(waits(&world, |what| *what == WaitingFor::Orphan), 1);
}
