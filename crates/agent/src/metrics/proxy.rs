//! What is counted of the proxy. Its refusals are too many kinds for a label each.

use std::sync::atomic::{AtomicU64, Ordering};

use rotakey_endpoint::proxy::refusal::Refusal;

use super::counters::one;
use super::{Sample, sample};

/// The labels of refusals.
pub(super) const REASONS: [&str; 11] = [
    "signature",
    "time",
    "placeholder",
    "host",
    "head",
    "browser",
    "policy",
    "body",
    "too-large",
    "unavailable",
    "other",
];

/// The label of a refusal.
pub(super) fn reason(why: Refusal) -> &'static str {
    match why {
        Refusal::Unsigned
        | Refusal::Malformed
        | Refusal::SignedTwice
        | Refusal::Asymmetric
        | Refusal::Version2
        | Refusal::Presigned
        | Refusal::BadScope
        | Refusal::WrongSignature => "signature",
        Refusal::Skewed | Refusal::Expired => "time",
        Refusal::UnknownKey | Refusal::WrongToken => "placeholder",
        Refusal::HostNotSigned | Refusal::HostNotAllowed | Refusal::OtherHost => "host",
        Refusal::HeaderNotSigned
        | Refusal::Duplicate
        | Refusal::TwoLengths
        | Refusal::BadHead
        | Refusal::Method => "head",
        Refusal::Browser => "browser",
        Refusal::ServiceNotAllowed
        | Refusal::RegionNotAllowed
        | Refusal::ConnectNotAllowed
        | Refusal::OperationRefused
        | Refusal::BucketSession
        | Refusal::NotVirtual
        | Refusal::HiddenOperation
        | Refusal::ForeignProgram => "policy",
        Refusal::BadChunk
        | Refusal::ChunkSignature
        | Refusal::BadTrailer
        | Refusal::TrailerSignature
        | Refusal::WrongHash
        | Refusal::WrongLength => "body",
        Refusal::TooLarge | Refusal::ChunkTooLarge => "too-large",
        Refusal::Busy | Refusal::NoKey | Refusal::Unreachable => "unavailable",
        _ => "other",
    }
}

const CLASSES: [&str; 4] = ["2xx", "3xx", "4xx", "5xx"];

/// How a profile's requests were answered, by class.
#[derive(Debug, Default)]
pub struct Answered([AtomicU64; CLASSES.len()]);

impl Answered {
    /// One more.
    pub fn note(&self, status: u16) {
        one(usize::from(status / 100).checked_sub(2).and_then(|at| self.0.get(at)));
    }

    pub(crate) fn samples(&self, profile: &str) -> impl Iterator<Item = Sample> {
        let counts = self.0.iter().map(|count| count.load(Ordering::Relaxed) as f64);
        CLASSES
            .iter()
            .zip(counts)
            .map(move |(class, count)| sample("rotakey_proxy_answers", &[profile, class], count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_counted_in_its_class_and_every_reason_is_written() {
        let answered = Answered::default();
        for status in [200, 206, 304, 403, 404, 503, 101, 600, 0] {
            answered.note(status);
        }
        let counts: Vec<f64> = answered.samples("p").map(|sample| sample.value).collect();
        assert_eq!(counts, [2.0, 1.0, 2.0, 1.0]);
        for why in [Refusal::Unsigned, Refusal::Browser, Refusal::Busy, Refusal::CannotSign] {
            assert!(REASONS.contains(&reason(why)), "{why:?}");
        }
        assert_eq!(reason(Refusal::NotVirtual), "policy");
    }
}
