//! Where things are: one folder under `$ROTAKEY_HOME`, or the XDG folders.

use std::path::PathBuf;

use super::{ConfigError, Env};

/// The places rotakey uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paths {
    /// `config.toml`.
    pub config: PathBuf,
    /// Journals, ledgers, the key file.
    pub state: PathBuf,
}

impl Paths {
    /// Finds the places.
    pub fn from_env(env: &Env) -> Result<Self, ConfigError> {
        let absolute = |name: &str| env.get(name).map(PathBuf::from).filter(|p| p.is_absolute());
        if let Some(home) = env.get("ROTAKEY_HOME") {
            let home = PathBuf::from(home);
            if !home.is_absolute() {
                return Err(ConfigError::new(
                    format!("ROTAKEY_HOME is {}, which is not an absolute path", home.display()),
                    "write the whole path, from / on",
                ));
            }
            return Ok(Self { config: home.join("config.toml"), state: home.join("state") });
        }
        let home = absolute("HOME");
        let under_home = |below: &str| home.as_ref().map(|home| home.join(below));
        let config = absolute("XDG_CONFIG_HOME").or_else(|| under_home(".config"));
        let state = absolute("XDG_STATE_HOME").or_else(|| under_home(".local/state"));
        match (config, state) {
            (Some(config), Some(state)) => Ok(Self {
                config: config.join("rotakey/config.toml"),
                state: state.join("rotakey"),
            }),
            _ => Err(ConfigError::new(
                "neither ROTAKEY_HOME nor HOME is set".to_owned(),
                "set ROTAKEY_HOME to a folder of your own",
            )),
        }
    }
}
