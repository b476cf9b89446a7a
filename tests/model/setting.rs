//! The situations that are gone through.

use rotakey_agent::simulator::Behaviour;
use rotakey_core::iam::Vantage;
use rotakey_core::policy::Policy;

use crate::system::{instant_policy, seconds};

/// The installations.
pub const NAMES: [&str; 2] = ["here", "there"];

/// A situation that is gone through.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    pub name: &'static str,
    /// Who said that it is there when it was handed the key, as `add` does.
    pub tagged: [bool; 2],
    /// The user may neither set nor read tags.
    pub tags_denied: bool,
    /// What IAM allows. With two creations at once it is known to let a third key pass.
    pub quota: usize,
    /// How long IAM hides a use.
    pub lag_hours: u64,
    pub pace: Pace,
    pub left: Left,
}

/// How time goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// It goes on when nobody has anything to do but wait, and both have begun before a drain ends.
    Prompt,
    /// It goes on whenever somebody waits, however long the other one takes.
    Any,
}

/// What may still go wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Left {
    pub crashes: u8,
    pub losses: u8,
    pub changes: u8,
}

impl Setting {
    pub fn behaviour(&self) -> Behaviour {
        Behaviour {
            quota: self.quota,
            last_used_lag: self.lag_hours * 3_600_000,
            ..Behaviour::default()
        }
    }
}

/// The harness's policy, with one proof and one wait where several change nothing between two installations.
pub fn policy() -> Policy {
    Policy {
        successes: 1,
        vantages: vec![Vantage::Sts("eu-west-1".to_owned())],
        deadline: seconds(2),
        create_timeout: seconds(2),
        lost_reply_wait: seconds(2),
        ..instant_policy()
    }
}
