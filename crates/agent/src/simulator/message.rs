//! What goes in and out of the simulator, whichever front it comes through.

use std::collections::BTreeMap;

use jiff::Timestamp;
use rotakey_core::credential::SessionToken;
use serde::Serialize;
use serde_json::Value;

use super::admission::Caller;
use super::answer::Answer;
use super::s3;

/// One call, as a front understood it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Such as `CreateAccessKey`.
    pub action: String,
    /// The parameters in the query protocol's names, such as `ActionNames.member.1`.
    pub params: BTreeMap<String, String>,
    /// Who says to have signed it; `None` if nobody does.
    pub signature: Option<Signature>,
    /// The service that it is for, `iam` or `sts`.
    pub service: String,
    /// The `User-Agent` header, for the log.
    pub user_agent: String,
    /// What else there is to it, by its protocol.
    pub call: Call,
    /// What became of its signature, if that was looked at before the body came: whoever was let in then is not
    /// turned away later.
    pub(super) admitted: Option<Result<Caller, ApiError>>,
}

/// A call, in one of the protocols in which AWS is spoken to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    /// IAM and STS: all is in the parameters.
    Query,
    /// S3.
    S3(Box<s3::Call>),
    /// DynamoDB: the body.
    Dynamodb(Value),
}

/// Whose words an answer is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// IAM's and STS's.
    Query,
    /// S3's.
    S3,
    /// DynamoDB's.
    Json,
}

/// What a request says of its signer, and whether that is true.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// The access key id.
    pub signer: String,
    /// The session token that came along, empty or not.
    pub token: Option<SessionToken>,
    /// Whether the signature covers the token.
    pub token_signed: bool,
    /// The region of the signature's scope.
    pub region: String,
    /// Whether the signature is the one that the key's secret makes.
    pub is_right: bool,
    /// The time of the signature (`X-Amz-Date`).
    pub signed_at: Option<Timestamp>,
    /// How long it is good for, if it is in the URL.
    pub expires_seconds: Option<u32>,
}

impl Request {
    /// The access key id that it is signed with.
    pub fn signer(&self) -> Option<&str> {
        self.signature.as_ref().map(|signature| signature.signer.as_str())
    }

    /// The region of its signature.
    pub fn region(&self) -> &str {
        self.signature.as_ref().map_or("", |signature| &signature.region)
    }

    /// The protocol that it is in.
    pub fn protocol(&self) -> Protocol {
        match self.call {
            Call::Query => Protocol::Query,
            Call::S3(_) => Protocol::S3,
            Call::Dynamodb(_) => Protocol::Json,
        }
    }

    /// What the log calls the thing that it is about.
    pub(super) fn target(&self) -> Option<String> {
        match &self.call {
            Call::Query => self.param("AccessKeyId").or(self.param("UserName")).map(str::to_owned),
            Call::S3(call) => Some(call.target()),
            Call::Dynamodb(order) => order["TableName"].as_str().map(str::to_owned),
        }
    }

    /// A parameter that is there and not empty.
    pub fn param(&self, name: &str) -> Option<&str> {
        self.params.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// A list parameter: `name.member.1`, `name.member.2`, ...
    pub fn list(&self, name: &str) -> Vec<&str> {
        (1..).map_while(|n| self.param(&format!("{name}.member.{n}"))).collect()
    }
}

/// What the caller gets, and how much of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The answer.
    pub result: Result<Answer, ApiError>,
    /// What becomes of the answer on its way.
    pub delivery: Delivery,
    /// AWS gives every answer one.
    pub request_id: String,
    /// The server's own time.
    pub server_time: Timestamp,
}

/// What becomes of an answer on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Delivery {
    /// It arrives.
    Sent,
    /// The connection is dropped instead.
    Dropped,
    /// The connection stays open and silent.
    Hung,
    /// Half of it arrives, then the connection is dropped.
    Truncated,
}

/// An error answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiError {
    /// The HTTP status.
    pub status: u16,
    /// Such as `NoSuchEntity`.
    pub code: String,
    /// AWS's words.
    pub message: String,
}

impl ApiError {
    /// An error from its parts.
    pub fn new(status: u16, code: &str, message: impl Into<String>) -> Self {
        Self { status, code: code.to_owned(), message: message.into() }
    }

    /// The one error for a key that is unknown, inactive or not yet known.
    pub fn key_unknown() -> Self {
        let message = "The security token included in the request is invalid.";
        Self::new(403, "InvalidClientTokenId", message)
    }

    pub(super) fn denied(message: impl Into<String>) -> Self {
        Self::new(403, "AccessDenied", message)
    }

    /// Too many calls.
    pub fn throttled() -> Self {
        Self::new(400, "Throttling", "Rate exceeded")
    }

    pub(super) fn no_user(name: &str) -> Self {
        let message = format!("The user with name {name} cannot be found.");
        Self::new(404, "NoSuchEntity", message)
    }

    pub(super) fn no_key(id: &str) -> Self {
        let message = format!("The Access Key with id {id} cannot be found.");
        Self::new(404, "NoSuchEntity", message)
    }

    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self::new(400, "ValidationError", message)
    }

    pub(super) fn missing(parameter: &str) -> Self {
        // AWS names the member with a small first letter.
        let mut name = parameter.to_owned();
        name[..1].make_ascii_lowercase();
        Self::invalid(format!(
            "1 validation error detected: Value at '{name}' failed to satisfy constraint: \
             Member must not be null"
        ))
    }
}

/// One line of the simulator's log. It never holds a secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Event {
    /// When, by the true clock.
    pub at: Timestamp,
    /// Which action.
    pub action: String,
    /// Which key signed.
    pub signer: Option<String>,
    /// The long-term key at the root of the session that signed, if one did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub minted_from: Option<String>,
    /// Where: `sts/eu-west-1`.
    pub vantage: String,
    /// The user or key acted on (the new key, for `CreateAccessKey`).
    pub target: Option<String>,
    /// `Done`, or the error's code.
    pub outcome: String,
    /// Whether the caller got the answer.
    pub delivery: Delivery,
    /// The caller's `User-Agent`.
    pub user_agent: String,
}
