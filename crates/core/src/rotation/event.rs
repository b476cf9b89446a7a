//! Facts that come in: the answers to commands.

use jiff::Timestamp;

use crate::credential::AccessKeyId;
use crate::error::Failure;
use crate::iam::{CallerIdentity, Doubt, KeyList, LastUsed, NewKey, Refusal};
use crate::lease::Horizon;

/// The answer to the last command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The record is on disk and synced.
    Appended,
    /// It was done.
    Ready,
    /// Who the signer is.
    Identified(CallerIdentity),
    /// The user's keys.
    Listed(KeyList),
    /// A key was made; its secret is in here and nowhere else.
    Created(NewKey),
    /// Whether the keystore holds the secret.
    Holds(bool),
    /// When a key was last used.
    LastUsed(Option<LastUsed>),
    /// The actions that the simulated policy denies.
    Denied(Vec<String>),
    /// The user's tags, as key and value.
    Tags(Vec<(String, String)>),
    /// What each enabled source served, and who that is to STS.
    Fetched(Vec<Fetched>),
    /// Until when a key was handed out.
    Horizon {
        /// The ledger's word, if it was ever handed out.
        horizon: Option<Horizon>,
        /// When the present uninterrupted serving began, if somebody keeps count of that.
        healthy_since: Option<Timestamp>,
        /// When the proxy last signed with the key that is not served, if it did.
        fell_over: Option<Timestamp>,
    },
    /// The time has come.
    Woke,
    /// AWS said no.
    Refused(Refusal),
    /// Nobody knows what AWS did.
    Unknown(Doubt),
    /// This machine failed: the keystore, the disk, a source.
    Fault(Failure),
}

/// What came back through one source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// Which source: `process`, `container`, `imds`.
    pub source: String,
    /// The key it served, or what went wrong.
    pub served: Result<Served, String>,
}

/// What a source served, and who that is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Served {
    /// The key it is, or, of temporary credentials, the key they were minted from.
    pub key: AccessKeyId,
    /// Who it is to STS.
    pub identity: CallerIdentity,
    /// The role that the source is meant to serve, if it is one.
    pub role_arn: Option<String>,
}
