//! `config.toml`: reading, checking, and the settings that follow from it.

pub mod duration;
pub mod edit;
mod keys;
mod paths;
mod settings;

use std::collections::BTreeMap;
use std::path::Path;

pub use keys::KEYS;
pub use paths::{Paths, SOCKET, run_dir};
pub use settings::{ProfileSettings, StoreKind, StoreSettings};

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
pub struct Env(BTreeMap<String, String>);

impl Env {
    /// The process's environment.
    pub fn of_process() -> Self {
        Self(
            std::env::vars_os()
                .filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)))
                .collect(),
        )
    }

    /// A variable that is set and not empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }
}

impl<const N: usize> From<[(&str, &str); N]> for Env {
    fn from(pairs: [(&str, &str); N]) -> Self {
        Self(pairs.into_iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect())
    }
}

/// The whole file, checked.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// Where secrets are kept.
    pub store: StoreSettings,
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
        let text = String::from_utf8(bytes).map_err(|_| at("it is not UTF-8".to_owned()))?;
        Self::parse(&text).map_err(|error| {
            ConfigError::new(format!("{}: {}", path.display(), error.message), error.hint)
        })
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
            profiles: profiles.collect(),
        };
        for name in config.profiles.keys() {
            check_profile_name(name)?;
            config.settings(name, &Env::default())?;
            config.key_profile(name)?;
        }
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
        settings::profile(profile, self.profiles.get(profile).unwrap_or(&empty), env)
    }

    /// The profile that holds the key of `profile`: itself, or the one that `source_profile` leads to.
    pub fn key_profile<'a>(&'a self, profile: &'a str) -> Result<&'a str, ConfigError> {
        let mut at = profile;
        for _ in 0..=self.profiles.len() {
            let source =
                self.profiles.get(at).and_then(|table| table.get("source_profile")?.as_str());
            match source {
                None => return Ok(at),
                Some(next) if self.profiles.contains_key(next) => at = next,
                Some(next) => {
                    return Err(ConfigError::new(
                        format!("profile {at}: source_profile names {next:?}, which is not there"),
                        format!("add [profile.{next}], or remove source_profile"),
                    ));
                }
            }
        }
        Err(ConfigError::new(
            format!("profile {profile}: source_profile goes round in a circle"),
            "let one of the profiles hold the key itself",
        ))
    }

    /// The profiles that use the key of `profile`.
    pub fn sharers<'a>(&'a self, profile: &'a str) -> impl Iterator<Item = &'a str> {
        self.profile_names().filter(move |name| {
            *name != profile && self.key_profile(name).is_ok_and(|k| k == profile)
        })
    }
}

/// Profile names become folder names: letters, digits and `_-.@+`, at most 64, not beginning with a dot.
pub fn check_profile_name(name: &str) -> Result<(), ConfigError> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_-.@+".contains(c);
    if !name.is_empty() && name.len() <= 64 && !name.starts_with('.') && name.chars().all(allowed) {
        Ok(())
    } else {
        Err(ConfigError::new(
            format!("{name:?} cannot be the name of a profile"),
            "use up to 64 letters, digits and _ - . @ +, not beginning with a dot",
        ))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn an_unknown_key_names_the_nearest_known_one() {
        let error = Config::parse("[profile.deploy]\nlese = \"30m\"\n").expect_err("unknown");
        assert!(
            error.message.contains("lese") && error.message.contains("profile.deploy"),
            "{error:?}"
        );
        assert!(error.hint.contains("lease"), "{error:?}");
        let error = Config::parse("[stoer]\n").expect_err("unknown");
        assert!(error.hint.contains("store"), "{error:?}");
        let error = Config::parse("[profile.a.probe]\nsucceses = 4\n").expect_err("unknown");
        assert!(error.hint.contains("successes"), "{error:?}");
    }

    #[test]
    fn floors_hold_unless_they_are_lifted() {
        let error = Config::parse("[profile.a]\nsoak = \"1m\"\n").expect_err("below the floor");
        assert!(
            error.message.contains("soak") && error.hint.contains("unsafe_durations"),
            "{error:?}"
        );
        let config =
            Config::parse("[profile.a]\nsoak = \"2s\"\nlease = \"4s\"\nunsafe_durations = true\n")
                .expect("lifted");
        let settings = config.settings("a", &Env::default()).expect("checked");
        assert_eq!(settings.policy.soak, Duration::from_secs(2));
        assert_eq!(settings.policy.orphan_wait, Duration::from_secs(2));
        assert_eq!(settings.policy.signature_window, Duration::from_secs(4));
        assert_eq!(settings.policy.settle, Duration::ZERO);
        let config = Config::parse("[profile.a]\n").expect("plain");
        let settings = config.settings("a", &Env::default()).expect("checked");
        assert_eq!(settings.policy.lease, Duration::from_secs(3600));
        assert_eq!(settings.policy.signature_window, Duration::from_secs(900));
    }

    #[test]
    fn wrong_types_and_values_name_the_key() {
        for (text, names) in [
            ("[profile.a]\nlease = 5\n", "lease"),
            ("[profile.a]\nlease = \"soon\"\n", "lease"),
            ("[profile.a]\nserve = \"keys\"\n", "serve"),
            ("[profile.a]\nendpoint_url = \"ftp://x\"\n", "endpoint_url"),
            ("[store]\nkind = \"paper\"\n", "kind"),
            ("[profile.a]\nprobe = { successes = 1 }\n", "successes"),
            ("[profile.\"a/b\"]\n", "a/b"),
            ("[profile.a]\nsource_profile = \"b\"\n", "source_profile"),
            ("[profile.a]\nsource_profile = \"a\"\n", "source_profile"),
        ] {
            let error = Config::parse(text).expect_err(text);
            assert!(error.message.contains(names), "{text}: {error:?}");
        }
    }

    #[test]
    fn a_profile_goes_by_its_own_url_first() {
        let env = Env::from([
            ("AWS_ENDPOINT_URL", "http://general"),
            ("AWS_ENDPOINT_URL_STS", "http://sts"),
        ]);
        let config = Config::parse("[profile.a]\n[profile.b]\nendpoint_url = \"http://own\"\n")
            .expect("fine");
        let a = config.settings("a", &env).expect("fine").endpoints;
        assert_eq!(
            (a.iam.as_deref(), a.sts.as_deref()),
            (Some("http://general"), Some("http://sts"))
        );
        let b = config.settings("b", &env).expect("fine").endpoints;
        assert_eq!((b.iam.as_deref(), b.sts.as_deref()), (Some("http://own"), Some("http://own")));
    }
}
