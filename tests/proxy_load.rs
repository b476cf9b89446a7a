//! Rotations back to back, under a constant load of programs that hold no key: no request of theirs fails.
//!
//! The server refuses a retired key at once. A new one it accepts late, and then now and then. SDKs' own retries are off.
//! `ROTAKEY_ROTATIONS` says how many rotations each form has (default 2), `ROTAKEY_FORMS` which forms there are.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a test"
)]

#[path = "proxy_load/generator.rs"]
mod generator;
#[path = "proxy_load/programs.rs"]
mod programs;
#[path = "proxy_load/stage.rs"]
mod stage;
mod support;
#[path = "proxy_load/tally.rs"]
mod tally;
mod uploads;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use stage::Stage;
use tally::Tally;

/// What happens to the agent meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// Nothing.
    Alone,
    /// SIGHUP, again and again.
    Reloaded,
    /// SIGTERM, again and again, behind sockets that stay open.
    Restarted,
}

/// From one blow to the next, in milliseconds.
const RELOAD_MS: std::ops::Range<u64> = 20..400;
const RESTART_MS: std::ops::Range<u64> = 6000..12_000;

impl Form {
    const ALL: [Self; 3] = [Self::Alone, Self::Reloaded, Self::Restarted];

    const fn name(self) -> &'static str {
        match self {
            Self::Alone => "alone",
            Self::Reloaded => "reloaded",
            Self::Restarted => "restarted",
        }
    }

    fn pause(self, chance: &mut fastrand::Rng) -> Duration {
        Duration::from_millis(match self {
            Self::Alone => 100,
            Self::Reloaded => chance.u64(RELOAD_MS),
            Self::Restarted => chance.u64(RESTART_MS),
        })
    }
}

/// What all threads share.
#[derive(Default)]
pub(crate) struct Load {
    tally: Tally,
    over: AtomicBool,
    blows: AtomicU64,
    refused: AtomicU64,
}

impl Load {
    pub(crate) fn is_on(&self) -> bool {
        !self.over.load(Ordering::Acquire)
    }

    fn disturb(&self, form: Form, stage: &Stage) {
        let mut chance = fastrand::Rng::with_seed(1);
        while self.is_on() && form != Form::Alone {
            std::thread::sleep(form.pause(&mut chance));
            stage.disturb();
            self.blows.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn rotate(&self, stage: &Stage, rotations: u64) {
        for _ in 0..rotations {
            stage.rotate();
            self.refused.fetch_add(stage.refused_since(), Ordering::Relaxed);
        }
    }
}

/// Rotates under load.
fn rotate_under_load(form: Form, rotations: u64) -> Load {
    let stage = Stage::new(form == Form::Restarted);
    let load = Load::default();
    generator::furnish(&stage);
    std::thread::scope(|scope| {
        let (load, stage) = (&load, &stage);
        generator::start(scope, load, stage);
        programs::start(scope, load, stage);
        scope.spawn(move || load.disturb(form, stage));
        load.tally.wait_for_everybody();
        let rotated = catch_unwind(AssertUnwindSafe(|| load.rotate(stage, rotations)));
        load.over.store(true, Ordering::Release);
        stage.world.write("over", "");
        rotated.expect("every rotation goes through");
    });
    load
}

#[test]
fn no_request_of_a_program_without_a_key_fails() {
    let number = |text: String| text.parse().expect("a number");
    let rotations = std::env::var("ROTAKEY_ROTATIONS").map_or(2, number);
    let wanted = std::env::var("ROTAKEY_FORMS").ok();
    let is_wanted = |form: &Form| wanted.as_ref().is_none_or(|names| names.contains(form.name()));
    let (mut requests, mut refused, mut forms, mut failures) = (0, 0, 0, Vec::new());
    for form in Form::ALL.into_iter().filter(is_wanted) {
        let load = rotate_under_load(form, rotations);
        let (blows, refusals) = (load.blows.into_inner(), load.refused.into_inner());
        println!("the agent {}: {rotations} rotations, {blows} times", form.name());
        load.tally.print();
        println!("  refused by the server, and sent again with the other key: {refusals}");
        assert!(refusals > 0, "nothing was refused: nothing was shown");
        requests += load.tally.requests();
        refused += refusals;
        forms += 1;
        failures.extend(load.tally.failures());
    }
    println!(
        "proxy_load: {} rotations, {requests} requests, {} failed, {refused} refused by the server and sent again",
        forms * rotations,
        failures.len(),
    );
    assert!(failures.is_empty(), "{failures:#?}");
}
