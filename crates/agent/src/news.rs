//! What a person should hear of without asking for it: a rotation that is done, held, stuck or taken back.

use jiff::Timestamp;
use rotakey_core::credential::AccessKeyId;
use rotakey_core::journal::RotationId;
use serde::Serialize;

/// What kind of news it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A rotation is complete: one key, the new one.
    Rotated,
    /// The new key is served; the old one is on its way out.
    Published,
    /// The previous key is served again, because a person asked for it.
    Undone,
    /// The previous key was made active again by rotakey itself, on a sign from this machine.
    Reactivated,
    /// It waits for a person, and goes on by itself when the reason is gone: a straggler, a stranger's key, an MFA code.
    Held,
    /// A person has to decide.
    Stuck,
    /// A rotation was taken back, or did not begin.
    Failed,
    /// AWS has attached a policy to the user because the key leaked.
    Quarantine,
    /// A person said that the key leaked, and it was replaced at once.
    Compromised,
}

/// One piece of news. It holds no secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct News {
    /// When.
    pub time: Timestamp,
    /// The profile that holds the key.
    pub profile: String,
    /// What.
    pub kind: Kind,
    /// Of which rotation.
    pub rotation: Option<RotationId>,
    /// The key it is about.
    pub access_key_id: Option<AccessKeyId>,
    /// What happened, for a person: one line.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// Tells news. Cheap to copy; never waits and never fails: whatever cannot be told is logged.
#[derive(Clone, Debug, Default)]
pub struct Announcer {}

impl Announcer {
    /// Tells it.
    pub fn tell(&self, news: &News) {
        tracing::info!(profile = news.profile, kind = ?news.kind, message = news.message, "news");
    }
}
