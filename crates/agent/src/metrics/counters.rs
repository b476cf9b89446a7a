//! What is counted while programs are answered, and calls to AWS.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rotakey_core::iam::{Outcome, RefusalClass};
use rotakey_endpoint::proxy::refusal::Refusal;
use rotakey_endpoint::table::{Refused, Source};

use super::{Sample, proxy, sample};

/// The upper bounds of an answer's time, in microseconds.
const BOUNDS: [u64; 8] = [50, 100, 250, 1000, 5000, 25_000, 100_000, 250_000];

const SOURCES: [Source; 3] = [Source::Process, Source::Container, Source::Imds];

pub(super) const REASONS: [(Refused, &str); 12] = [
    (Refused::User, "user"),
    (Refused::Executable, "executable"),
    (Refused::Token, "token"),
    (Refused::ImdsToken, "imds-token"),
    (Refused::Host, "host"),
    (Refused::Forwarded, "forwarded"),
    (Refused::Browser, "browser"),
    (Refused::Method, "method"),
    (Refused::NotFound, "not-found"),
    (Refused::Malformed, "malformed"),
    (Refused::Crowded, "crowded"),
    (Refused::Unavailable, "unavailable"),
];

const CLASSES: [(RefusalClass, &str); 11] = [
    (RefusalClass::KeyUnknown, "key-unknown"),
    (RefusalClass::WrongSecret, "wrong-secret"),
    (RefusalClass::Clock, "clock"),
    (RefusalClass::Expired, "expired"),
    (RefusalClass::Permission, "permission"),
    (RefusalClass::Quarantine, "quarantine"),
    (RefusalClass::Throttled, "throttled"),
    (RefusalClass::Quota, "quota"),
    (RefusalClass::NoSuchEntity, "no-such-entity"),
    (RefusalClass::Conflict, "conflict"),
    (RefusalClass::Invalid, "invalid"),
];

/// What is counted while programs are answered.
#[derive(Debug, Default)]
pub struct Counters {
    given: [AtomicU64; SOURCES.len()],
    unavailable: [AtomicU64; SOURCES.len()],
    refused: [AtomicU64; REASONS.len()],
    turned_away: [AtomicU64; proxy::REASONS.len()],
    took: [AtomicU64; BOUNDS.len() + 1],
    took_nanoseconds: AtomicU64,
}

/// Adds one.
pub(super) fn one(counter: Option<&AtomicU64>) {
    if let Some(counter) = counter {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

impl Counters {
    /// A program was given something.
    pub fn given(&self, source: Source) {
        one(SOURCES.iter().position(|one| *one == source).and_then(|at| self.given.get(at)));
    }

    /// There was nothing to give.
    pub fn unavailable(&self, source: Source) {
        one(SOURCES.iter().position(|one| *one == source).and_then(|at| self.unavailable.get(at)));
    }

    /// A caller was turned away.
    pub fn refused(&self, why: Refused) {
        one(REASONS.iter().position(|(one, _)| *one == why).and_then(|at| self.refused.get(at)));
    }

    /// The proxy turned a request away.
    pub fn turned_away(&self, why: Refusal) {
        let reason = proxy::reason(why);
        let at = proxy::REASONS.iter().position(|one| *one == reason);
        one(at.and_then(|at| self.turned_away.get(at)));
    }

    /// An answer took so long.
    pub fn took(&self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        one(self.took.get(BOUNDS.partition_point(|bound| *bound < micros)));
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(0);
        self.took_nanoseconds.fetch_add(nanos, Ordering::Relaxed);
    }
}

/// Calls to AWS, of the whole process.
static CALLS: [AtomicU64; CLASSES.len() + 2] = [const { AtomicU64::new(0) }; CLASSES.len() + 2];

/// A call to AWS came to this.
pub fn called<T>(outcome: &Outcome<T>) {
    one(CALLS.get(match outcome {
        Outcome::Done(_) => CLASSES.len(),
        Outcome::Unknown(_) => CLASSES.len() + 1,
        Outcome::Refused(refusal) => {
            CLASSES.iter().position(|(class, _)| *class == refusal.class).unwrap_or(usize::MAX)
        }
    }));
}
/// What was counted, as samples; but the histogram.
pub(super) fn counted(counters: &Counters) -> Vec<Sample> {
    let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed) as f64;
    let mut samples = Vec::new();
    for (at, source) in SOURCES.iter().enumerate() {
        let name = source.name();
        samples.push(sample("rotakey_answers", &[name, "given"], read(&counters.given[at])));
        samples.push(sample(
            "rotakey_answers",
            &[name, "unavailable"],
            read(&counters.unavailable[at]),
        ));
    }
    for ((_, reason), counter) in REASONS.iter().zip(&counters.refused) {
        samples.push(sample("rotakey_refusals", &[reason], read(counter)));
    }
    for (reason, counter) in proxy::REASONS.iter().zip(&counters.turned_away) {
        samples.push(sample("rotakey_proxy_refusals", &[reason], read(counter)));
    }
    let outcomes = CLASSES.iter().map(|(_, name)| *name).chain(["done", "unknown"]);
    for (outcome, counter) in outcomes.zip(&CALLS) {
        samples.push(sample("rotakey_aws_calls", &[outcome], read(counter)));
    }
    samples
}

/// How long answers took.
pub(super) struct Took {
    /// The upper bound of each time, in seconds, and how many there were up to it.
    pub(super) counts: Vec<(f64, u64)>,
    /// All of them together.
    pub(super) seconds: f64,
}

/// What was counted of answers' times.
pub(super) fn took(counters: &Counters) -> Took {
    let bounds = BOUNDS.iter().map(|micros| *micros as f64 / 1e6).chain([f64::INFINITY]);
    let counts = counters.took.iter().map(|count| count.load(Ordering::Relaxed));
    let nanoseconds = counters.took_nanoseconds.load(Ordering::Relaxed);
    Took { counts: bounds.zip(counts).collect(), seconds: nanoseconds as f64 / 1e9 }
}
