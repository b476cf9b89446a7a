//! Any bytes as what is made canonical.
#![no_main]

#[path = "../harness/canonical.rs"]
mod canonical_harness;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| canonical_harness::check(bytes));
