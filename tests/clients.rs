//! Real clients: programs as people have them, each with the credentials of each source that it knows.
//!
//! `ROTAKEY_CLIENTS=full` (`make clients`) runs them all; `make test` a short list. docs/clients.md is made here.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a test"
)]

#[path = "clients/agent.rs"]
mod agent;
#[path = "clients/cases.rs"]
mod cases;
#[path = "clients/clock.rs"]
mod clock;
#[path = "clients/document.rs"]
mod document;
#[path = "clients/driver.rs"]
mod driver;
#[path = "clients/golden.rs"]
mod golden;
#[path = "clients/lapse.rs"]
mod lapse;
#[path = "clients/matrix.rs"]
mod matrix;
#[path = "clients/program.rs"]
mod program;
#[path = "clients/script.rs"]
mod script;
#[path = "clients/scripted.rs"]
mod scripted;
#[path = "clients/sources.rs"]
mod sources;
mod support;
#[path = "clients/tool.rs"]
mod tool;

use driver::Sdk;
use matrix::Tally;
use program::Program;
use sources::Source;

/// Whether every client runs, and not only the short list.
fn full() -> bool {
    std::env::var("ROTAKEY_CLIENTS").is_ok_and(|list| list == "full")
}

/// Cases B, C, D, F and G: how each SDK refreshes, and what it makes of a failing source.
#[test]
fn refreshing_is_as_written_down() {
    let pairs = Sdk::ALL.iter().flat_map(|&sdk| Source::ALL.map(|source| (sdk, source)));
    let differing: Vec<String> = std::thread::scope(|scope| {
        let running: Vec<_> = pairs
            .map(|(sdk, source)| scope.spawn(move || golden::compare(sdk, source, full()).err()))
            .collect();
        running.into_iter().filter_map(|thread| thread.join().expect("it ends")).collect()
    });
    assert!(differing.is_empty(), "{}", differing.join("\n"));
}

/// Case A, for as long as a rotation takes: no request is refused, and afterwards the new key signs.
#[test]
fn clients_work_before_during_and_after_a_rotation() {
    let programs: Vec<Program> =
        if full() { Program::all().collect() } else { Program::SHORT.into() };
    let with_sources = |program: &Program| {
        program.sources().iter().map(|source| (*program, *source)).collect::<Vec<_>>()
    };
    let pairs: Vec<(Program, Source)> = programs.iter().flat_map(with_sources).collect();
    let tally = Tally::default();
    for some in pairs.chunks(12) {
        matrix::through_a_rotation(some, &tally);
    }
    let refused = tally.refused.into_inner().unwrap();
    println!(
        "clients: {} programs, {} pairs of program and source, {} requests, {} refused",
        programs.len(),
        pairs.len(),
        tally.requests.into_inner(),
        refused.len()
    );
    assert!(refused.is_empty(), "{refused:#?}");
    document::check(&programs, full());
}
