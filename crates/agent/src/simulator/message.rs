//! What goes in and out of the simulator, whichever front it comes through.

use std::collections::BTreeMap;

use bytes::Bytes;
use jiff::Timestamp;
use rotakey_core::credential::{KeyStatus, SessionToken};
use serde::Serialize;
use serde_json::Value;

use super::admission::Caller;
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

/// A user, as `GetUser` and `ListUsers` show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserRow {
    /// The user's name.
    pub name: String,
    /// The user's path, `/` if it has none.
    pub path: String,
    /// The user's unique id, `AIDA...`.
    pub id: String,
    /// The user's ARN.
    pub arn: String,
    /// When it was made.
    pub created: Timestamp,
}

/// A key, as `ListAccessKeys` shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRow {
    /// The owner.
    pub user: String,
    /// The key's id.
    pub id: String,
    /// Its state.
    pub status: KeyStatus,
    /// When it was made, in whole seconds of the server's clock.
    pub created: Timestamp,
}

/// A recorded use of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UseRow {
    /// When, by the server's clock.
    pub at: Timestamp,
    /// Which service was called.
    pub service: String,
    /// In which region.
    pub region: String,
}

/// Temporary credentials, as STS hands them out.
#[derive(Clone, PartialEq, Eq)]
pub struct SessionRow {
    /// The key's id, `ASIA...`.
    pub id: String,
    /// What it signs with.
    pub secret: String,
    /// What has to go with each signature.
    pub token: String,
    /// From when on it is refused, by the server's clock.
    pub expires: Timestamp,
}

/// A role taken on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssumedRow {
    /// `arn:aws:sts::ACCOUNT:assumed-role/ROLE/SESSION`.
    pub arn: String,
    /// `AROA...:SESSION`.
    pub id: String,
}

/// A good answer.
#[derive(Clone, PartialEq, Eq)]
pub enum Answer {
    /// `GetCallerIdentity`.
    Identity {
        /// The account's digits.
        account: String,
        /// The caller's ARN.
        arn: String,
        /// The caller's unique id.
        user_id: String,
    },
    /// `ListAccessKeys`.
    Keys {
        /// Whose.
        user: String,
        /// The lines.
        keys: Vec<KeyRow>,
    },
    /// `CreateAccessKey`.
    Created {
        /// The new key.
        key: KeyRow,
        /// Its secret.
        secret: String,
    },
    /// `GetSessionToken`, or `AssumeRole`, which names the role too.
    Session(SessionRow, Option<AssumedRow>),
    /// `GetAccessKeyLastUsed`.
    LastUsed {
        /// The key's owner.
        user: String,
        /// The use, if one shows.
        last: Option<UseRow>,
    },
    /// `GetUser`.
    User(UserRow),
    /// `ListUsers`.
    Users(Vec<UserRow>),
    /// `ListUserTags`.
    Tags(Vec<(String, String)>),
    /// `SimulatePrincipalPolicy`: actions and decisions.
    Decisions(Vec<(String, &'static str)>),
    /// `ListAttachedUserPolicies`: names and ARNs.
    Policies(Vec<(String, String)>),
    /// S3's and DynamoDB's answers, as they are sent.
    Document(Document),
    /// Nothing but "done".
    Empty,
}

/// An answer that is ready to be sent.
#[derive(Clone, PartialEq, Eq)]
pub struct Document {
    /// The HTTP status.
    pub status: u16,
    /// Headers of its own.
    pub headers: Vec<(String, String)>,
    /// What it says.
    pub body: Bytes,
}

impl Document {
    pub(super) fn new(status: u16, body: impl Into<Bytes>) -> Self {
        Self { status, headers: Vec::new(), body: body.into() }
    }

    pub(super) fn empty(status: u16) -> Self {
        Self::new(status, Bytes::new())
    }

    pub(super) fn xml(text: String) -> Self {
        Self::new(200, text).with("content-type", "application/xml")
    }

    pub(super) fn json(value: &Value) -> Self {
        Self::new(200, value.to_string()).with("content-type", "application/x-amz-json-1.0")
    }

    /// The same with a header, in place of one of that name.
    #[must_use]
    pub(super) fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.retain(|(own, _)| own != name);
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }
}

impl From<Document> for Answer {
    fn from(document: Document) -> Self {
        Self::Document(document)
    }
}

impl std::fmt::Debug for Document {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Document({}, {:?}, {} bytes)", self.status, self.headers, self.body.len())
    }
}

impl std::fmt::Debug for SessionRow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} until {} [redacted]", self.id, self.expires)
    }
}

// By hand, as one variant holds a secret.
impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Identity { arn, .. } => write!(f, "Identity({arn})"),
            Self::Keys { user, keys } => write!(f, "Keys({user}, {keys:?})"),
            Self::Created { key, .. } => write!(f, "Created({key:?}, [redacted])"),
            Self::Session(session, role) => write!(f, "Session({session:?}, {role:?})"),
            Self::LastUsed { user, last } => write!(f, "LastUsed({user}, {last:?})"),
            Self::User(user) => write!(f, "User({user:?})"),
            Self::Users(users) => write!(f, "Users({users:?})"),
            Self::Tags(tags) => write!(f, "Tags({tags:?})"),
            Self::Decisions(decisions) => write!(f, "Decisions({decisions:?})"),
            Self::Policies(policies) => write!(f, "Policies({policies:?})"),
            Self::Document(document) => document.fmt(f),
            Self::Empty => f.write_str("Empty"),
        }
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
