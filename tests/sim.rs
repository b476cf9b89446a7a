//! Random walks through the whole system, on virtual time: the real engine, driver, stores and simulator, the
//! programs as models of their SDKs, and weather. After every event the invariants of `system::watch` hold; in
//! the end everything is healed, and must converge.
//!
//! `ROTAKEY_SIM_SEEDS` says how many lives, `ROTAKEY_SIM_SEED` which is the first. A seed gives the same life
//! each time.
#![allow(missing_docs, unreachable_pub, reason = "a test")]
#![allow(clippy::print_stdout, clippy::disallowed_methods, reason = "a test")]

#[path = "sim/admin.rs"]
mod admin;
#[path = "sim/figures.rs"]
mod figures;
#[path = "sim/life.rs"]
mod life;
mod model_clients;
#[path = "sim/programs.rs"]
mod programs;
mod system;
#[path = "sim/weather.rs"]
mod weather;

use std::time::Instant;

use figures::Figures;
use life::live;
use system::seeds::{live_all, number};

/// Rotations in one life.
const ROTATIONS: u64 = 5;

#[test]
fn whatever_happens_nothing_is_lost() {
    let (seeds, first) = (number("ROTAKEY_SIM_SEEDS", 300), number("ROTAKEY_SIM_SEED", 1));
    let started = Instant::now();
    let (figures, violations) = live_all(first, seeds, |seed| {
        let death = live(seed, ROTATIONS, false);
        for violation in &death.violations {
            let log = live(seed, ROTATIONS, true).log.join("\n    ");
            println!("seed {seed}: {violation}\n  replay: make sim SEEDS=1 SEED={seed}\n    {log}");
        }
        (death.figures, death.violations.len())
    });
    let rate = figures.rotations * 1000
        / u64::try_from(started.elapsed().as_millis().max(1)).expect("short");
    let Figures { rotations, days, events, blows, crashes, weather, fetches, signatures, .. } =
        figures;
    println!(
        "sim: {seeds} seeds from {first}, {rotations} rotations ({rate} a second), {days} days, {events} events, \
         {blows} blows, {crashes} crashes, {weather} changes of weather, {fetches} fetches, \
         {signatures} signatures, {violations} violations"
    );
    assert_eq!(violations, 0);
}
