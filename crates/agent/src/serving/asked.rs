//! With which keys the proxy asked STS for ourselves.
//!
//! Whoever publishes a key looks through the proxy whether it is the one that is used. Requests of programs say nothing of
//! that: under load some of them go out with the other key all the time, while a service does not know the new one yet.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use rotakey_core::credential::AccessKeyId;
use serde_json::{Map, Value, json};

/// Our last request to STS for each profile.
#[derive(Debug, Default)]
pub struct AskedSts(Mutex<HashMap<String, Asked>>);

#[derive(Debug)]
struct Asked {
    /// Another one from when a person revokes it.
    placeholder: AccessKeyId,
    key: AccessKeyId,
    /// How many there were with it.
    count: u64,
}

impl AskedSts {
    /// A request of our own, signed with this placeholder, was answered; it went out with this key.
    pub fn note(&self, profile: &str, placeholder: &AccessKeyId, key: &AccessKeyId) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = all.get(profile).filter(|asked| asked.placeholder == *placeholder);
        let count = before.map_or(0, |asked| asked.count) + 1;
        let asked = Asked { placeholder: placeholder.clone(), key: key.clone(), count };
        all.insert(profile.to_owned(), asked);
    }

    /// That of a profile, by placeholder: `{"count": n, "key": id}`.
    pub fn of(&self, profile: &str) -> Map<String, Value> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let own = all.get(profile).into_iter();
        own.map(|asked| {
            let told = json!({"count": asked.count, "key": asked.key});
            (asked.placeholder.to_string(), told)
        })
        .collect()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn the_last_request_is_told_to_its_profile_alone_and_one_is_kept() {
        let asked = AskedSts::default();
        let id = |text: &str| -> AccessKeyId { text.parse().unwrap() };
        asked.note("app", &id("RKONE"), &id("AKIAOLD"));
        asked.note("app", &id("RKONE"), &id("AKIANEW"));
        asked.note("other", &id("RKTHREE"), &id("AKIAOLD"));
        let told = Value::Object(asked.of("app"));
        assert_eq!(told, json!({"RKONE": {"count": 2, "key": "AKIANEW"}}));
        asked.note("app", &id("RKTWO"), &id("AKIAOLD"));
        let told = Value::Object(asked.of("app"));
        assert_eq!(told, json!({"RKTWO": {"count": 1, "key": "AKIAOLD"}}));
    }
}
