//! Any bytes as requests.
#![no_main]

#[path = "../harness/http.rs"]
mod http_harness;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| http_harness::check(bytes));
