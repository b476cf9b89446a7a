//! The agent over months, on virtual time: its scheduler is what begins rotations and goes on with them, on the real
//! engine, driver, stores and simulator. The machine sleeps, its clock is set, its network goes, the agent is killed, and
//! an admin makes, deactivates and deletes keys and sets tags. Several profiles share the machine.
//!
//! Every rotation is on time, as far as it was undisturbed; nothing is lost; what is served works throughout; quiet hours
//! are kept; few are at work at a time; and each piece of news is told once.
//!
//! `make unattended DAYS=90 SEEDS=n [SEED=first]`; a seed gives the same life each time.
#![allow(missing_docs, unreachable_pub, reason = "a test")]
#![allow(clippy::print_stdout, clippy::disallowed_methods, reason = "a test")]

#[path = "unattended/figures.rs"]
mod figures;
#[path = "unattended/fleet.rs"]
mod fleet;
mod model_clients;
#[path = "unattended/one.rs"]
mod one;
#[path = "unattended/person.rs"]
mod person;
#[path = "unattended/programs.rs"]
mod programs;
#[path = "unattended/punctual.rs"]
mod punctual;
#[path = "unattended/scenes.rs"]
mod scenes;
mod system;
#[path = "unattended/weather.rs"]
mod weather;

use figures::Figures;
use fleet::Fleet;
use system::seeds::{live_all, number};

#[test]
fn months_without_anybody() {
    let (days, first) = (number("ROTAKEY_DAYS", 90), number("ROTAKEY_SIM_SEED", 1));
    let seeds = number("ROTAKEY_SIM_SEEDS", 40);
    let (figures, violations): (Figures, _) = live_all(first, seeds, |seed| {
        let mut fleet = Fleet::new(seed);
        fleet.live(days);
        let violations = fleet.violations();
        for violation in &violations {
            let log = fleet.log().join("\n    ");
            println!(
                "seed {seed}: {violation}\n  replay: make unattended SEEDS=1 SEED={seed} DAYS={days}\n    {log}"
            );
        }
        (fleet.figures, violations.len())
    });
    println!(
        "unattended: {seeds} seeds from {first}, {days} days each, {figures}, {violations} violations"
    );
    assert_eq!(violations, 0);
    assert!(figures.rotations > 0 && figures.signatures > 0);
}
