//! What the container endpoint and IMDS answer: one JSON object, the same for both.
//!
//! Every field is there for somebody: Go v1 and minio-go want `Code` to be `Success`, s3cmd wants `LastUpdated`, all want
//! `Token` and `Expiration`. `Token` is never empty: several SDKs would sign the empty one.

use jiff::Timestamp;
use rotakey_core::credential::{Credentials, SessionToken};
use serde::Serialize;
use zeroize::Zeroizing;

use super::process::format_expiration;

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Answer<'a> {
    code: &'static str,
    last_updated: String,
    r#type: &'static str,
    access_key_id: &'a str,
    secret_access_key: &'a str,
    token: &'a str,
    expiration: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    account_id: Option<&'a str>,
}

/// The answer of `now` that hands out temporary credentials until `expiration`. `token` is theirs.
///
/// The buffer is made large enough at once: one that grows leaves copies behind that nobody wipes.
pub fn answer(
    credentials: &Credentials,
    token: &SessionToken,
    now: Timestamp,
    expiration: Timestamp,
    account_id: Option<&str>,
) -> Zeroizing<Vec<u8>> {
    let answer = Answer {
        code: "Success",
        last_updated: format_expiration(now),
        r#type: "AWS-HMAC",
        access_key_id: credentials.access_key_id.as_str(),
        secret_access_key: credentials.secret_access_key.expose(),
        token: token.expose(),
        expiration: format_expiration(expiration),
        account_id,
    };
    // Secrets and tokens are Base64, of which JSON escapes nothing; twice their length is enough for others.
    let secret = 2 * (answer.secret_access_key.len() + answer.token.len());
    let mut json = Zeroizing::new(Vec::with_capacity(512 + secret));
    serde_json::to_writer(&mut *json, &answer)
        .expect("an answer is plain text, which JSON can hold, and memory takes any amount of it");
    json
}

#[cfg(test)]
mod tests {
    use rotakey_core::credential::SecretAccessKey;

    use super::*;

    #[test]
    fn the_answer_is_what_sdks_parse() {
        let at = |text: &str| text.parse::<Timestamp>().expect("a time");
        let id = "ASIAEXAMPLE".parse().expect("an id");
        let secret_access_key = SecretAccessKey::new("a+b/\"c".to_owned());
        let credentials = Credentials::long_term(id, secret_access_key);
        let token = SessionToken::new("t/+=".to_owned());
        let (now, end) = (at("2026-11-23T09:00:00.999Z"), at("2026-11-23T10:00:00.999Z"));
        let of = |account| {
            let json = answer(&credentials, &token, now, end, account);
            String::from_utf8(json.to_vec()).expect("text")
        };
        let most = "{\"Code\":\"Success\",\"LastUpdated\":\"2026-11-23T09:00:00Z\",\"Type\":\"AWS-HMAC\",\
                    \"AccessKeyId\":\"ASIAEXAMPLE\",\"SecretAccessKey\":\"a+b/\\\"c\",\"Token\":\"t/+=\",\
                    \"Expiration\":\"2026-11-23T10:00:00Z\"";
        assert_eq!(of(None), format!("{most}}}"));
        assert_eq!(of(Some("123456789012")), format!("{most},\"AccountId\":\"123456789012\"}}"));
    }

    #[test]
    fn the_buffer_never_grows() {
        let id = "ASIAEXAMPLE".parse().expect("an id");
        let secret_access_key = SecretAccessKey::new("\"".repeat(40));
        let credentials = Credentials::long_term(id, secret_access_key);
        let token = SessionToken::new("\\".repeat(4096));
        let json =
            answer(&credentials, &token, Timestamp::MIN, Timestamp::MAX, Some("123456789012"));
        assert_eq!(json.capacity(), 512 + 2 * (40 + 4096));
    }
}
