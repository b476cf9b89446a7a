//! Failures as people meet them: what, a hint, and an exit code.

use rotakey_core::error::Failure;
use rotakey_core::iam::{Outcome, Refusal, RefusalClass};

use crate::config::ConfigError;
use crate::session::{NoCode, NotMinted};
use crate::store::keystore::KeystoreError;
use crate::store::profile::StateError;

/// The exit codes (docs/exit-codes.md).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// It did not work; also: a rotation was undone.
    Failed = 1,
    /// The command or the configuration is wrong.
    Usage = 2,
    /// A person has to decide.
    Decide = 3,
    /// AWS said no.
    Refused = 4,
    /// The keystore cannot be used.
    Unreachable = 5,
}

/// A failure, ready to be told.
#[derive(Debug)]
pub struct Failed {
    /// With which code to end.
    pub exit: Exit,
    /// What happened, naming the act and the thing.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Failed {
    /// A failure without a hint.
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into(), hint: None }
    }

    /// The same with a hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl From<ConfigError> for Failed {
    fn from(error: ConfigError) -> Self {
        Self::new(Exit::Usage, error.message).hint(error.hint)
    }
}

impl From<KeystoreError> for Failed {
    fn from(error: KeystoreError) -> Self {
        Self::new(Exit::Unreachable, error.to_string()).hint(error.hint())
    }
}

impl From<StateError> for Failed {
    fn from(error: StateError) -> Self {
        let exit =
            if matches!(error, StateError::Busy { .. }) { Exit::Decide } else { Exit::Failed };
        Self::new(exit, error.to_string()).hint(error.hint())
    }
}

impl From<NotMinted> for Failed {
    fn from(error: NotMinted) -> Self {
        let exit = match &error {
            NotMinted::Denied { .. } => Exit::Refused,
            NotMinted::Mfa(NoCode::NotTaken { .. }) => Exit::Refused,
            NotMinted::Mfa(NoCode::Seed { .. }) => Exit::Unreachable,
            NotMinted::Mfa(_) => Exit::Decide,
            NotMinted::Unreachable { .. } => Exit::Failed,
        };
        Self::new(exit, error.to_string()).hint(error.hint())
    }
}

impl From<Failure> for Failed {
    fn from(failure: Failure) -> Self {
        let message = failure.to_string();
        match failure {
            Failure::Account { act, refusal } => refused(&act, &refusal),
            Failure::Unreachable { .. } => Self::new(Exit::Failed, message).hint(
                "check the network and endpoint_url; what was begun goes on with `rotakey resume`",
            ),
            Failure::Keystore(_) => Self::new(Exit::Unreachable, message)
                .hint("unlock or repair the keystore, then run `rotakey resume`; nothing is lost"),
            Failure::Environment(_) => Self::new(Exit::Failed, message)
                .hint("mend that, then run `rotakey resume`; nothing is lost"),
            Failure::Operator(_) => {
                Self::new(Exit::Usage, message).hint("`rotakey status` says what is under way")
            }
            Failure::Bug(_) => Self::new(Exit::Failed, message).hint(
                "nothing was changed; please report this with the output of `rotakey history`",
            ),
        }
    }
}

/// AWS said no to `act`.
pub fn refused(act: &str, refusal: &Refusal) -> Failed {
    let hint = match refusal.class {
        RefusalClass::KeyUnknown => {
            "the key is unknown, inactive or deleted: look at the user's keys as an admin"
        }
        RefusalClass::WrongSecret => {
            "the secret access key is not this key's: copy it again, without blanks"
        }
        RefusalClass::Clock => "this machine's clock is off: set it (timedatectl set-ntp true)",
        RefusalClass::Expired => "these are temporary credentials: give an IAM user's key",
        RefusalClass::Permission => {
            "attach the policy of docs/iam-policies.md to the user, then run the command again"
        }
        RefusalClass::Quarantine => {
            "AWS found this key in public: as an admin, make a new key, delete this one, then detach the quarantine policy"
        }
        RefusalClass::Throttled => "AWS is busy: try again in a minute",
        RefusalClass::Quota => "the user has two keys already: see `rotakey keys`",
        RefusalClass::NoSuchEntity => {
            "check its name: `rotakey keys --all-users` lists the account's users and keys"
        }
        RefusalClass::Conflict | RefusalClass::Invalid => "see `rotakey status` and `rotakey keys`",
    };
    Failed::new(Exit::Refused, format!("AWS refused {act}: {refusal}")).hint(hint)
}

/// The value of a call, or why there is none.
pub fn expect<T>(act: &str, outcome: Outcome<T>) -> Result<T, Failed> {
    match outcome {
        Outcome::Done(value) => Ok(value),
        Outcome::Refused(refusal) => Err(refused(act, &refusal)),
        Outcome::Unknown(doubt) => {
            Err(Failed::new(Exit::Failed, format!("no answer to {act}: {doubt}"))
                .hint("check the network, and endpoint_url in the profile"))
        }
    }
}
