//! The fuzzer's corpora, and random mutations of their cases.
//!
//! `PROPTEST_CASES` asks for more mutations than the usual 2000, `PROPTEST_RNG_SEED` picks others.

use std::path::Path;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::TestRunner;

/// Gives every case of a corpus to a harness.
pub fn check_corpus(target: &str, check: fn(&[u8])) {
    for (name, bytes) in corpus(target) {
        let checked = std::panic::catch_unwind(|| check(&bytes));
        assert!(checked.is_ok(), "fuzz/corpus/{target}/{name}");
    }
}

/// Gives mutations of a corpus to a harness. `words` are what its cases are made of, and what has broken others.
pub fn check_mutations(target: &str, words: &'static [&'static str], check: fn(&[u8])) {
    let cases = corpus(target);
    let strategy = (any::<Index>(), vec(mutation(words), 1..6));
    let checked = TestRunner::new(settings()).run(&strategy, |(first, mutations)| {
        check(&mutated(&cases, first, &mutations));
        Ok(())
    });
    checked.unwrap_or_else(|error| panic!("{error}"));
}

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
enum Mutation {
    Set(Index, u8),
    Remove(Index, usize),
    Insert(Index, Vec<u8>),
    Repeat(Index, usize, usize),
    Splice(Index, Index),
}

/// One change.
fn mutation(words: &'static [&'static str]) -> impl Strategy<Value = Mutation> {
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

/// How many mutations.
fn settings() -> ProptestConfig {
    ProptestConfig {
        cases: std::env::var("PROPTEST_CASES").map_or(2000, |n| n.parse().expect("a number")),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}
