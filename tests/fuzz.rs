//! What the fuzzer goes through (`make fuzz`), without the fuzzer: every case of its corpus, and random mutations of them.
//!
//! `PROPTEST_CASES` asks for more mutations than the usual 2000, `PROPTEST_RNG_SEED` picks others.
#![allow(missing_docs, unreachable_pub, clippy::unwrap_used, reason = "a test")]
#![allow(clippy::disallowed_methods, reason = "a test reads files")]

#[path = "../fuzz/harness/http.rs"]
mod http_harness;

use std::path::Path;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

/// The cases of a target, by name.
fn corpus(target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    let mut cases: Vec<_> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| {
            let name = entry.file_name().into_string().unwrap();
            (name, std::fs::read(entry.path()).unwrap())
        })
        .collect();
    cases.sort();
    assert!(cases.len() >= 40, "{} has {} cases", folder.display(), cases.len());
    cases
}

#[test]
fn every_case_of_the_http_corpus_is_answered_as_it_must_be() {
    for (name, bytes) in corpus("http") {
        let checked = std::panic::catch_unwind(|| http_harness::check(&bytes));
        assert!(checked.is_ok(), "fuzz/corpus/http/{name}");
    }
}

/// What heads are made of, and what has broken other servers.
const WORDS: [&str; 36] = [
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

#[derive(Clone, Debug)]
enum Mutation {
    Set(Index, u8),
    Remove(Index, usize),
    Insert(Index, Vec<u8>),
    Repeat(Index, usize, usize),
    Splice(Index, Index),
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let at = any::<Index>;
    prop_oneof![
        (at(), any::<u8>()).prop_map(|(at, byte)| Mutation::Set(at, byte)),
        (at(), 1..20_usize).prop_map(|(at, length)| Mutation::Remove(at, length)),
        (at(), select(&WORDS[..])).prop_map(|(at, word)| Mutation::Insert(at, word.into())),
        (at(), vec(any::<u8>(), 1..8)).prop_map(|(at, bytes)| Mutation::Insert(at, bytes)),
        (at(), 1..60_usize, 1..400_usize).prop_map(|(at, n, times)| Mutation::Repeat(at, n, times)),
        (at(), at()).prop_map(|(at, other)| Mutation::Splice(at, other)),
    ]
}

fn mutated(cases: &[(String, Vec<u8>)], first: Index, mutations: &[Mutation]) -> Vec<u8> {
    let mut bytes = first.get(cases).1.clone();
    for mutation in mutations {
        let place = |at: &Index| at.index(bytes.len() + 1);
        match mutation {
            Mutation::Set(at, byte) => {
                let at = place(at);
                bytes.splice(at..bytes.len().min(at + 1), [*byte]);
            }
            Mutation::Remove(at, length) => {
                let at = place(at);
                bytes.drain(at..bytes.len().min(at + length));
            }
            Mutation::Insert(at, part) => {
                let at = place(at);
                bytes.splice(at..at, part.iter().copied());
            }
            Mutation::Repeat(at, length, times) => {
                let at = place(at);
                let part = bytes[at..bytes.len().min(at + length)].repeat(*times);
                bytes.splice(at..at, part);
            }
            Mutation::Splice(at, other) => {
                bytes.truncate(place(at));
                bytes.extend_from_slice(&other.get(cases).1);
            }
        }
    }
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: std::env::var("PROPTEST_CASES").map_or(2000, |n| n.parse().expect("a number")),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn mutations_of_the_http_corpus_bring_out_nothing_else(
        first in any::<Index>(),
        mutations in vec(mutation(), 1..6),
    ) {
        thread_local!(static CASES: Vec<(String, Vec<u8>)> = corpus("http"));
        CASES.with(|cases| http_harness::check(&mutated(cases, first, &mutations)));
    }
}
