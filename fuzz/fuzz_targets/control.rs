//! Any bytes as requests to the agent's own socket.
#![no_main]

#[path = "../harness/control.rs"]
mod control_harness;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| control_harness::check(bytes));
