//! What `source_profile` leads to: the key, and the roles on the way.

use super::reader::Reader;
use super::session::{self, MfaSettings, RoleSettings, Serve};
use super::{Config, ConfigError, Env};

impl Config {
    /// The profile that holds the key of `profile`: itself, or the one that `source_profile` leads to.
    pub fn key_profile<'a>(&'a self, profile: &'a str) -> Result<&'a str, ConfigError> {
        Ok(self.path(profile)?.last().copied().unwrap_or(profile))
    }

    /// The roles that are assumed for `profile`, one by the session of the one before; the key signs the first.
    /// None, unless the profile serves a role.
    pub fn roles(&self, profile: &str) -> Result<Vec<RoleSettings>, ConfigError> {
        let env = Env::default();
        if self.settings(profile, &env)?.serve != Serve::Role {
            return Ok(Vec::new());
        }
        let mut roles: Vec<RoleSettings> = Vec::new();
        for name in self.path(profile)?.into_iter().rev() {
            let Some(role) = self.settings(name, &env)?.session.role else { continue };
            if !roles.is_empty() && role.duration() > RoleSettings::CHAINED_AT_MOST {
                return Err(ConfigError::new(
                    format!(
                        "[profile.{name}]: duration is more than 1h, and another role assumes this one"
                    ),
                    "AWS gives a chained role at most 1h: leave duration out, or let the key assume the role itself",
                ));
            }
            roles.push(role);
        }
        if roles.is_empty() {
            return Err(ConfigError::new(
                format!(
                    "[profile.{profile}]: serve is \"role\", and there is no role_arn, here or on the way of source_profile"
                ),
                "add role_arn = \"arn:aws:iam::123456789012:role/NAME\", or serve = \"session\"",
            ));
        }
        Ok(roles)
    }

    /// Whose STS is asked for the profile's sessions: its own region, or the nearest one that `source_profile`
    /// leads to.
    pub fn sts_region(&self, profile: &str, env: &Env) -> Result<String, ConfigError> {
        let path = self.path(profile)?;
        let has_region = |name: &&str| {
            self.profiles.get(*name).is_some_and(|table| table.contains_key("region"))
        };
        let named = path.iter().copied().find(|name| has_region(name)).unwrap_or(profile);
        Ok(self.settings(named, env)?.region)
    }

    /// The profile, the one that it takes its credentials from, and so on to the one that holds the key.
    fn path<'a>(&'a self, profile: &'a str) -> Result<Vec<&'a str>, ConfigError> {
        let mut path = vec![profile];
        let mut at = profile;
        for _ in 0..=self.profiles.len() {
            let source =
                self.profiles.get(at).and_then(|table| table.get("source_profile")?.as_str());
            match source {
                None => return Ok(path),
                Some(next) if self.profiles.contains_key(next) => {
                    path.push(next);
                    at = next;
                }
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

    /// The nearest MFA device on the way to the key: it is the user's, and so every role's.
    pub(super) fn inherited_mfa(&self, profile: &str) -> Result<Option<MfaSettings>, ConfigError> {
        for name in self.path(profile)?.into_iter().skip(1) {
            let Some(table) = self.profiles.get(name) else { continue };
            let read = Reader { at: format!("[profile.{name}]"), table };
            if let Some(mfa) = session::mfa(name, &read)? {
                return Ok(Some(mfa));
            }
        }
        Ok(None)
    }

    /// A machine has one IMDS.
    pub(super) fn check_imds(&self) -> Result<(), ConfigError> {
        let asked =
            |table: &toml::Table, key| table.get(key).and_then(toml::Value::as_bool) == Some(true);
        let mut first = None;
        for (name, table) in &self.profiles {
            if asked(table, "imds_v1") && !asked(table, "imds") {
                return Err(ConfigError::new(
                    format!("[profile.{name}]: imds_v1 is set, and imds is not"),
                    "set imds = true as well, or remove imds_v1",
                ));
            }
            if asked(table, "imds")
                && let Some(first) = first.replace(name)
            {
                return Err(ConfigError::new(
                    format!("[profile.{first}] and [profile.{name}] both have imds = true"),
                    "a program asks IMDS for the one role there is: choose one of the two",
                ));
            }
        }
        Ok(())
    }
}
