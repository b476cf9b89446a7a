//! Good answers, and what is in them.

use bytes::Bytes;
use jiff::Timestamp;
use rotakey_core::credential::KeyStatus;
use serde_json::Value;

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
        /// Where the list goes on, if it does.
        marker: Option<String>,
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
    /// `ListUsers`, and where the list goes on, if it does.
    Users(Vec<UserRow>, Option<String>),
    /// `GetAccountSummary`: some of its figures.
    Summary(Vec<(&'static str, usize)>),
    /// `ListUserPolicies`.
    PolicyNames(Vec<String>),
    /// `GetUserPolicy`.
    Policy {
        /// Whose.
        user: String,
        /// Its name.
        name: String,
        /// JSON.
        document: String,
    },
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
            Self::Keys { user, keys, .. } => write!(f, "Keys({user}, {keys:?})"),
            Self::Created { key, .. } => write!(f, "Created({key:?}, [redacted])"),
            Self::Session(session, role) => write!(f, "Session({session:?}, {role:?})"),
            Self::LastUsed { user, last } => write!(f, "LastUsed({user}, {last:?})"),
            Self::User(user) => write!(f, "User({user:?})"),
            Self::Users(users, _) => write!(f, "Users({users:?})"),
            Self::Summary(figures) => write!(f, "Summary({figures:?})"),
            Self::Tags(tags) => write!(f, "Tags({tags:?})"),
            Self::Decisions(decisions) => write!(f, "Decisions({decisions:?})"),
            Self::Policies(policies) => write!(f, "Policies({policies:?})"),
            Self::PolicyNames(names) => write!(f, "PolicyNames({names:?})"),
            Self::Policy { user, name, .. } => write!(f, "Policy({user}, {name})"),
            Self::Document(document) => document.fmt(f),
            Self::Empty => f.write_str("Empty"),
        }
    }
}
