//! What the scripted sources say, and how they fail.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

/// What every scripted answer has for a token.
pub(crate) const TOKEN: &str = "a session token";

/// A form of an answer. rotakey gives the plain one; the others show why.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Form {
    #[default]
    Plain,
    TokenAbsent,
    TokenEmpty,
    ExpirationAbsent,
    ExpirationPast,
    ExpirationFractional,
    ExpirationWithOffset,
}

impl Form {
    pub(crate) const ALL: [Self; 7] = [
        Self::Plain,
        Self::TokenAbsent,
        Self::TokenEmpty,
        Self::ExpirationAbsent,
        Self::ExpirationPast,
        Self::ExpirationFractional,
        Self::ExpirationWithOffset,
    ];
}

/// How a source fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// Nobody listens; a process ends with 1.
    Refused,
    /// Status 500; there is no such process.
    Status500,
    /// Three seconds of silence, then the end of the connection or of the process.
    Hangs,
    /// Half of a JSON object.
    Garbage,
    /// Success, without a byte.
    Empty,
}

impl Failure {
    pub(crate) const ALL: [Self; 5] =
        [Self::Refused, Self::Status500, Self::Hangs, Self::Garbage, Self::Empty];
}

/// What the sources serve now.
#[derive(Clone, Debug)]
pub(crate) struct Script {
    pub(crate) access_key_id: String,
    /// How long it is served for, in seconds.
    pub(crate) lifetime_seconds: i64,
    /// What the client's clock is ahead of the true time, in seconds.
    pub(crate) ahead_seconds: i64,
    pub(crate) form: Form,
    pub(crate) failure: Option<Failure>,
}

impl Script {
    /// The answer of the container and IMDS sources.
    pub(crate) fn http_answer(&self) -> String {
        let mut answer = json!({
            "Code": "Success", "LastUpdated": self.time(0), "Type": "AWS-HMAC", "AccountId": "123456789012",
        });
        self.fill(&mut answer, "Token");
        answer.to_string()
    }

    /// The answer of the process.
    pub(crate) fn process_answer(&self) -> String {
        let mut answer = json!({ "Version": 1 });
        self.fill(&mut answer, "SessionToken");
        answer.to_string()
    }

    fn fill(&self, answer: &mut Value, token: &str) {
        answer["AccessKeyId"] = json!(self.access_key_id);
        answer["SecretAccessKey"] = json!("a secret of nothing");
        match self.form {
            Form::TokenAbsent => {}
            Form::TokenEmpty => answer[token] = json!(""),
            _ => answer[token] = json!(TOKEN),
        }
        let end = self.time(self.lifetime_seconds);
        let whole = end.trim_end_matches('Z');
        let end = match self.form {
            Form::ExpirationAbsent => return,
            Form::ExpirationPast => self.time(-60),
            Form::ExpirationFractional => format!("{whole}.250Z"),
            Form::ExpirationWithOffset => format!("{whole}+00:00"),
            _ => end,
        };
        answer["Expiration"] = json!(end);
    }

    /// So many seconds from now, by the client's clock.
    fn time(&self, seconds: i64) -> String {
        let at = Timestamp::now() + SignedDuration::from_secs(self.ahead_seconds + seconds);
        at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
    }
}
