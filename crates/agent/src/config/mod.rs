//! `config.toml`: reading, checking, and the settings that follow from it.

mod agent;
mod chain;
pub mod duration;
pub mod edit;
mod keys;
mod paths;
mod quiet;
mod reader;
mod session;
mod settings;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

pub use agent::{AgentSettings, LogFormat, Sources};
pub use keys::KEYS;
pub use paths::{Paths, SOCKET, run_dir};
pub use quiet::QuietHours;
pub use session::{MfaSettings, RoleSettings, Serve, SessionSettings};
pub use settings::{ProfileSettings, StoreKind, StoreSettings};
use sha2::{Digest, Sha256};

use crate::store::disk;

/// A fault in what the user wrote.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ConfigError {
    /// What is wrong, and where.
    pub message: String,
    /// What to do about it.
    pub hint: String,
}

impl ConfigError {
    /// A fault and its hint.
    pub fn new(message: String, hint: impl Into<String>) -> Self {
        Self { message, hint: hint.into() }
    }
}

/// The environment, read once.
#[derive(Clone, Debug, Default)]
pub struct Env(Arc<BTreeMap<String, String>>);

impl Env {
    /// The process's environment.
    pub fn of_process() -> Self {
        let texts = std::env::vars_os()
            .filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)));
        Self(Arc::new(texts.collect()))
    }

    /// A variable that is set and not empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (&String, &String)> {
        self.0.iter()
    }

    /// The same with one variable set, or not set.
    #[must_use]
    pub fn with(&self, name: &str, value: Option<&str>) -> Self {
        let mut variables = (*self.0).clone();
        match value {
            Some(value) => variables.insert(name.to_owned(), value.to_owned()),
            None => variables.remove(name),
        };
        Self(Arc::new(variables))
    }
}

impl<const N: usize> From<[(&str, &str); N]> for Env {
    fn from(pairs: [(&str, &str); N]) -> Self {
        Self(Arc::new(pairs.into_iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect()))
    }
}

/// The whole file, checked.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// Where secrets are kept.
    pub store: StoreSettings,
    /// What the agent offers, and where.
    pub agent: AgentSettings,
    /// The SHA-256 of the file, in hexadecimal: whether two processes have read the same one. Empty if there is none.
    pub digest: String,
    profiles: BTreeMap<String, toml::Table>,
}

impl Config {
    /// Reads and checks the file; one that does not exist is empty.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let at = |why: String| {
            ConfigError::new(
                format!("{}: {why}", path.display()),
                "correct the file; nothing was changed",
            )
        };
        disk::check_private(path).map_err(|error| {
            ConfigError::new(
                format!("{} is refused: {error}", path.display()),
                format!("chmod 600 {}", path.display()),
            )
        })?;
        let Some(bytes) = disk::read(path).map_err(|error| at(error.to_string()))? else {
            return Ok(Self::default());
        };
        let digest = hex::encode(Sha256::digest(&bytes));
        let text = String::from_utf8(bytes).map_err(|_| at("it is not UTF-8".to_owned()))?;
        let config = Self::parse(&text).map_err(|error| {
            ConfigError::new(format!("{}: {}", path.display(), error.message), error.hint)
        })?;
        Ok(Self { digest, ..config })
    }

    /// Checks the text of a file.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let table: toml::Table = toml::from_str(text).map_err(|error| {
            ConfigError::new(
                error.to_string().trim_end().to_owned(),
                "see docs/configuration.md for the form",
            )
        })?;
        keys::check(&table)?;
        let sub = |name: &str| table.get(name).and_then(toml::Value::as_table).cloned();
        let profiles = sub("profile")
            .unwrap_or_default()
            .into_iter()
            .filter_map(|(name, value)| value.as_table().cloned().map(|table| (name, table)));
        let config = Self {
            store: settings::store(&sub("store").unwrap_or_default())?,
            agent: agent::agent(&sub("agent").unwrap_or_default())?,
            digest: String::new(),
            profiles: profiles.collect(),
        };
        for name in config.profiles.keys() {
            check_profile_name(name)?;
            config.settings(name, &Env::default())?;
            config.key_profile(name)?;
            config.roles(name)?;
        }
        config.check_imds()?;
        Ok(config)
    }

    /// The names of the profiles.
    pub fn profile_names(&self) -> impl Iterator<Item = &str> {
        self.profiles.keys().map(String::as_str)
    }

    /// Whether a profile stands in the file.
    pub fn contains(&self, profile: &str) -> bool {
        self.profiles.contains_key(profile)
    }

    /// The settings of a profile, with everything that follows from them; defaults if it is not in the file.
    pub fn settings(&self, profile: &str, env: &Env) -> Result<ProfileSettings, ConfigError> {
        let empty = toml::Table::new();
        let table = self.profiles.get(profile).unwrap_or(&empty);
        settings::profile(profile, table, env, self.inherited_mfa(profile)?)
    }

    /// The profiles that use the key of `profile`.
    pub fn sharers<'a>(&'a self, profile: &'a str) -> impl Iterator<Item = &'a str> {
        self.profile_names().filter(move |name| {
            *name != profile && self.key_profile(name).is_ok_and(|k| k == profile)
        })
    }
}

/// Profile names become folder names and arguments: letters, digits and `_-.@+`, at most 64. One that begins with a dot would
/// be hidden, and one that begins with a hyphen is an option to `--profile`.
pub fn check_profile_name(name: &str) -> Result<(), ConfigError> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_-.@+".contains(c);
    let begins_well = !name.is_empty() && !name.starts_with(['.', '-']);
    if begins_well && name.len() <= 64 && name.chars().all(allowed) {
        Ok(())
    } else {
        Err(ConfigError::new(
            format!("{name:?} cannot be the name of a profile"),
            "use up to 64 letters, digits and _ - . @ +, not beginning with a dot or a hyphen",
        ))
    }
}
