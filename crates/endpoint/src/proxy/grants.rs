//! What a profile lets its programs do at the proxy that it does not let all of them do.

use std::sync::Arc;

/// The operations of STS whose answers can be virtualised, in AWS's words.
pub const VIRTUAL: [&str; 3] = ["AssumeRole", "GetFederationToken", "GetSessionToken"];

/// What is allowed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grants {
    /// Of [`VIRTUAL`]: those that go through, with local credentials in the place of the real ones in their answers.
    pub virtual_sessions: Vec<String>,
    /// The region of URLs that are presigned with signature version 2, which name none; `None` if they are refused.
    pub version_2_region: Option<String>,
}

/// What of a [`session_epoch`](Granting::session_epoch) lasts over a restart: how often sessions were made void.
pub fn lasting(epoch: u64) -> u64 {
    epoch & 0xFFFF_FFFF
}

/// Knows the profiles' grants.
pub trait Granting {
    /// Those of a profile; `None` if there is no such profile.
    fn grants(&self, profile: &str) -> Option<Arc<Grants>>;

    /// A number that changes when the sessions that were made until then are to be worth nothing: the key that they were
    /// made with leaked, or is not the profile's any more. Its lower 32 bits are the same after a restart
    /// ([`lasting`]).
    fn session_epoch(&self, profile: &str) -> u64;
}
