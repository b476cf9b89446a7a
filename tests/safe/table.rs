//! The models against what was read and seen of the SDKs: from when each signs no longer with a key, if its
//! source hands out another, and if its source fails.

use rotakey_core::credential::AccessKeyId;
use rotakey_core::time::{Monotonic, Now};

use crate::model_clients::{Answer, Client, KINDS, Kind, Source};

/// Fetched at 0, expiring at E, an hour later.
const E: i64 = 3600;
const M: i64 = 60;
/// It signs on for as long as the source fails.
const EVER: i64 = i64::MAX;

/// From when it does not sign with the old key: source healthy, source failing; and how long after a
/// failure it may still sign with it although the source is back.
type Stops = (&'static str, i64, i64, i64);

const PROCESS: &[Stops] = &[
    ("botocore, AWS CLI", E - 10 * M, E - 10 * M, 0),
    ("JavaScript, default chain", E, E, 0),
    ("JavaScript, a program's own provider", E - 5 * M, E - 5 * M, 0),
    ("Rust", E - 5, E - 5, 0),
    ("Go v2", E, E, 0),
    ("Go v1", E, E, 0),
    ("Java", E, E, 0),
    (".NET", E, E, 0),
    ("C++", E, E, 0),
    ("Ruby", E - 5 * M, E - 5 * M, 0),
    ("PHP", E, E, 0),
    ("CRT", E - 5 * M, E - 5 * M, 0),
    ("minio-go", 48 * M, 48 * M, 0),
    ("botocore, to come", E - M, EVER, 10 * M),
];

const CONTAINER: &[Stops] = &[
    ("botocore, AWS CLI", E - 10 * M, E - 10 * M, 0),
    ("JavaScript, default chain", E, E, 0),
    ("JavaScript, a program's own provider", E - 5 * M, E - 5 * M, 0),
    ("Rust", E - 5, E - 5, 0),
    ("Go v2", E - 5 * M, E - 5 * M, 0),
    ("Go v1", E - 5 * M, E - 5 * M, 0),
    ("Java", E - M, E - M, 0),
    (".NET", E, E, 0),
    ("C++", 5 * M, EVER, 5 * M),
    ("Ruby", E - 5 * M, E - 5 * M, 0),
    ("PHP", E, E, 0),
    ("object_store", E - 5 * M, E - 5 * M, 0),
    ("minio-go", 48 * M, 48 * M, 0),
    ("Go v2, to come", E - M, EVER, 10 * M),
    ("Java, to come", E - M, EVER, 10 * M),
    ("botocore, to come", E - M, EVER, 10 * M),
];

const IMDS: &[Stops] = &[
    ("botocore, AWS CLI", E - 10 * M, E - 10 * M, 0),
    ("JavaScript, default chain", E, E, 0),
    ("JavaScript, fromInstanceMetadata", E, EVER, 10 * M),
    ("Rust", E - 5, EVER, 0),
    ("Go v2", E, EVER, 15 * M),
    ("Go v1", E - 5 * M, E - 5 * M, 0),
    ("Java", E - 1, EVER, 10),
    (".NET", 2 * M, EVER, 10 * M),
    ("C++", 5 * M, EVER, 10 * M),
    ("Ruby", E - 5 * M, EVER, 6 * M),
    ("PHP, refused", E, E, 0),
    ("PHP, status 500 or no answer", E, EVER, 10 * M),
    ("CRT", E - 5 * M, E - 5 * M, 0),
    ("object_store", E - 5 * M, E - 5 * M, 0),
    ("s3fs", E - 20 * M, E - 20 * M, 0),
    ("s3cmd", E - 15 * M, E - 15 * M, 0),
    ("Go v2, to come", E - M, EVER, 10 * M),
    ("Java, to come", E - M, EVER, 10 * M),
    ("botocore, to come", E - M, EVER, 10 * M),
];

fn rows() -> impl Iterator<Item = (Source, &'static Stops)> {
    let of = |source, rows: &'static [Stops]| rows.iter().map(move |row| (source, row));
    of(Source::Process, PROCESS)
        .chain(of(Source::Container, CONTAINER))
        .chain(of(Source::Imds, IMDS))
}

fn kind(source: Source, name: &str) -> Kind {
    let mut named = KINDS.iter().filter(|kind| kind.source == source && kind.name == name);
    let kind = *named.next().expect("a model of the row");
    assert!(named.next().is_none(), "two models of {name}");
    kind
}

/// Both clocks, `seconds` after the first fetch; the machine was `suspended` for so many of them.
fn now(seconds: i64, suspended: i64) -> Now {
    let since_boot =
        std::time::Duration::from_secs(u64::try_from(1000 + seconds - suspended).unwrap());
    let wall = jiff::Timestamp::from_second(1_700_000_000 + seconds).unwrap();
    Now { wall, monotonic: Monotonic { boot: "a".to_owned(), since_boot } }
}

fn answer(id: &str, fetched: i64, life: i64) -> Answer {
    Answer { access_key_id: id.parse().unwrap(), expiration: now(fetched + life, 0).wall }
}

fn old() -> AccessKeyId {
    "AKIAOLD".parse().unwrap()
}

/// It has fetched the old key, at 0.
fn fetched(kind: Kind, jitter: u64, life: i64) -> Client {
    let mut client = Client::new(kind, jitter);
    let signed = client.sign(&now(0, 0), &mut || Some(answer("AKIAOLD", 0, life)));
    assert_eq!(signed, Some(old()), "{kind:?}");
    client
}

/// Whether some such client that fetched at 0 and first signs then, signs with the old key.
fn signs(kind: Kind, healthy: bool, life: i64, at: i64, suspended: i64) -> bool {
    (0..32).any(|jitter| {
        let mut client = fetched(kind, jitter, life);
        let mut fetch = || healthy.then(|| answer("AKIANEW", at, life));
        client.sign(&now(at, suspended), &mut fetch) == Some(old())
    })
}

/// It signs to the last second before `stop`, and never after it.
fn check(kind: Kind, healthy: bool, life: i64, stop: i64, suspended: i64) {
    let signs = |at| signs(kind, healthy, life, at, suspended);
    let last = if stop == EVER { 24 * E } else { stop - 1 };
    assert!(signs(last), "{kind:?}, healthy: {healthy}: no longer at {last}");
    for at in (last + 1..last + E).step_by(50).filter(|_| stop != EVER) {
        assert!(!signs(at), "{kind:?}, healthy: {healthy}: still at {at}");
    }
}

#[test]
fn every_model_stops_when_its_row_says() {
    for (source, &(name, healthy, failing, _)) in rows() {
        let kind = kind(source, name);
        check(kind, true, E, healthy, 0);
        check(kind, false, E, failing, 0);
        assert_eq!(kind.bounded, failing != EVER, "{source:?} {name}");
    }
    assert_eq!(rows().count(), KINDS.len());
}

#[test]
fn every_model_heals_as_quickly_as_its_row_says() {
    for (source, &(name, _, _, heals)) in rows() {
        // The source fails at E + 1 and is back a moment later.
        let kept = |after| {
            (0..64).any(|jitter| {
                let mut client = fetched(kind(source, name), jitter, E);
                client.sign(&now(E + 1, 0), &mut || None);
                let mut fetch = || Some(answer("AKIANEW", E + 1 + after, E));
                client.sign(&now(E + 1 + after, 0), &mut fetch) == Some(old())
            })
        };
        assert!(heals == 0 || kept(heals * 9 / 10), "{source:?} {name} heals sooner");
        assert!(!kept(heals), "{source:?} {name} heals later");
    }
}

#[test]
fn caches_on_the_monotonic_clock_last_longer_by_as_long_as_the_machine_was_suspended() {
    let suspended = 8 * E;
    for (source, &(name, healthy, ..)) in rows() {
        let over_runs =
            ["CRT", "object_store"].contains(&name) || (source, name) == (Source::Imds, ".NET");
        let kind = kind(source, name);
        if over_runs {
            check(kind, true, E, healthy + suspended, suspended);
        } else {
            assert!(!signs(kind, true, E, suspended + M, suspended), "{source:?} {name}");
        }
    }
}

#[test]
fn botocore_takes_a_short_life_on_imds_for_a_longer_one() {
    let botocore = kind(Source::Imds, "botocore, AWS CLI");
    // Anything that lives for less than 17 to 25 minutes is kept for 7 to 15.
    for life in [M, 5 * M, 16 * M] {
        assert!(signs(botocore, true, life, 14 * M, 0), "{life}");
        assert!(!signs(botocore, true, life, 15 * M, 0), "{life}");
    }
    // From 25 minutes on the expiration is what was served.
    for life in [25, 26, 30, 60] {
        check(botocore, true, life * M, (life - 10) * M, 0);
    }
}
