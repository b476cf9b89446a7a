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
    /// The agent's socket.
    pub run: PathBuf,
}

/// The name of the agent's socket, in [`Paths::run`].
pub const SOCKET: &str = "agent.sock";

/// Where the agent's socket is, from single variables: `credential-process` looks here before anything else is read.
pub fn run_dir(get: impl Fn(&str) -> Option<PathBuf>) -> Option<PathBuf> {
    let absolute = |name: &str| get(name).filter(|path| path.is_absolute());
    if let Some(home) = get("ROTAKEY_HOME").filter(|home| !home.as_os_str().is_empty()) {
        return home.is_absolute().then(|| home.join("run"));
    }
    if let Some(runtime) = absolute("XDG_RUNTIME_DIR") {
        return Some(runtime.join("rotakey"));
    }
    // A login without a session (cron, ssh -T): the folder that the session would have, if there were one, may not be
    // there, and the state folder always is.
    let state = absolute("XDG_STATE_HOME");
    let state = state.or_else(|| absolute("HOME").map(|home| home.join(".local/state")));
    state.map(|state| state.join("rotakey/run"))
}

impl Paths {
    /// The agent's socket.
    pub fn socket(&self) -> PathBuf {
        self.run.join(SOCKET)
    }

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
            let run = home.join("run");
            return Ok(Self { config: home.join("config.toml"), state: home.join("state"), run });
        }
        let home = absolute("HOME");
        let under_home = |below: &str| home.as_ref().map(|home| home.join(below));
        let config = absolute("XDG_CONFIG_HOME").or_else(|| under_home(".config"));
        let state = absolute("XDG_STATE_HOME").or_else(|| under_home(".local/state"));
        let run = run_dir(|name| env.get(name).map(PathBuf::from));
        match (config, state, run) {
            (Some(config), Some(state), Some(run)) => Ok(Self {
                config: config.join("rotakey/config.toml"),
                state: state.join("rotakey"),
                run,
            }),
            _ => Err(ConfigError::new(
                "neither ROTAKEY_HOME nor HOME is set".to_owned(),
                "set ROTAKEY_HOME to a folder of your own",
            )),
        }
    }
}
