//! A key that leaked: replaced at once, whatever is open, and never back by itself.

use super::enumeration::{all_blows, each, left_behind, say, trace};
use super::moments::{ROTATE, crashed, intends, waits, writes};
use super::world::{Blow, CRASHES, World, at, id, old, seconds};
use crate::credential::KeyStatus;
use crate::error::Failure;
use crate::journal::{Origin, Record, Step};
use crate::rotation::{Command, Ending, Finding, Goal, WaitingFor};
use crate::time::later;

const COMPROMISED: Goal = Goal::COMPROMISED;

fn world() -> World {
    World::new(Origin::HandedOver)
}

fn deactivations(world: &World) -> Vec<crate::credential::AccessKeyId> {
    let of = |command: &Command| match command {
        Command::Update { id, status: KeyStatus::Inactive, .. } => Some(id.clone()),
        _ => None,
    };
    world.commands().filter_map(of).collect()
}

/// When the old key was set Inactive, after how long.
fn took(world: &World) -> std::time::Duration {
    let changed = world.iam[&old()].changed;
    std::time::Duration::try_from(changed.duration_since(at(0))).expect("later")
}

#[test]
fn a_leaked_key_is_set_inactive_without_a_drain_and_soaks() {
    let mut world = world();
    world.drive_with(COMPROMISED, &[], |world, _, command| {
        if let Command::Wait { waiting_for: WaitingFor::Soak, .. } = command {
            assert_eq!(world.iam[&old()].status, KeyStatus::Inactive);
            assert!(took(world) < seconds(30), "{:?}", took(world));
            assert_eq!(deactivations(world), [old()]);
        }
    });
    for waiting_for in [WaitingFor::Leases, WaitingFor::Observation, WaitingFor::Settling] {
        assert_eq!(waits(&world, |waited| *waited == waiting_for), 0, "{waiting_for:?}");
    }
    assert_eq!(waits(&world, |waited| *waited == WaitingFor::Soak), 1);
    world.settled();
}

#[test]
fn sources_that_do_not_follow_keep_no_leaked_key_alive() {
    let mut world = world();
    world.sources_frozen = Some((old(), at(1_000_000)));
    world.drive_with(COMPROMISED, &[], |world, _, command| {
        if let Command::Wait { waiting_for: WaitingFor::Soak, .. } = command {
            assert!(took(world) < seconds(60), "{:?}", took(world));
        }
    });
    assert_eq!(world.recorded(|record| matches!(record, Record::UndoBegun { .. })), 0);
    world.settled();
}

#[test]
fn only_force_brings_a_leaked_key_back() {
    let leave = |test: fn(&Command) -> bool| {
        let n = trace(&world(), COMPROMISED).iter().position(test).expect("there");
        let mut world = world();
        world.drive(COMPROMISED, Some((n, Blow::CrashAfter)));
        world
    };
    for mut world in [
        leave(|command| matches!(command, Command::Fetch)),
        leave(|command| intends(command, "deactivate")),
        leave(|command| matches!(command, Command::Wait { waiting_for: WaitingFor::Soak, .. })),
    ] {
        let before = world.journal.len();
        let (commands, ending) = world.drive(Goal::Undo, None);
        assert!(
            matches!(&ending, Some(Ending::Failed(Failure::Operator(why))) if why.contains("force")),
            "{ending:?}"
        );
        assert_eq!((commands, world.journal.len()), (0, before));
        let (_, ending) = world.drive(Goal::ForceUndo, None);
        assert_eq!(ending, Some(Ending::Finished));
        assert_eq!(world.ledger.access_key_id, old());
        world.settled();
    }
}

#[test]
fn a_second_key_of_somebody_else_stops_it_and_is_not_touched() {
    let mut world = world();
    world.add_foreign();
    let (_, ending) = world.drive(COMPROMISED, None);
    let Some(Ending::Blocked(findings)) = ending else { panic!("{ending:?}") };
    assert!(matches!(&findings[..], [Finding::Stranger(_)]), "{findings:?}");
    assert!(deactivations(&world).is_empty());
}

#[test]
fn a_leaked_key_is_replaced_from_wherever_a_rotation_was_left() {
    let cases = each(&left_behind(), |start| {
        let mut world = start.clone();
        let open = start.status().rotation;
        let before = start.status().current.expect("a key").id;
        let (_, ending) = world.drive(COMPROMISED, None);
        assert_eq!(ending, Some(Ending::Finished), "{}", start.label);
        world.settled();
        // Whoever was on his way out is gone; of one that was Inactive already, the key that was served is meant.
        let gone = match open {
            Some(open) if open.step <= Step::Deactivate => open.outgoing.id,
            _ => before,
        };
        assert!(!world.iam.contains_key(&gone), "{}: {gone} is there", start.label);
        1
    });
    say("begun anywhere", cases);
}

#[test]
fn a_soaking_key_is_deleted_at_once_to_make_room() {
    let soaking =
        |command: &Command| matches!(command, Command::Wait { waiting_for: WaitingFor::Soak, .. });
    let n = trace(&world(), ROTATE).iter().position(soaking).expect("it soaks");
    let mut world = world();
    world.drive(ROTATE, Some((n, Blow::CrashBefore)));
    let (begun, served) = (world.now.wall, world.ledger.access_key_id.clone());
    assert_eq!(served, id("AKIANEW1"));
    world.drive_with(COMPROMISED, &[], |world, _, command| {
        if let Command::Create { .. } = command {
            assert!(!world.iam.contains_key(&old()), "it is gone first");
            assert!(world.now.wall < later(begun, seconds(60)), "without a soak");
        }
    });
    assert!(!world.iam.contains_key(&served), "the leaked one is gone");
    assert_eq!(waits(&world, |waited| *waited == WaitingFor::Soak), 1, "it has its own soak");
    world.settled();
}

#[test]
fn what_leaks_while_a_rotation_is_stuck_goes_on() {
    let mut world = crashed(|command| matches!(command, Command::ReadHorizon(_)));
    let stuck = Record::Stuck { why: "a test".to_owned() };
    let rotation = world.status().rotation.map(|open| open.id);
    world.journal.push(crate::journal::Entry { time: world.now.wall, rotation, record: stuck });
    assert_eq!(world.drive(COMPROMISED, None).1, Some(Ending::Finished));
    assert_eq!(world.recorded(|record| matches!(record, Record::Compromised { .. })), 1);
    world.settled();
}

#[test]
fn it_survives_every_blow() {
    say("one blow in a compromised rotation", all_blows(&world(), &COMPROMISED));
}

#[test]
fn it_survives_every_blow_wherever_it_is_begun() {
    let cases = each(&left_behind(), |start| all_blows(start, &COMPROMISED));
    say("one blow in a compromised rotation begun anywhere", cases);
}

#[test]
fn it_survives_every_pair_of_crashes() {
    let lengths: Vec<usize> = (0..trace(&world(), COMPROMISED).len()).collect();
    let cases = each(&lengths, |n| {
        let mut start = world();
        start.drive(COMPROMISED, Some((*n, Blow::CrashAfter)));
        if start.status().rotation.is_none() {
            return 0;
        }
        let mut cases = 0;
        for m in 0..trace(&start, Goal::Resume).len() {
            for second in CRASHES {
                let mut world = start.clone();
                world.label = format!("compromised: a crash after {n}, then {second:?} at {m}");
                world.drive(Goal::Resume, Some((m, second)));
                world.heal();
                assert!(!world.iam.contains_key(&old()), "{}", world.label);
                cases += 1;
            }
        }
        cases
    });
    say("two crashes in a compromised rotation", cases);
}

#[test]
fn the_journal_says_that_it_leaked() {
    let mut world = world();
    world.drive(COMPROMISED, None);
    let json = serde_json::to_string(&world.journal).expect("plain data");
    assert!(json.contains(r#""reason":"compromised""#), "{json}");
    let mut open = crashed(|command| writes(command, |r| matches!(r, Record::Created { .. })));
    open.drive(COMPROMISED, None);
    let leaked = |record: &Record| matches!(record, Record::Compromised { access_key_id } if *access_key_id == old());
    assert_eq!(open.recorded(leaked), 1);
}
