//! What the fuzzer goes through at the agent's own socket (`make fuzz TARGET=control`), without the fuzzer: every case of
//! its corpus, and random mutations of them.
#![allow(missing_docs, unreachable_pub, clippy::unwrap_used, reason = "a test")]
#![allow(clippy::disallowed_methods, reason = "a test reads files")]

#[path = "../fuzz/harness/control.rs"]
mod control_harness;
#[path = "fuzz/mutations.rs"]
mod mutations;

use mutations::{check_corpus, check_mutations};

#[test]
fn every_case_of_the_control_corpus_is_answered_as_it_must_be() {
    check_corpus("control", control_harness::check);
}

static WORDS: [&str; 34] = [
    "\r\n",
    "\n",
    "\0",
    " ",
    ":",
    "/",
    "\r\n\r\n",
    "GET ",
    "PUT ",
    "HEAD ",
    "POST ",
    " HTTP/1.1",
    " HTTP/1.0",
    "Host: x",
    "Content-Length: 6",
    "Content-Length: 0",
    "Transfer-Encoding: chunked",
    "5\r\nhello\r\n0\r\n\r\n",
    "Connection: close",
    "Expect: 100-continue",
    "/credential-process/deploy",
    "/credential-process/empty",
    "/v1/status",
    "/v1/profiles/deploy",
    "/wake",
    "/take-up",
    "/mfa",
    "/token",
    "%40",
    "%2f",
    "..",
    "?",
    "\"",
    "\u{ff}",
];

#[test]
fn mutations_of_the_control_corpus_bring_out_nothing_else() {
    check_mutations("control", &WORDS, control_harness::check);
}
