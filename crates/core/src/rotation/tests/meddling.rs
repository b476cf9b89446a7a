//! Somebody else changes the user's keys, at every command.

use super::world::{Blow, World, foreign, old};
use crate::credential::KeyStatus;
use crate::journal::{Origin, Reason};
use crate::rotation::{Command, Ending, Goal};

const ROTATE: Goal = Goal::Rotate(Reason::Forced);

type Meddle = fn(&mut World);

fn others(world: &mut World) -> impl Iterator<Item = &mut super::world::IamKey> {
    let served = world.ledger.access_key_id.clone();
    world.iam.iter_mut().filter(move |(id, _)| **id != served).map(|(_, key)| key)
}

/// A person makes a key and uses it. (One that is never used may be taken for an orphan: see `rules`.)
fn add_used(world: &mut World) {
    world.add_foreign();
    if let Some(key) = world.iam.get_mut(&foreign()) {
        key.last_used = Some(world.now.wall);
    }
}

const MEDDLES: [(&str, Meddle); 6] = [
    ("a key is made", add_used),
    ("the key that is not served is deleted", |world| {
        let served = world.ledger.access_key_id.clone();
        world.iam.retain(|id, _| *id == served);
    }),
    ("the key that is not served is deactivated", |world| {
        others(world).for_each(|key| key.status = KeyStatus::Inactive);
    }),
    ("the key that is not served is activated", |world| {
        others(world).for_each(|key| key.status = KeyStatus::Active);
    }),
    ("the served key is deactivated", |world| {
        let served = world.ledger.access_key_id.clone();
        if let Some(key) = world.iam.get_mut(&served) {
            key.status = KeyStatus::Inactive;
        }
    }),
    ("the key that is not served is replaced by another", |world| {
        let served = world.ledger.access_key_id.clone();
        world.iam.retain(|id, _| *id == served);
        add_used(world);
    }),
];

/// Meddles before each command of what `goal` does; the guards see to it that no key is touched that must
/// not be. What is left is settled, or a person is told.
fn meddle_everywhere(start: &World, goal: &Goal) -> usize {
    let mut cases = 0;
    let (length, _) = start.clone().drive(goal.clone(), None);
    for (what, meddle) in MEDDLES {
        for moment in 0..length {
            let mut world = start.clone();
            world.label = format!("{}; {goal:?}: {what} before command {moment}", start.label);
            world.meddled = true;
            world.drive_with(goal.clone(), &[], |world, n, _| {
                if n == moment {
                    meddle(world);
                }
            });
            let had_foreign = world.iam.contains_key(&foreign());
            for _ in 0..2 {
                if world.status().rotation.is_none() {
                    break;
                }
                let (_, ending) = world.drive(Goal::Resume, None);
                let told = matches!(
                    ending,
                    Some(
                        Ending::Finished
                            | Ending::Abandoned(_)
                            | Ending::Stuck(_)
                            | Ending::Failed(_)
                    )
                );
                assert!(told, "{}: {ending:?}", world.label);
            }
            assert_eq!(world.iam.contains_key(&foreign()), had_foreign, "{}", world.label);
            assert!(
                world.iam.get(&foreign()).is_none_or(|key| key.status == KeyStatus::Active),
                "{}",
                world.label
            );
            cases += 1;
        }
    }
    cases
}

#[allow(clippy::print_stdout, reason = "the figure is the result")]
#[test]
fn whatever_somebody_else_does_no_wrong_key_is_touched() {
    let start = World::new(Origin::HandedOver);
    let mut cases = meddle_everywhere(&start, &ROTATE);
    let (length, _) = start.clone().drive(ROTATE, None);
    for n in (0..length).step_by(5) {
        let mut left = start.clone();
        left.label = format!("left after command {n}");
        left.drive(ROTATE, Some((n, Blow::CrashAfter)));
        let Some(open) = left.status().rotation else { continue };
        let goal = if open.can_undo() { Goal::Undo } else { Goal::Abort };
        cases += meddle_everywhere(&left, &goal);
    }
    println!("somebody meddles: {cases} cases");
}

#[test]
fn an_old_key_that_somebody_deleted_counts_as_gone() {
    let mut world = World::new(Origin::Created);
    let (_, ending) = world.drive_with(ROTATE, &[], |world, _, command| {
        if matches!(command, Command::ReadHorizon(_)) {
            world.iam.remove(&old());
        }
    });
    // The question when it was last used is refused; the list then says that it is gone.
    assert!(matches!(ending, Some(Ending::Finished | Ending::Failed(_))), "{ending:?}");
    world.heal();
}

/// Found by the simulation: the rotation was stuck for good.
#[test]
fn an_undo_to_a_key_that_somebody_deletes_meanwhile_stays_with_the_newer_one() {
    let mut drained = World::new(Origin::Created);
    let (length, _) = drained.clone().drive(ROTATE, None);
    let published = (0..length).find(|n| {
        let mut left = drained.clone();
        left.drive(ROTATE, Some((*n, Blow::CrashAfter)));
        left.status().rotation.is_some_and(|open| open.published.is_some())
    });
    drained.drive(ROTATE, published.map(|n| (n, Blow::CrashAfter)));
    let newer = drained.ledger.access_key_id.clone();
    let (length, _) = drained.clone().drive(Goal::Undo, None);
    let (mut turned, mut told) = (0, 0);
    for moment in 0..length {
        let mut world = drained.clone();
        world.label = format!("the previous key is deleted before command {moment} of an undo");
        world.meddled = true;
        world.drive_with(Goal::Undo, &[], |world, n, _| {
            let is_previous = world.status().rotation.is_some_and(|open| {
                open.published.is_none() && open.incoming.is_some_and(|key| key.id == old())
            });
            if n == moment && is_previous {
                world.iam.remove(&old());
            }
        });
        if world.iam.contains_key(&old()) {
            continue;
        }
        world.heal();
        match world.ledger.access_key_id == newer {
            true => turned += 1,
            false => told += 1,
        }
    }
    assert!(turned > 5 && told == 0, "{turned} turned round, {told} did not");
}

#[test]
fn when_the_served_key_is_refused_the_other_one_tells_why() {
    let mut world = World::new(Origin::Created);
    let (length, _) = world.clone().drive(ROTATE, None);
    let drained = (0..length).find(|n| {
        let mut left = world.clone();
        left.drive(ROTATE, Some((*n, Blow::CrashAfter)));
        left.status().rotation.is_some_and(|open| open.published.is_some())
    });
    world.drive(ROTATE, drained.map(|n| (n, Blow::CrashAfter)));
    world.meddled = true;
    let served = world.ledger.access_key_id.clone();
    world.iam.get_mut(&served).expect("published").status = KeyStatus::Inactive;
    let (_, ending) = world.drive(Goal::Resume, None);
    assert!(matches!(ending, Some(Ending::Stuck(_))), "{ending:?}");
}
