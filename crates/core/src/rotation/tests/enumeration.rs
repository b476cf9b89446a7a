//! Every crash and every fault, at every command, alone and in pairs.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::world::{Blow, CRASHES, World, faults, old};
use crate::journal::{Origin, Reason};
use crate::rotation::{Command, Ending, Goal};

const ROTATE: Goal = Goal::Rotate(Reason::Forced);

fn world() -> World {
    World::new(Origin::HandedOver)
}

/// A whole run from a world: its commands.
pub(super) fn trace(world: &World, goal: Goal) -> Vec<Command> {
    let mut world = world.clone();
    let before = world.commands().count();
    world.drive(goal, None);
    world.commands().skip(before).cloned().collect()
}

/// Runs each case on all cores; counts what the cases count.
pub(super) fn each<T: Sync>(cases: &[T], run: impl Fn(&T) -> usize + Sync) -> usize {
    let next = AtomicUsize::new(0);
    let total = AtomicUsize::new(0);
    let threads = std::thread::available_parallelism().map_or(4, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    total.fetch_add(run(case), Ordering::Relaxed);
                }
            });
        }
    });
    total.into_inner()
}

#[allow(clippy::print_stdout, reason = "the figure is the result")]
pub(super) fn say(what: &str, cases: usize) {
    println!("{what}: {cases} cases");
}

/// The worlds that a crash after each command of a rotation leaves.
pub(super) fn left_behind() -> Vec<World> {
    let length = trace(&world(), ROTATE).len();
    let leave = |n: usize| {
        let mut world = world();
        world.label = format!("left after command {n}");
        world.drive(ROTATE, Some((n, Blow::CrashAfter)));
        world
    };
    (0..length).map(leave).collect()
}

fn resume_goal(world: &World) -> Goal {
    if world.begun() { Goal::Resume } else { ROTATE }
}

/// Every blow at every command of what `goal` does from `start`, then healed.
pub(super) fn all_blows(start: &World, goal: &Goal) -> usize {
    let mut cases = 0;
    for (n, command) in trace(start, goal.clone()).iter().enumerate() {
        for blow in CRASHES.into_iter().chain(faults(command)) {
            let mut world = start.clone();
            world.label = format!("{}; {goal:?}: {blow:?} at {n} ({command:?})", start.label);
            world.drive(goal.clone(), Some((n, blow)));
            world.heal();
            cases += 1;
        }
    }
    cases
}

#[test]
fn a_rotation_that_nothing_disturbs_finishes() {
    for (origin, simulates) in [Origin::HandedOver, Origin::Created].into_iter().zip([false, true])
    {
        let mut world = World::new(origin);
        world.simulates = simulates;
        let (_, ending) = world.drive(ROTATE, None);
        assert_eq!(ending, Some(Ending::Finished));
        world.settled();
        assert!(!world.iam.contains_key(&old()));
    }
}

#[test]
fn a_rotation_survives_every_blow() {
    let mut simulated = world();
    simulated.simulates = true;
    let cases = all_blows(&world(), &ROTATE) + all_blows(&simulated, &ROTATE);
    say("one blow in a rotation", cases);
}

#[test]
fn a_rotation_survives_every_pair_of_crashes() {
    let length = trace(&world(), ROTATE).len();
    let firsts: Vec<_> =
        (0..length).flat_map(|n| CRASHES.into_iter().map(move |blow| (n, blow))).collect();
    let cases = each(&firsts, |(n, first)| {
        let mut start = world();
        start.drive(ROTATE, Some((*n, *first)));
        let goal = resume_goal(&start);
        let again = trace(&start, goal.clone()).len();
        let mut cases = 0;
        for m in 0..again {
            for second in CRASHES {
                let mut world = start.clone();
                world.label = format!("{first:?} at {n}, then {second:?} at {m}");
                world.drive(goal.clone(), Some((m, second)));
                world.heal();
                cases += 1;
            }
        }
        cases
    });
    say("two crashes in a rotation", cases);
}

#[test]
fn a_rotation_survives_a_crash_and_then_every_fault() {
    let cases = each(&left_behind(), |start| all_blows(start, &resume_goal(start)));
    say("a crash, then one blow", cases);
}

#[test]
fn a_rotation_survives_every_fault_and_then_a_crash() {
    let commands: Vec<_> = trace(&world(), ROTATE).into_iter().enumerate().collect();
    let cases = each(&commands, |(n, command)| {
        let mut cases = 0;
        for blow in faults(command) {
            let mut start = self::world();
            let (length, ending) = start.drive(ROTATE, Some((*n, blow)));
            for m in n + 1..length {
                let mut world = self::world();
                world.label = format!("{blow:?} at {n}, then a crash at {m}");
                world.drive_blows(ROTATE, &[(*n, blow), (m, Blow::CrashAfter)]);
                world.heal();
                cases += 1;
            }
            // Or the fault ended the process, and the next one crashes.
            if ending.is_some() && start.status().rotation.is_some() {
                for m in 0..trace(&start, Goal::Resume).len() {
                    let mut world = start.clone();
                    world.label = format!("{blow:?} at {n}, then a crash at {m}");
                    world.drive(Goal::Resume, Some((m, Blow::CrashAfter)));
                    world.heal();
                    cases += 1;
                }
            }
        }
        cases
    });
    say("one fault, then a crash", cases);
}

#[test]
fn an_undo_begun_anywhere_survives_every_blow() {
    let undone = AtomicUsize::new(0);
    let cases = each(&left_behind(), |start| {
        let mut world = start.clone();
        let can = world.status().rotation.is_some_and(|open| open.can_undo());
        let (_, ending) = world.drive(Goal::Undo, None);
        assert_eq!(ending == Some(Ending::Finished), can, "{}: {ending:?}", start.label);
        if !can {
            return 1;
        }
        world.settled();
        assert_eq!(world.ledger.access_key_id, old(), "{}", start.label);
        undone.fetch_add(1, Ordering::Relaxed);
        all_blows(start, &Goal::Undo)
    });
    assert!(undone.into_inner() > 5);
    say("one blow in an undo", cases);
}

#[test]
fn an_abort_begun_anywhere_survives_every_blow() {
    let given_up = AtomicUsize::new(0);
    let cases = each(&left_behind(), |start| {
        let mut world = start.clone();
        let (_, ending) = world.drive(Goal::Abort, None);
        if !matches!(ending, Some(Ending::Abandoned(_))) {
            assert!(matches!(ending, Some(Ending::Failed(_))), "{}: {ending:?}", start.label);
            return 1;
        }
        world.settled();
        assert_eq!(world.ledger.access_key_id, old(), "{}", start.label);
        given_up.fetch_add(1, Ordering::Relaxed);
        all_blows(start, &Goal::Abort)
    });
    assert!(given_up.into_inner() > 5);
    say("one blow in an abort", cases);
}

#[test]
fn an_undo_survives_every_pair_of_crashes() {
    let cases = each(&left_behind(), |start| {
        if !start.status().rotation.is_some_and(|open| open.can_undo()) {
            return 0;
        }
        let mut cases = 0;
        for n in 0..trace(start, Goal::Undo).len() {
            let mut first = start.clone();
            first.drive(Goal::Undo, Some((n, Blow::CrashAfter)));
            if first.status().rotation.is_none() {
                continue;
            }
            for m in 0..trace(&first, Goal::Resume).len() {
                let mut world = first.clone();
                world.label = format!("{}; undo: crash at {n}, then at {m}", start.label);
                world.drive(Goal::Resume, Some((m, Blow::CrashAfter)));
                world.heal();
                cases += 1;
            }
        }
        cases
    });
    say("two crashes in an undo", cases);
}
