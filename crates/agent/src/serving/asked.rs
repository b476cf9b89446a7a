//! With which keys the proxy asked STS, for whom.
//!
//! Whoever publishes a key looks through the proxy whether it is the one that is used. Requests of programs say nothing of
//! that: under load some of them go out with the other key all the time, while a service does not know the new one yet.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use rotakey_core::credential::AccessKeyId;
use serde_json::{Map, Value, json};

/// The last request to STS of each placeholder.
#[derive(Debug, Default)]
pub struct AskedSts(Mutex<HashMap<String, Asked>>);

#[derive(Debug)]
struct Asked {
    profile: String,
    key: AccessKeyId,
    /// How many there were.
    count: u64,
}

impl AskedSts {
    /// A request was answered that went out with this key.
    pub fn note(&self, profile: &str, placeholder: &AccessKeyId, key: &AccessKeyId) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = all.get(placeholder.as_str()).map_or(0, |asked| asked.count);
        let asked = Asked { profile: profile.to_owned(), key: key.clone(), count: before + 1 };
        all.insert(placeholder.to_string(), asked);
    }

    /// Those of a profile, by placeholder: `{"count": n, "key": id}`.
    pub fn of(&self, profile: &str) -> Map<String, Value> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let own = all.iter().filter(|(_, asked)| asked.profile == profile);
        own.map(|(id, asked)| (id.clone(), json!({"count": asked.count, "key": asked.key})))
            .collect()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn the_last_request_of_each_is_told_to_its_profile_alone() {
        let asked = AskedSts::default();
        let id = |text: &str| -> AccessKeyId { text.parse().unwrap() };
        asked.note("app", &id("RKONE"), &id("AKIAOLD"));
        asked.note("app", &id("RKONE"), &id("AKIANEW"));
        asked.note("app", &id("RKTWO"), &id("AKIAOLD"));
        asked.note("other", &id("RKTHREE"), &id("AKIAOLD"));
        let told = Value::Object(asked.of("app"));
        let wanted = json!({
            "RKONE": {"count": 2, "key": "AKIANEW"}, "RKTWO": {"count": 1, "key": "AKIAOLD"},
        });
        assert_eq!(told, wanted);
    }
}
