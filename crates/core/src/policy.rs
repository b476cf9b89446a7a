//! The durations and counts a rotation goes by. Defaults and floors are checked where configuration is read.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::iam::Vantage;

/// How one profile is rotated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Probes in a row, at every vantage, before a new key is believed.
    pub successes: u32,
    /// Between two rounds of probes.
    pub spacing: Duration,
    /// Between the last success and publishing.
    pub settle: Duration,
    /// The longest a key may take to be accepted (or, deactivated, to be refused).
    pub deadline: Duration,
    /// Where the new key must be accepted.
    pub vantages: Vec<Vantage>,
    /// The life of a served credential.
    pub lease: Duration,
    /// X: the longest back-off of a client after an outage of its source.
    pub client_backoff: Duration,
    /// S: how long a request stays acceptable after it was signed (the `SigV4` window).
    pub signature_window: Duration,
    /// The life of presigned URLs that programs hand out.
    pub presigned_ttl: Duration,
    /// Extra time before a key with unknown holders is deactivated.
    pub observe: Duration,
    /// Between deactivate and delete.
    pub soak: Duration,
    /// How long a deactivated orphan waits for somebody to miss it.
    pub orphan_wait: Duration,
    /// What to do while the old key is still used from outside.
    pub on_straggler: OnStraggler,
    /// How long `CreateAccessKey` may take before its reply counts as lost.
    pub create_timeout: Duration,
    /// How long after a lost reply's deadline the keys are listed, to see whether one was made.
    pub lost_reply_wait: Duration,
}

/// What to do while the old key is still used from outside.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnStraggler {
    /// Stay before deactivate, and tell.
    #[default]
    Hold,
    /// Go on, after `observe`.
    Proceed,
    /// Go on at once if there was no use after that: a person was told of it, and decided. No configuration says this.
    Pass(Timestamp),
}

impl Policy {
    /// The region whose STS is asked when only one is needed.
    pub fn home_region(&self) -> &str {
        self.vantages
            .iter()
            .find_map(|vantage| match vantage {
                Vantage::Sts(region) => Some(region.as_str()),
                Vantage::Iam => None,
            })
            .unwrap_or("us-east-1")
    }
}
