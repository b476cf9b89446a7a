//! The real binary under SIGKILL, again and again, and always picked up.
//!
//! `ROTAKEY_KILLS` says how many kills (default 100, spread over as many rotations as that takes).
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a test"
)]

mod support;

use std::time::{Duration, Instant};

use support::World;

#[test]
fn a_killed_rotation_is_picked_up() {
    let kills: u64 = std::env::var("ROTAKEY_KILLS").map_or(100, |text| text.parse().unwrap());
    let world = World::added();
    let mut seed = 0x9e37_79b9_7f4a_7c15u64;
    let mut random = move |below: u64| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed % below
    };
    let (mut killed, mut rotations) = (0, 0);
    let mut steps = std::collections::BTreeMap::<String, u64>::new();
    let started = Instant::now();
    while killed < kills {
        let before = world.served_id();
        let mut first = true;
        loop {
            let verb: &[&str] = if std::mem::take(&mut first) {
                &["rotate", "--wait", "deleted"]
            } else {
                &["resume", "--wait", "deleted"]
            };
            let mut child = world.spawn(verb);
            // Some kills come at any time, most directly after a record: between what is written and what
            // is done.
            let records = random(4);
            let goal = lines(&world) + records;
            let until = Instant::now()
                + Duration::from_millis(if records == 0 { random(1500) } else { 3000 });
            while child.try_wait().unwrap().is_none()
                && Instant::now() < until
                && (records == 0 || lines(&world) < goal)
                && killed < kills
            {
                std::thread::sleep(Duration::from_millis(1));
            }
            std::thread::sleep(Duration::from_millis(random(25)));
            if killed == kills || child.try_wait().unwrap().is_some() {
                let output = child.wait_with_output().unwrap();
                let run = support::Run::from(output);
                assert_eq!(
                    run.code,
                    0,
                    "after {killed} kills: {run:?}\n{}",
                    world.rotakey(&["history"]).stdout
                );
            } else {
                child.kill().unwrap();
                child.wait().unwrap();
                killed += 1;
            }
            let step = world.step();
            *steps.entry(step.clone().unwrap_or_else(|| "none".into())).or_default() += 1;
            // At every instant: what is served is accepted, and at most two keys exist.
            let served = world.served_id();
            assert!(
                world.accepts(&served),
                "the served key {served} is refused: {:?}",
                world.keys()
            );
            assert!(world.keys().len() <= 2);
            if step.is_none() && served != before {
                break;
            }
            if step.is_none() {
                first = true;
            }
        }
        rotations += 1;
        let keys = world.keys();
        assert_eq!(keys, [(world.served_id(), "Active".to_owned())], "one key, the served one");
        let secrets = support::stored_ids(&world);
        assert_eq!(secrets, [keys[0].0.clone()], "no secret is left behind");
    }
    println!("steps after each run: {steps:?}, {} s", started.elapsed().as_secs());
    println!("kill: {killed} kills, {rotations} rotations, 0 violations");
}

/// The lines of the journal by now.
fn lines(world: &World) -> u64 {
    let bytes = std::fs::read(world.state().join("journal")).unwrap_or_default();
    bytes.iter().filter(|byte| **byte == b'\n').count() as u64
}
