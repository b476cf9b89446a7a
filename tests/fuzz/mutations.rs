//! The fuzzer's corpora, and random mutations of their cases.
//!
//! `PROPTEST_CASES` asks for more mutations than the usual 2000, `PROPTEST_RNG_SEED` picks others.

use std::path::Path;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

/// The cases of a target, by name.
pub fn corpus(target: &str) -> Vec<(String, Vec<u8>)> {
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

#[derive(Clone, Debug)]
pub enum Mutation {
    Set(Index, u8),
    Remove(Index, usize),
    Insert(Index, Vec<u8>),
    Repeat(Index, usize, usize),
    Splice(Index, Index),
}

/// One change. `words` are what requests are made of, and what has broken other servers.
pub fn mutation(words: &'static [&'static str]) -> impl Strategy<Value = Mutation> {
    let at = any::<Index>;
    prop_oneof![
        (at(), any::<u8>()).prop_map(|(at, byte)| Mutation::Set(at, byte)),
        (at(), 1..20_usize).prop_map(|(at, length)| Mutation::Remove(at, length)),
        (at(), select(words)).prop_map(|(at, word)| Mutation::Insert(at, word.into())),
        (at(), vec(any::<u8>(), 1..8)).prop_map(|(at, bytes)| Mutation::Insert(at, bytes)),
        (at(), 1..60_usize, 1..400_usize).prop_map(|(at, n, times)| Mutation::Repeat(at, n, times)),
        (at(), at()).prop_map(|(at, other)| Mutation::Splice(at, other)),
    ]
}

/// A case with changes.
pub fn mutated(cases: &[(String, Vec<u8>)], first: Index, mutations: &[Mutation]) -> Vec<u8> {
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

/// How many mutations.
pub fn settings() -> ProptestConfig {
    ProptestConfig {
        cases: std::env::var("PROPTEST_CASES").map_or(2000, |n| n.parse().expect("a number")),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}
