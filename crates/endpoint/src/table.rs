//! What there is to be served: the profiles, their credentials and their rules. Swapped whole when the configuration
//! changes; readers never wait.

use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use bytes::Bytes;
use jiff::Timestamp;
use rotakey_core::credential::{AccessKeyId, Generation};
use zeroize::Zeroizing;

use crate::publish::{Snapshot, Subscriber};

/// One profile.
#[derive(Debug)]
pub struct Profile {
    /// Its name, as in `GET /credentials/<name>`, and as the role's name at IMDS.
    pub name: String,
    /// The account's twelve digits, if known.
    pub account_id: Option<String>,
    /// The life of an answer.
    pub lease: Duration,
    /// What `credential_process` is given.
    pub process: Subscriber,
    /// What the container endpoint and IMDS give: always temporary credentials.
    pub temporary: Subscriber,
    /// What a caller of the container endpoint has to show.
    pub token: ArcSwap<CallerToken>,
    /// The last answer, for who asks in the same second.
    pub ready: ArcSwapOption<Ready>,
    /// Why nothing is served, if a person wants it so.
    pub out_of_service: ArcSwapOption<String>,
    /// The programs that may ask; any, if empty. It stops accidents, not a hostile process of the same user.
    pub executables: Vec<PathBuf>,
}

/// An answer as it went out. All times in it are whole seconds, so it is the same for a second.
#[derive(Debug)]
pub struct Ready {
    pub(crate) snapshot: Arc<Snapshot>,
    /// When, in seconds of the Unix time.
    pub(crate) at: i64,
    /// Its `Expiration`, likewise.
    pub(crate) until: i64,
    pub(crate) body: Secret,
}

/// Bytes that are wiped when the last one lets go of them, and are not shown.
#[derive(Clone)]
pub(crate) struct Secret(pub(crate) Bytes);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// All of it.
#[derive(Debug, Default)]
pub struct Table {
    /// By name.
    pub profiles: HashMap<String, Arc<Profile>>,
    /// Whether the container endpoint answers.
    pub container: bool,
    /// The profile that IMDS serves, if it does.
    pub imds: Option<Imds>,
}

/// What IMDS serves.
#[derive(Clone, Debug)]
pub struct Imds {
    /// The profile.
    pub profile: Arc<Profile>,
    /// Whether requests without a token are answered too.
    pub v1: bool,
}

/// The secret that a caller of the container endpoint shows: 32 random bytes as text, compared in constant time.
#[derive(Clone)]
pub struct CallerToken(Zeroizing<String>);

impl CallerToken {
    /// Takes a token over.
    pub fn new(token: String) -> Self {
        Self(Zeroizing::new(token))
    }

    /// The token itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for CallerToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// The ways in which credentials are handed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// `credential_process`, over the agent's Unix socket.
    Process,
    /// `GET /credentials/<profile>`.
    Container,
    /// The instance metadata service.
    Imds,
    /// The re-signing proxy, which hands out nothing.
    Proxy,
}

impl Source {
    /// The name in configuration and in `status`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Process => "process",
            Self::Container => "container",
            Self::Imds => "imds",
            Self::Proxy => "proxy",
        }
    }
}

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Caller {
    /// Over a Unix socket: the kernel says which process.
    Process {
        /// Its user.
        uid: u32,
        /// Which process.
        pid: u32,
    },
    /// Over TCP loopback: the kernel says whose socket it is.
    Socket {
        /// The owner of the other end.
        uid: u32,
        /// Its inode, by which the process can be found in `/proc/<pid>/fd`.
        inode: u64,
    },
}

/// An answer that goes out.
#[derive(Clone, Debug)]
pub struct Handed {
    /// For which profile.
    pub profile: Arc<Profile>,
    /// By which source.
    pub source: Source,
    /// Accounted to which key.
    pub key: AccessKeyId,
    /// Of which generation.
    pub generation: Generation,
    /// Its `Expiration`, in whole seconds, rounded up.
    pub until: Timestamp,
    /// Whether the horizon reached that far; if not, it should be raised soon.
    pub is_covered: bool,
    /// To whom.
    pub caller: Caller,
}

/// Why nothing was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refused {
    /// Another user's process.
    User,
    /// A program that is not on the list.
    Executable,
    /// No token, or not this one.
    Token,
    /// An IMDS token that is over, or not ours.
    ImdsToken,
    /// A `Host` that is not this machine's: a browser was led here (DNS rebinding).
    Host,
    /// A request that went through a proxy (`X-Forwarded-For`).
    Forwarded,
    /// A browser's (`Origin`, `Referer`, `Sec-Fetch-*`, its user agent).
    Browser,
    /// A method other than GET and PUT.
    Method,
    /// No such route, or a source that is off.
    NotFound,
    /// A malformed request.
    Malformed,
    /// More connections than there may be.
    Crowded,
    /// Nothing is there to be served: no key, or an expired session.
    Unavailable,
}

/// Keeps account of answers. Its calls return at once: an answer waits for them.
pub trait Accounts: Send + Sync + 'static {
    /// Whether a generation is still the one that the ledger has. Asked only if the horizon could not be written.
    fn is_current(&self, profile: &Profile, generation: Generation) -> bool;

    /// Whether this program is one of those that may ask for the profile. Asked last, as it may take a while to find out.
    fn may_ask(&self, _profile: &Profile, _caller: &Caller) -> bool {
        true
    }

    /// An answer goes out.
    fn handed(&self, handed: Handed);

    /// A source had nothing for a program that may ask. Whoever counts since when serving has been without a gap begins
    /// anew.
    fn failed(&self, _profile: &Profile, _source: Source) {}

    /// A caller was turned away; `what` says more, and never holds a secret.
    fn refused(&self, why: Refused, caller: Option<&Caller>, what: &str);
}
