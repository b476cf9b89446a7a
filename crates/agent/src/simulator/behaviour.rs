//! How the simulated AWS behaves: everything that a test or a demo may turn.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The simulated account and its manners. Times are in milliseconds; all of it may be changed at run time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Behaviour {
    /// The account's twelve digits.
    pub account_id: String,
    /// `aws`, `aws-cn` or `aws-us-gov`.
    pub partition: String,
    /// What the ids of new keys begin with.
    pub key_prefix: String,
    /// What ids, secrets and chances are derived from: the same seed gives the same run.
    pub seed: u64,
    /// How many keys a user may have, inactive ones included.
    pub quota: usize,
    /// How long a new or re-activated key is refused.
    pub visible_after: u64,
    /// The same for single vantages, keyed `sts/eu-west-1`, or `sts` or `iam` for all regions of a service.
    pub visible_after_at: BTreeMap<String, u64>,
    /// Until when, counted from the creation or activation, a visible key is now and then refused.
    pub flaps_until: u64,
    /// The same for single vantages, keyed as in `visible_after_at`: a service may be behind IAM and STS for long.
    pub flaps_until_at: BTreeMap<String, u64>,
    /// How often a flapping key is refused, in percent.
    pub flap_percent: u8,
    /// How long a deactivated or deleted key is still accepted.
    pub lingers: u64,
    /// How long `ListAccessKeys` shows the state before a change.
    pub list_lag: u64,
    /// Of all uses within this time only the first is recorded; AWS has 15 minutes.
    pub last_used_granularity: u64,
    /// How long a recorded use stays invisible.
    pub last_used_lag: u64,
    /// Calls answered per second and action; the others are throttled. `*` stands for each action without its own.
    pub rate: BTreeMap<String, u32>,
    /// Whether the account's root has an access key.
    pub root_has_key: bool,
    /// How many users or keys a list shows at a time, unless `MaxItems` says otherwise; AWS has 100.
    pub page_size: usize,
    /// What the server's clock is ahead of the true time (negative: behind).
    pub server_offset: i64,
    /// How far a request's time may be off the server's.
    pub max_skew: u64,
    /// The shortest life of a session that may be asked for, in seconds; AWS has 900.
    pub session_seconds_min: u64,
    /// Whether a session dies with the key at its root. AWS lets it live on to its end; this shows who still
    /// uses one that was made from a retired key.
    pub sessions_die_with_key: bool,
    /// Whether a denial names the quarantine policy that it comes from. AWS began to in 2025, and does not everywhere.
    pub denials_name_policies: bool,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            account_id: "123456789012".to_owned(),
            partition: "aws".to_owned(),
            key_prefix: "AKIA".to_owned(),
            seed: 1,
            quota: 2,
            visible_after: 0,
            visible_after_at: BTreeMap::new(),
            flaps_until: 0,
            flaps_until_at: BTreeMap::new(),
            flap_percent: 50,
            lingers: 0,
            list_lag: 0,
            last_used_granularity: 15 * 60 * 1000,
            last_used_lag: 0,
            rate: BTreeMap::new(),
            root_has_key: false,
            page_size: 100,
            server_offset: 0,
            max_skew: 15 * 60 * 1000,
            session_seconds_min: 900,
            sessions_die_with_key: false,
            denials_name_policies: true,
        }
    }
}

impl Behaviour {
    /// How long a new key is refused at one vantage.
    pub fn visible_after(&self, service: &str, region: &str) -> u64 {
        at(&self.visible_after_at, service, region).unwrap_or(self.visible_after)
    }

    /// Until when a visible key is now and then refused at one vantage.
    pub fn flaps_until(&self, service: &str, region: &str) -> u64 {
        at(&self.flaps_until_at, service, region).unwrap_or(self.flaps_until)
    }

    /// The region that IAM requests of this partition are signed for.
    pub fn iam_region(&self) -> &'static str {
        match self.partition.as_str() {
            "aws-cn" => "cn-north-1",
            "aws-us-gov" => "us-gov-west-1",
            _ => "us-east-1",
        }
    }

    /// This behaviour with the members of a JSON object put over it.
    pub fn merged(&self, changes: &serde_json::Value) -> Result<Self, serde_json::Error> {
        let mut whole = serde_json::to_value(self)?;
        if let (Some(whole), Some(changes)) = (whole.as_object_mut(), changes.as_object()) {
            whole.extend(changes.iter().map(|(name, value)| (name.clone(), value.clone())));
        }
        serde_json::from_value(whole)
    }
}

/// What a table has for one vantage, or for all of its service.
fn at(table: &BTreeMap<String, u64>, service: &str, region: &str) -> Option<u64> {
    table.get(&format!("{service}/{region}")).or_else(|| table.get(service)).copied()
}

/// What goes wrong with one call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Fault {
    /// Done; then the connection is dropped.
    Lost,
    /// Not done; the connection is dropped.
    Dropped,
    /// Done, and never answered.
    Hung,
    /// Not done, and never answered.
    HungNotDone,
    /// Done; half of the answer arrives, then the connection is dropped.
    Truncated,
    /// Not done: `Rate exceeded`.
    Throttled,
    /// An error answer.
    Error {
        /// The HTTP status, such as 500.
        status: u16,
        /// The error code, such as `ServiceFailure`.
        code: String,
        /// Whether the call is carried out all the same.
        #[serde(default)]
        done: bool,
    },
}

impl Fault {
    /// Whether the call is carried out in spite of the fault.
    pub fn is_done(&self) -> bool {
        match self {
            Self::Lost | Self::Hung | Self::Truncated => true,
            Self::Dropped | Self::HungNotDone | Self::Throttled => false,
            Self::Error { done, .. } => *done,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn changes_are_merged_and_unknown_names_refused() {
        let before = Behaviour { lingers: 3000, ..Behaviour::default() };
        let after = before.merged(&serde_json::json!({"visible_after": 8000})).unwrap();
        assert_eq!((after.lingers, after.visible_after), (3000, 8000));
        assert!(before.merged(&serde_json::json!({"visible": 1})).is_err());
    }

    #[test]
    fn a_vantage_may_have_its_own_delay() {
        let at = [("sts/eu-west-1".to_owned(), 9), ("iam".to_owned(), 7)].into();
        let behaviour =
            Behaviour { visible_after: 5, visible_after_at: at, ..Behaviour::default() };
        assert_eq!(behaviour.visible_after("sts", "eu-west-1"), 9);
        assert_eq!(behaviour.visible_after("sts", "us-east-1"), 5);
        assert_eq!(behaviour.visible_after("iam", "us-east-1"), 7);
        let at = [("s3".to_owned(), 9)].into();
        let behaviour = Behaviour { flaps_until: 5, flaps_until_at: at, ..behaviour };
        assert_eq!(behaviour.flaps_until("s3", "eu-west-1"), 9);
        assert_eq!(behaviour.flaps_until("sts", "eu-west-1"), 5);
    }
}
