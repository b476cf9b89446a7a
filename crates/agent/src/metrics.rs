//! Metrics for Prometheus: `GET /metrics` on the agent's Unix socket.
//!
//! What is counted while programs are answered is counted by atomics ([`Counters`]): no answer waits for it. Everything else
//! is looked up when somebody asks, on a thread that answers nobody.

mod gather;
mod proxy;

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;
use rotakey_core::iam::{Outcome, RefusalClass};
use rotakey_endpoint::proxy::refusal::Refusal;
use rotakey_endpoint::table::{Refused, Source};

pub use self::gather::gather;
pub use self::proxy::Answered;

/// What a metric is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    /// It only grows.
    Counter,
    /// It goes up and down.
    Gauge,
    /// How many were how long.
    Histogram,
}

/// A metric: its name, what it is, its labels, and what it says. docs/metrics.md is checked against these.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// Without `_total`, which counters get when they are written.
    pub name: &'static str,
    /// What it is.
    pub sort: Sort,
    /// The names of its labels.
    pub labels: &'static [&'static str],
    /// What it says.
    pub help: &'static str,
}

const fn metric(
    name: &'static str,
    sort: Sort,
    labels: &'static [&'static str],
    help: &'static str,
) -> Metric {
    Metric { name, sort, labels, help }
}

/// All metrics, in the order in which they are written.
pub const METRICS: &[Metric] = &[
    metric("rotakey_build_info", Sort::Gauge, &["version"], "Always 1; the version is its label"),
    metric("rotakey_start_time_seconds", Sort::Gauge, &[], "When the agent began, as Unix time"),
    metric(
        "rotakey_engine_up",
        Sort::Gauge,
        &[],
        "1 while the engine works; programs are served without it, and nothing is rotated",
    ),
    metric(
        "rotakey_key_info",
        Sort::Gauge,
        &["profile", "stage", "access_key_id", "status"],
        "Always 1; a key of the profile: stage is current, previous or pending, status what IAM said last",
    ),
    metric(
        "rotakey_key_age_seconds",
        Sort::Gauge,
        &["profile", "stage"],
        "Age of a key by its CreateDate; CIS asks for at most 7776000 (90 days)",
    ),
    metric("rotakey_key_generation", Sort::Gauge, &["profile"], "Counts publishes"),
    metric(
        "rotakey_rotation_step",
        Sort::Gauge,
        &["profile", "step"],
        "1 for the step at which a rotation is, else 0",
    ),
    metric(
        "rotakey_rotation_step_since_seconds",
        Sort::Gauge,
        &["profile"],
        "Since when the rotation is at its step, as Unix time; absent if none runs",
    ),
    metric("rotakey_rotation_stuck", Sort::Gauge, &["profile"], "1 if a person has to decide"),
    metric(
        "rotakey_rotations",
        Sort::Counter,
        &["profile", "outcome"],
        "Rotations that have ended: rotated, undone or given-up; from the journal, so restarts do not set it back",
    ),
    metric(
        "rotakey_next_rotation_timestamp_seconds",
        Sort::Gauge,
        &["profile"],
        "When the next rotation is due, as Unix time; absent while one runs",
    ),
    metric(
        "rotakey_last_rotation_timestamp_seconds",
        Sort::Gauge,
        &["profile"],
        "When the last rotation was complete, as Unix time",
    ),
    metric(
        "rotakey_last_rotation_two_active_seconds",
        Sort::Gauge,
        &["profile"],
        "How long two keys were Active at once in the last rotation (CIS 1.13)",
    ),
    metric(
        "rotakey_last_failure_timestamp_seconds",
        Sort::Gauge,
        &["profile"],
        "When a rotation was last undone, given up or stuck, as Unix time",
    ),
    metric(
        "rotakey_scheduler_failures",
        Sort::Gauge,
        &["profile"],
        "Failures in a row; 0 when it went well",
    ),
    metric(
        "rotakey_scheduler_waiting",
        Sort::Gauge,
        &["profile", "waits_for"],
        "1 for what the scheduler waits for: offline, clock, quiet hours, turn, backoff",
    ),
    metric(
        "rotakey_lease_horizon_timestamp_seconds",
        Sort::Gauge,
        &["profile", "stage"],
        "The latest Expiration promised for a key, as Unix time",
    ),
    metric(
        "rotakey_healthy_since_timestamp_seconds",
        Sort::Gauge,
        &["profile"],
        "Since when programs could fetch without a gap, as Unix time",
    ),
    metric(
        "rotakey_holders",
        Sort::Gauge,
        &["profile", "stage"],
        "Programs that hold a key, as far as they could be told",
    ),
    metric(
        "rotakey_session_expiry_timestamp_seconds",
        Sort::Gauge,
        &["profile"],
        "When the session that is served ends, as Unix time",
    ),
    metric(
        "rotakey_clock_offset_seconds",
        Sort::Gauge,
        &["profile"],
        "AWS's clock less ours, when a key was last created",
    ),
    metric("rotakey_journal_lines", Sort::Gauge, &["profile"], "Lines of the journal"),
    metric("rotakey_audit_lines", Sort::Gauge, &[], "Lines of the audit trail"),
    metric(
        "rotakey_answers",
        Sort::Counter,
        &["source", "outcome"],
        "Answers to programs that may ask: given, or unavailable when there was nothing to give",
    ),
    metric("rotakey_refusals", Sort::Counter, &["reason"], "Requests that were turned away"),
    metric(
        "rotakey_answer_seconds",
        Sort::Histogram,
        &[],
        "How long answers over TCP took, from the request's head to the answer's",
    ),
    metric(
        "rotakey_aws_calls",
        Sort::Counter,
        &["outcome"],
        "Calls to AWS by rotations since the agent began: done, unknown (no answer), or the class of the refusal",
    ),
    metric(
        "rotakey_proxy_answers",
        Sort::Counter,
        &["profile", "class"],
        "Requests through the proxy that AWS answered, by the class of its answer: 2xx, 3xx, 4xx or 5xx",
    ),
    metric(
        "rotakey_proxy_fail_overs",
        Sort::Counter,
        &["profile"],
        "Requests through the proxy that were sent with the key that is not served, as AWS did not know the other one there",
    ),
    metric(
        "rotakey_proxy_refusals",
        Sort::Counter,
        &["reason"],
        "Requests that the proxy turned away, or could not send on",
    ),
];

/// The upper bounds of an answer's time, in microseconds.
const BOUNDS: [u64; 8] = [50, 100, 250, 1000, 5000, 25_000, 100_000, 250_000];

const SOURCES: [Source; 3] = [Source::Process, Source::Container, Source::Imds];

const REASONS: [(Refused, &str); 12] = [
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

fn one(counter: Option<&AtomicU64>) {
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

/// A value, and the values of its metric's labels.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// Of which metric.
    pub name: &'static str,
    /// In the order of the metric's labels.
    pub labels: Vec<String>,
    /// The value.
    pub value: f64,
}

/// A sample of the metric of that name.
pub(crate) fn sample(name: &'static str, labels: &[&str], value: f64) -> Sample {
    Sample { name, labels: labels.iter().map(|label| (*label).to_owned()).collect(), value }
}

/// What was counted, as samples; but the histogram.
fn counted(counters: &Counters) -> Vec<Sample> {
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

/// One answer to a scrape.
struct Scrape {
    samples: Vec<Sample>,
    took: Vec<(f64, u64)>,
    took_seconds: f64,
}

impl fmt::Debug for Scrape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Scrape")
    }
}

impl Collector for Scrape {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for metric in METRICS {
            let sort = match metric.sort {
                Sort::Counter => MetricType::Counter,
                Sort::Gauge => MetricType::Gauge,
                Sort::Histogram => MetricType::Histogram,
            };
            // The crate ends it with a full stop.
            let mut of_it =
                self.samples.iter().filter(|sample| sample.name == metric.name).peekable();
            if of_it.peek().is_none() && metric.sort != Sort::Histogram {
                continue;
            }
            let help = format!("{}.", metric.help);
            let mut family = encoder.encode_descriptor(metric.name, &help, None, sort)?;
            if metric.sort == Sort::Histogram {
                let count = self.took.iter().map(|(_, count)| count).sum();
                family.encode_histogram::<NoLabelSet>(
                    self.took_seconds,
                    count,
                    &self.took,
                    None,
                )?;
                continue;
            }
            for sample in of_it {
                let names = metric.labels.iter().copied();
                let labels: Vec<(&str, &str)> =
                    names.zip(sample.labels.iter().map(String::as_str)).collect();
                if labels.is_empty() {
                    write(&mut family, metric.sort, sample.value)?;
                } else {
                    write(&mut family.encode_family(&labels)?, metric.sort, sample.value)?;
                }
            }
        }
        Ok(())
    }
}

fn write(encoder: &mut MetricEncoder<'_>, sort: Sort, value: f64) -> fmt::Result {
    match sort {
        Sort::Counter => encoder.encode_counter::<NoLabelSet, f64, f64>(&value, None),
        _ => encoder.encode_gauge(&value),
    }
}

/// What a scrape is answered with: the text format of OpenMetrics, which Prometheus reads.
#[must_use]
pub fn render(mut samples: Vec<Sample>, counters: &Counters) -> String {
    samples.extend(counted(counters));
    let bounds = BOUNDS.iter().map(|micros| *micros as f64 / 1e6).chain([f64::INFINITY]);
    let took =
        bounds.zip(counters.took.iter().map(|count| count.load(Ordering::Relaxed))).collect();
    let took_seconds = counters.took_nanoseconds.load(Ordering::Relaxed) as f64 / 1e9;
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Scrape { samples, took, took_seconds }));
    let mut body = String::new();
    // Writing into memory does not fail.
    let _ = text::encode(&mut body, &registry);
    body
}

#[cfg(test)]
mod tests;
