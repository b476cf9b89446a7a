//! `credential_process`: one JSON object on standard output (AWS SDKs and Tools reference guide, "Process
//! credential provider").
//!
//! `SessionToken` is left out for a long-term key: an empty one would be signed by several SDKs.
//! `Expiration` is always there: without it, SDKs keep the credential for ever.

use jiff::Timestamp;
use rotakey_core::credential::SessionToken;
use serde::Serialize;
use zeroize::Zeroizing;

use crate::publish::Snapshot;

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Answer<'a> {
    version: u8,
    access_key_id: &'a str,
    secret_access_key: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    session_token: Option<&'a str>,
    expiration: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    account_id: Option<&'a str>,
}

/// The answer that hands out a credential until `expiration`, newline included.
pub fn answer(
    snapshot: &Snapshot,
    expiration: Timestamp,
    account_id: Option<&str>,
) -> Zeroizing<String> {
    let answer = Answer {
        version: 1,
        access_key_id: snapshot.credentials.access_key_id.as_str(),
        secret_access_key: snapshot.credentials.secret_access_key.expose(),
        session_token: snapshot.credentials.session_token.as_ref().map(SessionToken::expose),
        expiration: format_expiration(expiration),
        account_id,
    };
    let mut json = Zeroizing::new(
        serde_json::to_string(&answer).expect("an answer is plain text, which JSON can hold"),
    );
    json.push('\n');
    json
}

/// `YYYY-MM-DDTHH:MM:SSZ`, the one form that every SDK parses, rounded down.
pub fn format_expiration(expiration: Timestamp) -> String {
    let seconds = expiration.as_millisecond().div_euclid(1000);
    let whole = Timestamp::from_second(seconds).unwrap_or(Timestamp::MIN);
    whole.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[cfg(test)]
mod tests {
    use rotakey_core::credential::{Credentials, Generation, SecretAccessKey};

    use super::*;

    #[test]
    fn the_answer_is_what_sdks_parse() {
        let credentials = Credentials::long_term(
            "AKIAEXAMPLE".parse().expect("an id"),
            SecretAccessKey::new("a+b/\"c".to_owned()),
        );
        let key = credentials.access_key_id.clone();
        let generation = Generation(1);
        let mut snapshot =
            Snapshot { generation, key, credentials, valid_until: None, covered_until: None };
        let expiration: Timestamp = "2026-11-23T10:00:00.999Z".parse().expect("a time");
        assert_eq!(
            answer(&snapshot, expiration, Some("123456789012")).as_str(),
            "{\"Version\":1,\"AccessKeyId\":\"AKIAEXAMPLE\",\"SecretAccessKey\":\"a+b/\\\"c\",\
             \"Expiration\":\"2026-11-23T10:00:00Z\",\"AccountId\":\"123456789012\"}\n"
        );
        snapshot.credentials.session_token = Some(SessionToken::new("t=".to_owned()));
        assert_eq!(
            answer(&snapshot, expiration, None).as_str(),
            "{\"Version\":1,\"AccessKeyId\":\"AKIAEXAMPLE\",\"SecretAccessKey\":\"a+b/\\\"c\",\
             \"SessionToken\":\"t=\",\"Expiration\":\"2026-11-23T10:00:00Z\"}\n"
        );
    }
}
