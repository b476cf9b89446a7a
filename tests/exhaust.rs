//! Every crash and every fault at every instant of a rotation, alone and in pairs, by enumeration.
//!
//! The real engine, driver, journal, ledger and simulator run on virtual time and machines that break to order.
//! From each state that a rotation can reach, every blow is tried, and what follows is followed to its end,
//! where all must be well. Ways that meet in the same state go on as one: so all pairs are there, and only what
//! is different in them has to be run.
//!
//! `ROTAKEY_EXHAUST_DEPTH` says how many blows (default 2). The table of single blows is docs/crash-matrix.md;
//! `ROTAKEY_WRITE_DOCS=1` writes it anew.
#![allow(missing_docs, unreachable_pub, reason = "a test")]
#![allow(clippy::print_stdout, clippy::disallowed_methods, reason = "a test")]

#[path = "exhaust/explore.rs"]
mod explore;
#[path = "exhaust/matrix.rs"]
mod matrix;
mod system;

use explore::{Point, Tally, explore, go_on};
use rotakey_agent::simulator::Behaviour;
use rotakey_core::journal::Origin;
use rotakey_core::policy::Policy;
use rotakey_core::rotation::Goal;
use serde_json::json;
use system::{ROTATE, World, instant_policy, lagging};

fn depth() -> u8 {
    std::env::var("ROTAKEY_EXHAUST_DEPTH").map_or(2, |text| text.parse().expect("a number"))
}

fn world() -> World {
    world_of(instant_policy(), Behaviour::default(), Origin::HandedOver)
}

fn world_of(policy: Policy, behaviour: Behaviour, origin: Origin) -> World {
    let mut world = World::new(policy, behaviour, origin, &["here"]);
    world.watch.reads_journal = true;
    world
}

/// Runs the scenarios side by side, one thread each.
#[test]
fn every_blow_at_every_instant() {
    type Scenario = (&'static str, fn() -> Vec<Point>);
    let scenarios: [Scenario; 8] = [
        ("rotate", || vec![Point::new(world(), ROTATE, depth())]),
        ("rotate, simulation denied", without_simulation),
        ("rotate, IAM lags", || {
            let (policy, behaviour) = lagging();
            let world = world_of(policy, behaviour, Origin::Created);
            vec![Point::new(world, ROTATE, depth() - 1)]
        }),
        ("undo begun anywhere", || begun_anywhere(&ROTATE, Goal::Undo)),
        ("leaked", || vec![Point::new(world(), Goal::COMPROMISED, depth())]),
        ("leaked, begun anywhere", || begun_anywhere(&ROTATE, Goal::COMPROMISED)),
        ("forced undo of a leaked key, begun anywhere", || {
            begun_anywhere(&Goal::COMPROMISED, Goal::ForceUndo)
        }),
        ("abort begun anywhere", || begun_anywhere(&ROTATE, Goal::Abort)),
    ];
    let tallies: Vec<Tally> = std::thread::scope(|scope| {
        let run = |(what, points): Scenario| scope.spawn(move || report(what, explore(points())));
        let running: Vec<_> = scenarios.map(run).into_iter().collect();
        running.into_iter().map(|thread| thread.join().expect("no panic")).collect()
    });
    let sum = |count: fn(&Tally) -> usize| tallies.iter().map(count).sum::<usize>();
    let (cases, states) = (sum(|tally| tally.cases), sum(|tally| tally.states));
    let violations = sum(|tally| tally.violations.len());
    println!(
        "exhaust: {cases} cases, {states} states, up to {} blows, {violations} violations",
        depth()
    );
    assert_eq!(violations, 0);
}

fn without_simulation() -> Vec<Point> {
    let mut world = world();
    let denied = json!({"op": "deny", "user": "app", "actions": ["SimulatePrincipalPolicy"]});
    world.order(denied);
    vec![Point::new(world, ROTATE, depth() - 1)]
}

/// A person's wish, at every instant at which something can have stopped.
fn begun_anywhere(what: &Goal, goal: Goal) -> Vec<Point> {
    let mut points = Vec::new();
    let mut world = world();
    world.start(0, what.clone(), None);
    while world.installs[0].process.is_some() {
        go_on(&mut world);
        let mut stopped = world.clone();
        stopped.installs[0].process = None;
        if stopped.status(0).rotation.is_some() {
            points.push(Point::new(stopped, goal.clone(), depth() - 1));
        }
    }
    points
}

fn report(what: &str, tally: Tally) -> Tally {
    let Tally { states, cases, violations } = &tally;
    println!("{what}: {cases} cases, {states} states, {} violations", violations.len());
    for (violation, paths) in violations {
        println!("  {violation} ({} times)\n    first after {}", paths.len(), paths[0]);
    }
    tally
}

#[test]
fn the_crash_matrix_is_up_to_date() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/crash-matrix.md");
    let table = matrix::render(&world());
    if std::env::var_os("ROTAKEY_WRITE_DOCS").is_some() {
        std::fs::write(path, &table).expect("writable");
    }
    let there = std::fs::read_to_string(path).unwrap_or_default();
    assert!(there == table, "docs/crash-matrix.md is stale: `make docs-generated` writes it anew");
}
