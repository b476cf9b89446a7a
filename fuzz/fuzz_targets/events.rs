//! Any bytes as an event stream.
#![no_main]

#[path = "../harness/events.rs"]
mod events_harness;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| events_harness::check(bytes));
