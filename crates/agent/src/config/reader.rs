//! Values out of a table of `config.toml`, and the name of the key when one is wrong.

use std::time::Duration;

use super::{ConfigError, duration};

/// Reads values out of a table, and names the key when one is wrong.
pub(super) struct Reader<'a> {
    pub(super) at: String,
    pub(super) table: &'a toml::Table,
}

impl<'a> Reader<'a> {
    pub(super) fn wrong(&self, key: &str, found: &str, wanted: &str) -> ConfigError {
        ConfigError::new(
            format!("{}: {key} is {found}", self.at),
            format!("{key} must be {wanted}"),
        )
    }

    /// A key that says nothing without another one.
    pub(super) fn lonely(&self, key: &str, without: &str, hint: &str) -> ConfigError {
        ConfigError::new(format!("{}: {key} is set, and {without} is not", self.at), hint)
    }

    pub(super) fn get<T>(
        &self,
        key: &str,
        wanted: &str,
        read: impl FnOnce(&'a toml::Value) -> Option<T>,
    ) -> Result<Option<T>, ConfigError> {
        let Some(value) = self.table.get(key) else { return Ok(None) };
        read(value).map(Some).ok_or_else(|| self.wrong(key, &value.to_string(), wanted))
    }

    pub(super) fn text(&self, key: &str) -> Result<Option<&'a str>, ConfigError> {
        self.get(key, "a text in quotes, and not empty", |v| {
            v.as_str().filter(|text| !text.is_empty())
        })
    }

    pub(super) fn flag(&self, key: &str) -> Result<Option<bool>, ConfigError> {
        self.get(key, "true or false", toml::Value::as_bool)
    }

    pub(super) fn list(&self, key: &str) -> Result<Option<Vec<String>>, ConfigError> {
        self.get(key, "a list of texts, and not empty", |value| {
            let texts: Option<Vec<_>> =
                value.as_array()?.iter().map(|one| one.as_str().map(str::to_owned)).collect();
            texts.filter(|texts| !texts.is_empty())
        })
    }

    pub(super) fn url(&self, key: &str) -> Result<Option<&'a str>, ConfigError> {
        self.get(key, "a URL that begins with http:// or https://", |value| {
            value.as_str().filter(|text| {
                let host = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
                host.is_some_and(|host| !host.is_empty() && !host.starts_with('/'))
            })
        })
    }

    pub(super) fn count(&self, key: &str, default: u32, floor: u32) -> Result<u32, ConfigError> {
        let wanted = format!("a number, at least {floor}");
        let read = |v: &toml::Value| {
            v.as_integer().and_then(|n| u32::try_from(n).ok()).filter(|n| *n >= floor)
        };
        Ok(self.get(key, &wanted, read)?.unwrap_or(default))
    }

    pub(super) fn duration(
        &self,
        key: &str,
        default: Duration,
        floor: Duration,
    ) -> Result<Duration, ConfigError> {
        let Some(text) =
            self.get(key, "a duration in quotes, such as \"90s\"", toml::Value::as_str)?
        else {
            return Ok(default);
        };
        let value = duration::parse(text).map_err(|why| {
            ConfigError::new(
                format!("{}: {key}: {why}", self.at),
                format!("{key} = \"90s\", for example"),
            )
        })?;
        if value < floor {
            return Err(ConfigError::new(
                format!("{}: {key} is {text:?}, less than {}", self.at, duration::format(floor)),
                format!(
                    "{key} must be at least {}; for a test, set unsafe_durations = true",
                    duration::format(floor)
                ),
            ));
        }
        Ok(value)
    }

    /// A duration that AWS bounds from above as well; `why` says by what.
    pub(super) fn bounded(
        &self,
        key: &str,
        default: Duration,
        floor: Duration,
        (ceiling, why): (Duration, &str),
    ) -> Result<Duration, ConfigError> {
        let value = self.duration(key, default, floor)?;
        if value > ceiling {
            let (value, most) = (duration::format(value), duration::format(ceiling));
            return Err(ConfigError::new(
                format!("{}: {key} is {value}, more than {most}", self.at),
                format!("{key} must be at most {most}: {why}"),
            ));
        }
        Ok(value)
    }
}
