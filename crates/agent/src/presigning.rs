//! Presigned URLs that are good at AWS. One dies with the key that signed it, so its life is in that key's lease before it
//! is shown to anybody: the key is not retired while a URL of it lives.

use std::time::Duration;

use jiff::Timestamp;
use rotakey_core::credential::AccessKeyId;
use rotakey_core::time::{Now, later};
use rotakey_endpoint::proxy::presign::{EXPIRES_SECONDS_MAX, Presign, presign};
use rotakey_endpoint::proxy::refusal::Refusal;
use rotakey_endpoint::publish::Snapshot;
use serde::{Deserialize, Serialize};

use crate::serving::holders::Holder;
use crate::serving::proxying::Proxied;
use crate::store::profile::{ProfileState, StateError};

/// What holders of URLs are called in the lists of holders.
pub const SOURCE: &str = "presign";

/// What is to be presigned.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Wanted {
    /// `GET`, `PUT`, `HEAD` or `DELETE`.
    pub method: String,
    /// `/bucket/key`, percent-encoded.
    pub path: String,
    /// What else is asked for.
    pub query: String,
    /// The bucket's region.
    pub region: String,
    /// A content type that has to be sent.
    pub content_type: Option<String>,
    /// For how long.
    pub expires_seconds: u64,
}

/// A presigned URL.
#[derive(Clone, Serialize, Deserialize)]
pub struct Made {
    /// The URL: whoever has it may do what it says.
    pub url: String,
    /// The long-term key that it dies with.
    pub key: AccessKeyId,
    /// Until when it is good.
    pub until: Timestamp,
    /// It ends earlier than was asked for, with the session that signed it.
    pub is_cut_short: bool,
}

/// Without the URL.
impl std::fmt::Debug for Made {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "a URL of {} until {}", self.key, self.until)
    }
}

/// Why there is no URL.
#[derive(Debug, thiserror::Error)]
pub enum NotMade {
    /// What was asked for is not allowed, or not possible.
    #[error("{0}")]
    Refused(#[from] Refusal),
    /// Longer than AWS lets URLs live, or no time at all.
    #[error("a presigned URL lives for 1 to {EXPIRES_SECONDS_MAX} seconds (7 days)")]
    Life,
    /// Another key is served by now.
    #[error("another key was published meanwhile")]
    Superseded,
    /// Its life cannot be written down, without which the key could be retired too early.
    #[error("the URL's life cannot be recorded: {0}")]
    State(#[from] StateError),
}

/// Signs a URL with what is served, after its life was recorded.
///
/// # Errors
///
/// If it is not allowed or not possible; if the ledger cannot be written; if another generation is served by now, in which
/// case it is to be tried with that.
pub fn make(
    state: &ProfileState,
    with: &Snapshot,
    proxied: &Proxied,
    wanted: &Wanted,
    now: &Now,
) -> Result<Made, NotMade> {
    proxied.allows_s3(&wanted.region)?;
    if !(1..=EXPIRES_SECONDS_MAX).contains(&wanted.expires_seconds) {
        return Err(NotMade::Life);
    }
    let left = with.valid_until.map(|end| end.duration_since(now.wall).as_secs());
    let left = left.map(|seconds| u64::try_from(seconds).unwrap_or(0));
    let expires_seconds =
        left.map_or(wanted.expires_seconds, |left| left.min(wanted.expires_seconds));
    if expires_seconds == 0 {
        return Err(NotMade::Superseded);
    }
    let asked = Presign {
        method: &wanted.method,
        path: &wanted.path,
        query: &wanted.query,
        region: &wanted.region,
        content_type: wanted.content_type.as_deref(),
        at: now.wall,
        expires_seconds,
    };
    let endpoint = proxied.endpoint("s3");
    let url = presign(&asked, endpoint.as_ref(), proxied.regions(), &with.credentials)?;
    let life = Duration::from_secs(expires_seconds);
    let is_current = state.update_ledger(|slot| match slot {
        Some(ledger) if ledger.withdrawn.is_none() && ledger.access_key_id == with.key => {
            ledger.extend(with.generation, now, life, Duration::ZERO).is_ok()
        }
        _ => false,
    })?;
    if !is_current {
        return Err(NotMade::Superseded);
    }
    let is_cut_short = expires_seconds < wanted.expires_seconds;
    Ok(Made { url, key: with.key.clone(), until: later(now.wall, life), is_cut_short })
}

/// Who holds it: whoever has it.
pub fn holder(made: &Made) -> Holder {
    Holder {
        access_key_id: made.key.clone(),
        source: SOURCE.to_owned(),
        pid: None,
        started: None,
        exe: None,
        uid: rustix::process::getuid().as_raw(),
        until: later(made.until, Duration::from_secs(1)),
    }
}

#[cfg(test)]
mod tests {
    use rotakey_core::credential::{Credentials, Generation, SecretAccessKey};
    use rotakey_core::lease::Ledger;

    use super::*;
    use crate::clock::{Clock, SystemClock};

    fn id(text: &str) -> AccessKeyId {
        text.parse().expect("an id")
    }

    fn served(key: &str, generation: u64) -> Snapshot {
        let secret = SecretAccessKey::new("secret".to_owned());
        Snapshot {
            generation: Generation(generation),
            key: id(key),
            credentials: Credentials::long_term(id(key), secret),
            valid_until: None,
            covered_until: None,
        }
    }

    #[test]
    fn the_life_of_a_url_is_in_the_lease_of_its_key_or_there_is_no_url() {
        let dir = tempfile::tempdir().expect("a folder");
        let state = ProfileState::new(dir.path(), "p");
        drop(state.lock().expect("free"));
        let now = SystemClock::new().now();
        let ledger = Ledger::new(id("AKIAONE"), Generation(1), now.wall);
        state.update_ledger(|slot| *slot = Some(ledger)).expect("writable");
        let mut wanted = Wanted {
            method: "GET".to_owned(),
            path: "/bkt/key".to_owned(),
            query: String::new(),
            region: "us-east-1".to_owned(),
            content_type: None,
            expires_seconds: 604_800,
        };
        let make = |with: &Snapshot, wanted: &Wanted| {
            make(&state, with, &Proxied::default(), wanted, &now)
        };
        let made = make(&served("AKIAONE", 1), &wanted).expect("made");
        assert_eq!(made.until, later(now.wall, Duration::from_secs(604_800)));
        let horizon = || {
            let ledger = state.ledger().expect("readable").expect("there");
            ledger.horizons[&id("AKIAONE")].served_until.expect("served")
        };
        assert_eq!(horizon(), made.until);
        assert!(!format!("{made:?}").contains("Signature"));
        for old in [served("AKIAONE", 0), served("AKIAOTHER", 1)] {
            assert!(matches!(make(&old, &wanted), Err(NotMade::Superseded)), "{old:?}");
        }
        wanted.expires_seconds += 1;
        assert!(matches!(make(&served("AKIAONE", 1), &wanted), Err(NotMade::Life)));
        // A session ends first.
        wanted.expires_seconds = 3600;
        let ends = later(now.wall, Duration::from_secs(60));
        let session = Snapshot { valid_until: Some(ends), ..served("AKIAONE", 1) };
        let made = make(&session, &wanted).expect("made");
        assert!(made.is_cut_short && made.until == ends, "{made:?}");
        assert!(made.url.contains("X-Amz-Expires=60&"), "{}", made.url);
    }
}
