//! Any bytes as a body in chunks.
#![no_main]

#[path = "../harness/chunks.rs"]
mod chunks_harness;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| chunks_harness::check(bytes));
