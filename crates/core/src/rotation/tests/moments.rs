//! The moments of a rotation: where to strike, and how to get there.

use std::time::Duration;

use super::world::{Blow, World, old};
use crate::credential::KeyStatus;
use crate::journal::{Origin, Reason, Record};
use crate::rotation::{Command, Goal, WaitingFor};

/// What a command takes: one that is sent this long before an instant is answered at that instant.
pub(super) const TICK: Duration = Duration::from_millis(10);

pub(super) const ROTATE: Goal = Goal::Rotate(Reason::Forced);
pub(super) const LOST: Blow = Blow::Lost { sent: true, done: true };
pub(super) const NOT_DONE: Blow = Blow::Lost { sent: true, done: false };

pub(super) fn world() -> World {
    World::new(Origin::Created)
}

/// The commands of a whole rotation.
pub(super) fn trace() -> Vec<Command> {
    let mut world = world();
    world.drive(ROTATE, None);
    world.commands().cloned().collect()
}

pub(super) fn find(test: impl Fn(&Command) -> bool) -> usize {
    trace().iter().position(test).expect("a rotation has such a command")
}

pub(super) fn create() -> usize {
    find(|command| matches!(command, Command::Create { .. }))
}

pub(super) fn intends(command: &Command, name: &str) -> bool {
    matches!(command, Command::Append(entry)
        if matches!(&entry.record, Record::Intended { act } if act.name() == name))
}

pub(super) fn loses_a_key(command: &Command) -> bool {
    match command {
        Command::Update { status, .. } => *status == KeyStatus::Inactive,
        // Preflight deletes a key that does not exist, to see whether it may.
        Command::Delete { id, .. } => *id == old(),
        _ => false,
    }
}

pub(super) fn is_done(record: &Record, name: &str) -> bool {
    matches!(record, Record::Done { act } if act.name() == name)
}

pub(super) fn writes(command: &Command, test: impl Fn(&Record) -> bool) -> bool {
    matches!(command, Command::Append(entry) if test(&entry.record))
}

pub(super) fn waits(world: &World, test: impl Fn(&WaitingFor) -> bool) -> usize {
    world.sent(|command| matches!(command, Command::Wait { waiting_for, .. } if test(waiting_for)))
}

/// A rotation that crashed directly after the first such command.
pub(super) fn crashed(test: impl Fn(&Command) -> bool) -> World {
    let mut world = world();
    world.drive(ROTATE, Some((find(test), Blow::CrashAfter)));
    world
}

/// What `goal` makes of a world, up to a crash directly after the first such record of its own.
pub(super) fn crashed_in(
    world: &World,
    goal: &Goal,
    blow: Option<(usize, Blow)>,
    test: impl Fn(&Record) -> bool,
) -> World {
    let before = world.recorded(&test);
    let first = blow.map_or(0, |(n, _)| n + 1);
    (first..)
        .map(|n| {
            let mut attempt = world.clone();
            let blows: Vec<_> = blow.into_iter().chain([(n, Blow::CrashAfter)]).collect();
            let (_, ending) = attempt.drive_blows(goal.clone(), &blows);
            (attempt, ending)
        })
        // What came to its end has no later moment.
        .take_while(|(_, ending)| ending.is_none())
        .map(|(attempt, _)| attempt)
        .find(|attempt| attempt.recorded(&test) > before)
        .expect("it comes to that")
}
