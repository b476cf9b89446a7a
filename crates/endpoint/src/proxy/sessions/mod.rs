//! Temporary credentials that programs get from STS through the proxy: they are given local ones, and the real ones stay
//! here.
//!
//! A local triple is bound to the placeholder that its request was signed with, and is worth what that is worth: it ends when
//! the placeholder is revoked, the profile is removed, the key that it was made with leaks, or the real one ends. Its token
//! has the real one in it, sealed ([`super::seal`]): after a restart it is taken up from there. Whoever signs with what is over
//! is told that it has expired, so that SDKs that look for that make another one.

mod answer;
mod local;
mod sealed;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use rotakey_core::credential::{AccessKeyId, Credentials};

pub(crate) use self::answer::{NotReadable, Temporary};
pub(crate) use self::local::is_local;
pub(crate) use self::sealed::{Sealed, token_of};
use crate::publish::Snapshot;

/// How many of one program are in memory, and all of them together. What would go over that takes the place of the one of the same
/// program that ends first: a program that never keeps what it gets does harm to itself alone.
const OF_ONE_MAX: usize = 256;
const ALL_MAX: usize = 8192;

/// A real session, and the local triple that stands for it.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    /// What the program has.
    pub(crate) local: Credentials,
    /// What its requests are signed with. The key that it was made with stands beside it.
    pub(crate) real: Arc<Snapshot>,
    /// The placeholder at its root.
    pub(crate) parent: AccessKeyId,
    /// Whose that is.
    pub(crate) profile: String,
    /// When it ends.
    pub(crate) expires: Timestamp,
    /// The profile's [`session_epoch`](super::grants::Granting::session_epoch) before it was asked for.
    pub(crate) epoch: u64,
}

/// Those that there are.
#[derive(Debug, Default)]
pub(crate) struct Sessions(Mutex<HashMap<String, Arc<Session>>>);

impl Sessions {
    /// The session of a local id, if its time is not over.
    pub(crate) fn get(&self, id: &str, now: Timestamp) -> Option<Arc<Session>> {
        let mut sessions = self.lock();
        let session = sessions.get(id)?;
        if session.expires <= now {
            sessions.remove(id);
            return None;
        }
        Some(Arc::clone(session))
    }

    /// Keeps a session, until it ends or must make room. Whoever uses it now goes by what is given back.
    pub(crate) fn keep(&self, session: Session, now: Timestamp) -> Arc<Session> {
        let mut sessions = self.lock();
        sessions.retain(|_, one| one.expires > now);
        let of_one = sessions.values().filter(|one| one.parent == session.parent).count();
        if of_one >= OF_ONE_MAX || sessions.len() >= ALL_MAX {
            let is_candidate = |one: &&Arc<Session>| of_one == 0 || one.parent == session.parent;
            let first = sessions.values().filter(is_candidate).min_by_key(|one| one.expires);
            if let Some(id) = first.map(|first| first.local.access_key_id.to_string()) {
                sessions.remove(&id);
            }
        }
        let session = Arc::new(session);
        sessions.insert(session.local.access_key_id.to_string(), Arc::clone(&session));
        session
    }

    /// One that is over before its time.
    pub(crate) fn forget(&self, id: &str) {
        self.lock().remove(id);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Arc<Session>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use rotakey_core::credential::{Generation, SecretAccessKey};

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("in range")
    }

    fn session(number: usize, parent: &str, expires: i64) -> Session {
        let id = |text: &str| text.parse::<AccessKeyId>().expect("an id");
        let secret = SecretAccessKey::new("real".to_owned());
        let credentials = Credentials::long_term(id("ASIAREAL"), secret.clone());
        let real = Snapshot {
            generation: Generation(1),
            key: id("AKIAREAL"),
            credentials,
            valid_until: Some(at(expires)),
            covered_until: None,
        };
        Session {
            local: Credentials::long_term(id(&format!("ROTAKEY1{number:012}")), secret),
            real: Arc::new(real),
            parent: id(parent),
            profile: "p".to_owned(),
            expires: at(expires),
            epoch: 0,
        }
    }

    #[test]
    fn a_session_ends_with_its_time() {
        let sessions = Sessions::default();
        sessions.keep(session(1, "ONE", 10), at(0));
        assert!(sessions.get("ROTAKEY1000000000001", at(9)).is_some());
        assert!(sessions.get("ROTAKEY1000000000001", at(10)).is_none());
        assert!(sessions.get("ROTAKEY1000000000001", at(9)).is_none(), "it is gone for good");
        sessions.keep(session(1, "ONE", 10), at(0));
        sessions.keep(session(2, "ONE", 30), at(20));
        assert_eq!(sessions.lock().len(), 1, "what is over makes room");
    }

    #[test]
    fn a_program_that_keeps_nothing_takes_room_from_itself_alone() {
        let sessions = Sessions::default();
        sessions.keep(session(0, "QUIET", 10), at(0));
        for number in 1..=OF_ONE_MAX + 5 {
            let expires = 100 + i64::try_from(number).expect("small");
            sessions.keep(session(number, "LOUD", expires), at(0));
        }
        assert_eq!(sessions.lock().len(), OF_ONE_MAX + 1);
        assert!(sessions.get("ROTAKEY1000000000000", at(0)).is_some(), "another program's");
        assert!(sessions.get("ROTAKEY1000000000005", at(0)).is_none(), "the first to end");
        assert!(sessions.get("ROTAKEY1000000000006", at(0)).is_some());
    }

    #[test]
    fn nothing_of_a_session_is_printed() {
        let sessions = Sessions::default();
        sessions.keep(session(1, "ONE", 10), at(0));
        let text = format!("{sessions:?}");
        assert!(text.contains("[redacted]") && !text.contains("\"real\""), "{text}");
    }
}
