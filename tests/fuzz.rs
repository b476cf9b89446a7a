//! What the fuzzer goes through (`make fuzz`), without the fuzzer: every case of its corpus, and random mutations of them.
#![allow(missing_docs, unreachable_pub, clippy::unwrap_used, reason = "a test")]
#![allow(clippy::disallowed_methods, reason = "a test reads files")]

#[path = "../fuzz/harness/http.rs"]
mod http_harness;

#[path = "fuzz/mutations.rs"]
mod mutations;

use mutations::{check_corpus, check_mutations};

#[test]
fn every_case_of_the_http_corpus_is_answered_as_it_must_be() {
    check_corpus("http", http_harness::check);
}

/// What heads are made of, and what has broken other servers.
static WORDS: [&str; 36] = [
    "\r\n",
    "\n",
    "\r",
    "\0",
    " ",
    "\t",
    ":",
    "/",
    "\r\n\r\n",
    "GET ",
    "PUT ",
    "HEAD ",
    "POST ",
    " HTTP/1.1",
    " HTTP/1.0",
    "Host: 127.0.0.1",
    "Host: [::1]",
    "Host: evil.example",
    "Authorization: 0123456789abcdef0123456789abcdefTOKEN",
    "0123456789abcdef0123456789abcdefTOKEN",
    "Content-Length: 5",
    "Content-Length: 0",
    "Transfer-Encoding: chunked",
    "Connection: close",
    "Connection: Upgrade",
    "Expect: 100-continue",
    "X-Forwarded-For: 1",
    "Origin: null",
    "X-aws-ec2-metadata-token-ttl-seconds: 60",
    "X-aws-ec2-metadata-token: ",
    "/credentials/deploy",
    "/latest/api/token",
    "/latest/meta-data/iam/security-credentials/deploy",
    "?",
    "%2f",
    "\u{ff}",
];

#[test]
fn mutations_of_the_http_corpus_bring_out_nothing_else() {
    check_mutations("http", &WORDS, http_harness::check);
}
