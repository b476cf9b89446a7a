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

#[path = "clients/clock.rs"]
mod clock;
#[path = "clients/driver.rs"]
mod driver;
#[path = "clients/golden.rs"]
mod golden;
#[path = "clients/script.rs"]
mod script;
#[path = "clients/scripted.rs"]
mod scripted;
#[path = "clients/sources.rs"]
mod sources;
mod support;

use driver::Sdk;
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
