//! What a run of the engine came to, as the scheduler and the news go by it.

use jiff::Timestamp;
use rotakey_core::error::Failure;
use rotakey_core::iam::RefusalClass;
use rotakey_core::rotation::{Ending, Finding, WaitingFor};

use super::Stop;

/// What a run came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Came {
    /// It waits, and goes on then.
    Waits(Timestamp, WaitingFor),
    /// It stopped for somebody else's sake.
    GaveWay,
    /// Another process has the engine's lock.
    Busy,
    /// The rotation is closed; the journal says whether it was turned round.
    Finished,
    /// It was taken back before anything was published.
    Abandoned(String),
    /// A person has to decide.
    Stuck(String),
    /// It did not begin: this stands in the way.
    Blocked(Vec<Finding>),
    /// It did not begin: AWS's shared files hold the served key, there.
    Copied(String),
    /// AWS could not be asked. That is nobody's failure.
    Offline(String),
    /// Our clock, or AWS's, is wrong.
    Clock(String),
    /// AWS says that the key leaked.
    Quarantined(String),
    /// Anything else that went wrong.
    Failed(String),
}

impl Came {
    /// From why the driver came back, and until when it wanted to wait.
    pub fn of(stop: Stop, until: Option<Timestamp>, now: Timestamp) -> Self {
        match stop {
            Stop::Reached => Self::GaveWay,
            Stop::Waiting(waiting_for) => Self::Waits(until.unwrap_or(now), waiting_for),
            Stop::Ending(ending) => ending.into(),
        }
    }
}

impl From<Ending> for Came {
    fn from(ending: Ending) -> Self {
        match ending {
            Ending::Finished => Self::Finished,
            Ending::Abandoned(why) => Self::Abandoned(why),
            Ending::Stuck(why) => Self::Stuck(why),
            Ending::Checked(findings) | Ending::Blocked(findings) => Self::Blocked(findings),
            Ending::Failed(failure) => failure.into(),
        }
    }
}

impl From<Failure> for Came {
    fn from(failure: Failure) -> Self {
        match &failure {
            Failure::Unreachable { doubt, .. } => Self::Offline(doubt.to_string()),
            Failure::Account { refusal, .. } if refusal.class == RefusalClass::Clock => {
                Self::Clock(refusal.to_string())
            }
            Failure::Account { refusal, .. } if refusal.class == RefusalClass::Quarantine => {
                Self::Quarantined(refusal.to_string())
            }
            _ => Self::Failed(failure.to_string()),
        }
    }
}
