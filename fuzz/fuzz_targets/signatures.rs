//! Any bytes as the head of a signed request.
#![no_main]

#[path = "../harness/signatures.rs"]
mod signatures_harness;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| signatures_harness::check(bytes));
