//! What the checks look at, read once.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use rotakey_core::credential::AccessKeyId;
use serde_json::Value;

use crate::app::App;
use crate::chains::{File, OlderFiles, SharedFiles};
use crate::config::Env;
use crate::control::Agent;
use crate::failure::Failed;
use crate::local_http::escape;
use crate::shared_files::{self, Kind, Places};
use crate::store::disk;
use crate::store::profile::ProfileState;

/// Everything that more than one check needs.
pub(super) struct Scene<'a> {
    /// rotakey.
    pub(super) app: &'a App,
    /// The two shared files.
    pub(super) files: SharedFiles,
    /// Why one of them could not be read.
    pub(super) unreadable: Vec<(PathBuf, String)>,
    /// What the agent says of itself; `None` if none runs.
    pub(super) agent: Result<Option<Value>, Failed>,
    /// This program, as it can be run.
    pub(super) own: PathBuf,
    /// The keys that journals name, each with the profile that holds it.
    pub(super) managed: Vec<(AccessKeyId, String)>,
    /// Where the agent listens, or is going to.
    pub(super) listen: Option<SocketAddr>,
}

impl<'a> Scene<'a> {
    /// Reads it all.
    pub(super) async fn of(app: &'a App) -> Self {
        let asked = Agent::at(app.paths.socket());
        let agent = tokio::task::spawn_blocking(move || asked.status()).await;
        let agent = agent.unwrap_or(Ok(None));
        let mut unreadable = Vec::new();
        let mut read = |path: &Path| match shared_files::read(path) {
            Ok(Some(bytes)) => bytes,
            Ok(None) => {
                // /dev/null is how one says that there is none.
                let is_there = disk::access(path).ok().flatten().is_some();
                if is_there && !path.starts_with("/dev") {
                    let why = "it is a folder, or a pipe, or a device: it is not looked into";
                    unreadable.push((path.to_owned(), why.to_owned()));
                }
                zeroize::Zeroizing::default()
            }
            Err(error) => {
                unreadable.push((path.to_owned(), error.to_string()));
                zeroize::Zeroizing::default()
            }
        };
        let Places { credentials, config } = places(&app.env);
        let files = SharedFiles {
            credentials: File::read(Kind::Credentials, &credentials, &read(&credentials)),
            config: File::read(Kind::Config, &config, &read(&config)),
            older: OlderFiles::read(&app.env, |path| shared_files::read(path).ok().flatten()),
        };
        let says = agent.as_ref().ok().and_then(Option::as_ref);
        let listen = match says {
            Some(says) => says["listen"].as_str().and_then(|at| at.parse().ok()),
            None => Some(app.config.agent.listen).filter(|at| at.port() != 0),
        };
        Self {
            files,
            unreadable,
            own: crate::proc::own_program().unwrap_or_else(|_| "rotakey".into()),
            managed: managed(app),
            listen,
            agent,
            app,
        }
    }

    /// The agent's answer, if one runs and answers.
    pub(super) fn says(&self) -> Option<&Value> {
        self.agent.as_ref().ok().and_then(Option::as_ref)
    }

    /// The profile that holds a key of this id.
    pub(super) fn holder_of(&self, id: &str) -> Option<&str> {
        let found = self.managed.iter().find(|(known, _)| known.as_str() == id);
        found.map(|(_, profile)| profile.as_str())
    }

    /// The profile that an address of the container endpoint asks the agent for.
    pub(super) fn served_at(&self, uri: &str) -> Option<&str> {
        let path = uri.strip_prefix(&format!("http://{}/credentials/", self.listen?));
        let path = path.or_else(|| {
            let at = format!("http://localhost:{}/credentials/", self.listen?.port());
            uri.strip_prefix(&at)
        })?;
        self.app.config.profile_names().find(|name| *name == path || escape(name) == path)
    }

    /// Whether an address of IMDS is the agent's.
    pub(super) fn is_our_imds(&self, endpoint: &str) -> bool {
        let Some(at) = self.listen else { return false };
        let host = endpoint.trim_end_matches('/').strip_prefix("http://").unwrap_or_default();
        host == at.to_string() || host == format!("localhost:{}", at.port())
    }

    /// The environment of a program that wants this profile: the caller's own if it says which, or if it leads to the
    /// agent's endpoints; else one that names the profile.
    pub(super) fn env_for(&self, profile: &str) -> Env {
        let env = &self.app.env;
        let names = ["AWS_DEFAULT_PROFILE", "AWS_PROFILE"];
        let selected: Vec<&str> = names.iter().filter_map(|name| env.get(name)).collect();
        let uri = env.get("AWS_CONTAINER_CREDENTIALS_FULL_URI");
        let leads_here = uri.and_then(|uri| self.served_at(uri)) == Some(profile)
            || env.get("AWS_EC2_METADATA_SERVICE_ENDPOINT").is_some_and(|e| self.is_our_imds(e));
        let is_there = [&self.files.config, &self.files.credentials]
            .iter()
            .any(|file| file.profile(profile).is_some());
        let stays = match selected.is_empty() {
            true => leads_here || !is_there || profile == "default",
            false => selected.iter().all(|name| *name == profile),
        };
        if stays {
            return env.clone();
        }
        env.with("AWS_PROFILE", Some(profile)).with("AWS_DEFAULT_PROFILE", None)
    }
}

/// Where the shared files are; nowhere without a home.
pub(super) fn places(env: &Env) -> Places {
    let nowhere = || Places { credentials: "/nowhere".into(), config: "/nowhere".into() };
    Places::from_env(env).unwrap_or_else(|_| nowhere())
}

fn managed(app: &App) -> Vec<(AccessKeyId, String)> {
    let mut keys = Vec::new();
    for name in app.managed().unwrap_or_default() {
        let Ok((_, status)) = ProfileState::new(&app.paths.state, &name).read() else { continue };
        let open = status.rotation.iter();
        let ids = open.flat_map(|open| open.ours().chain([&open.outgoing.id])).cloned();
        let ids: Vec<AccessKeyId> =
            status.current.iter().map(|key| key.id.clone()).chain(ids).collect();
        keys.extend(ids.into_iter().map(|id| (id, name.clone())));
    }
    keys
}

/// A text as one word of a shell.
pub(super) fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+@:=,".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', "'\\''"))
}
