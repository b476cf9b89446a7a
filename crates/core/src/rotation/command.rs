//! Orders that go out. Each is answered by one [`Event`](super::Event).

use jiff::Timestamp;

use super::Ending;
use crate::credential::{AccessKeyId, Credentials, Generation, KeyStatus};
use crate::journal::{Entry, RotationId};

/// What the driver is to do next.
///
/// A `signer` is an access key id: the driver reads its secret from the keystore anew, each time. That is
/// how every call with the new key also proves that its secret is still kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Append to the journal and sync. Answered by `Appended`.
    Append(Entry),
    /// Write, read back and delete an item in the keystore. Answered by `Ready`.
    ProbeKeystore,
    /// `GetCallerIdentity` in a region. Answered by `Identified`.
    Identify {
        /// Who signs.
        signer: AccessKeyId,
        /// Where.
        region: String,
    },
    /// `ListAccessKeys`. Answered by `Listed`.
    List {
        /// Who signs.
        signer: AccessKeyId,
    },
    /// `CreateAccessKey`, once. Answered by `Created`.
    Create {
        /// Who signs.
        signer: AccessKeyId,
        /// Goes into the user agent.
        rotation: RotationId,
    },
    /// Put a new key's secret into the keystore and read it back. Answered by `Ready`.
    Store(Credentials),
    /// Does the keystore hold this key's secret? Answered by `Holds`.
    Holds(AccessKeyId),
    /// Remove a secret from the keystore. Answered by `Ready`.
    Forget(AccessKeyId),
    /// `UpdateAccessKey`. Answered by `Ready`.
    Update {
        /// Who signs.
        signer: AccessKeyId,
        /// Which key.
        id: AccessKeyId,
        /// Its new state.
        status: KeyStatus,
    },
    /// `DeleteAccessKey`. Answered by `Ready`.
    Delete {
        /// Who signs.
        signer: AccessKeyId,
        /// Which key.
        id: AccessKeyId,
    },
    /// `GetAccessKeyLastUsed`. Answered by `LastUsed`.
    LastUsed {
        /// Who signs.
        signer: AccessKeyId,
        /// Which key.
        id: AccessKeyId,
    },
    /// `SimulatePrincipalPolicy` of [`ACTIONS`](super::preflight::ACTIONS). Answered by `Denied`.
    Simulate {
        /// Who signs.
        signer: AccessKeyId,
    },
    /// `ListUserTags`. Answered by `Tags`.
    ListTags {
        /// Who signs.
        signer: AccessKeyId,
    },
    /// `TagUser`, with the tag that says this installation rotates the user's keys, or with the
    /// description of a key. Answered by `Ready`.
    Tag {
        /// Who signs.
        signer: AccessKeyId,
        /// The key whose description it is; `None` for the installation's own tag.
        describes: Option<AccessKeyId>,
    },
    /// `UntagUser`: removes a key's description. Answered by `Ready`.
    Untag {
        /// Who signs.
        signer: AccessKeyId,
        /// The key that is gone.
        described: AccessKeyId,
    },
    /// Serve this key from every source, from now on. Answered by `Ready`.
    Publish {
        /// Which key.
        id: AccessKeyId,
        /// The generation it becomes.
        generation: Generation,
    },
    /// Fetch a credential through every enabled source and call `GetCallerIdentity` with each. Answered by
    /// `Fetched`.
    Fetch,
    /// Read the lease horizon of a key. Answered by `Horizon`.
    ReadHorizon(AccessKeyId),
    /// Let time pass. Answered by `Woke`, at that time or soon after.
    Wait {
        /// Until when, by the wall clock.
        until: Timestamp,
        /// What for.
        waiting_for: WaitingFor,
    },
    /// The end. Not answered.
    End(Ending),
}

impl Command {
    /// What it asks of AWS, as IAM names it; empty if nothing.
    pub fn action(&self) -> &'static str {
        match self {
            Self::Identify { .. } => "sts:GetCallerIdentity",
            Self::List { .. } => "iam:ListAccessKeys",
            Self::Create { .. } => "iam:CreateAccessKey",
            Self::Update { .. } => "iam:UpdateAccessKey",
            Self::Delete { .. } => "iam:DeleteAccessKey",
            Self::LastUsed { .. } => "iam:GetAccessKeyLastUsed",
            Self::Simulate { .. } => "iam:SimulatePrincipalPolicy",
            Self::ListTags { .. } => "iam:ListUserTags",
            Self::Tag { .. } => "iam:TagUser",
            Self::Untag { .. } => "iam:UntagUser",
            _ => "",
        }
    }
}

/// What a rotation waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WaitingFor {
    /// The new key to be accepted everywhere.
    Propagation,
    /// Its acceptance to settle.
    Settling,
    /// The sources to serve the new key.
    Sources,
    /// The leases on the old key to end.
    Leases,
    /// Holders of a key that we did not make to show themselves.
    Observation,
    /// Somebody outside to stop using the old key: last seen then, at that service.
    Straggler(Timestamp, String),
    /// The deactivated key to be refused.
    Refusal,
    /// Somebody to miss the deactivated key.
    Soak,
    /// The deleted key to leave the lists.
    Disappearance,
    /// The reply to a creation was lost: a late key would show in the lists.
    LostReply,
    /// Somebody to miss a deactivated orphan.
    Orphan,
    /// AWS to answer again.
    Aws(String),
    /// A person to give an MFA code. The driver waits for it, the engine never does.
    Mfa(String),
    /// The MFA device to show its next code: each is good once.
    NextMfaCode,
    /// The profile's quiet hours to end. The agent waits for that, the engine never does.
    QuietHours,
}

impl std::fmt::Display for WaitingFor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Propagation => f.write_str("the key to be accepted everywhere"),
            Self::Settling => f.write_str("the key to settle"),
            Self::Sources => f.write_str("the sources to serve the new key"),
            Self::Leases => f.write_str("the leases on the old key to end"),
            Self::Observation => f.write_str("unknown holders of the old key to show themselves"),
            Self::Straggler(at, service) => {
                write!(f, "somebody outside to stop using the old key ({service}, {at})")
            }
            Self::Refusal => f.write_str("the deactivated key to be refused"),
            Self::Soak => f.write_str("somebody to miss the deactivated key"),
            Self::Disappearance => f.write_str("the deleted key to leave the lists"),
            Self::LostReply => f.write_str("a key that a lost reply may have made"),
            Self::Orphan => f.write_str("somebody to miss the deactivated orphan"),
            Self::Aws(why) => write!(f, "AWS to answer again ({why})"),
            Self::Mfa(why) => write!(f, "an MFA code ({why})"),
            Self::NextMfaCode => f.write_str("the next MFA code"),
            Self::QuietHours => f.write_str("the quiet hours to end"),
        }
    }
}
