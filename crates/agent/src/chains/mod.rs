//! Where an AWS SDK takes its credentials from: its chain of providers as data, and the one that answers.
//!
//! Nothing here asks anybody. Given an environment and the files that SDKs read, [`answer`] says which provider of which
//! SDK would answer first. tests/doctor.rs has real SDKs say the same.

mod files;
mod older;
mod sdks;
#[cfg(test)]
mod tests;

use std::fmt;
use std::path::PathBuf;

pub use files::{File, Section, Setting, SharedFiles};
pub use older::OlderFiles;
pub use sdks::{ALL, Link, Scope, Sdk};

use crate::config::Env;

/// Where RELATIVE_URI leads: the address of Amazon ECS's agent.
const ECS: &str = "http://169.254.170.2";
/// The address of IMDS on EC2.
pub const EC2: &str = "http://169.254.169.254";

/// Where something was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// An environment variable.
    Variable(&'static str),
    /// A line of a file, counted from 1.
    Line(PathBuf, usize),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Variable(name) => write!(f, "${name}"),
            Self::Line(path, line) => write!(f, "{}:{line}", path.display()),
        }
    }
}

/// The provider that answers. It holds no secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// A key that stands somewhere in plain text.
    Key {
        /// Its id.
        access_key_id: String,
        /// Where the id stands.
        at: Place,
    },
    /// `credential_process`.
    Process {
        /// The command, as it stands in the file.
        line: String,
        /// Where.
        at: Place,
    },
    /// A session that the SDK makes itself: of a role, by SSO, by `aws login`.
    Session {
        /// By which setting: `role_arn`, `sso_session`.
        by: &'static str,
        /// Where it stands.
        at: Place,
    },
    /// The container endpoint.
    Container {
        /// Its whole address.
        uri: String,
        /// The variable that says so.
        at: Place,
    },
    /// IMDS.
    Imds {
        /// Its address, without a slash at the end.
        endpoint: String,
    },
    /// It finds none.
    Nothing,
    /// It gives up before the end of its chain.
    Fails {
        /// Why.
        why: String,
        /// Where the reason stands.
        at: Option<Place>,
    },
}

/// Which provider of an SDK answers first.
pub fn answer(sdk: &Sdk, env: &Env, files: &SharedFiles) -> Answer {
    let asked = sdk.profile_variables.iter().find_map(|name| Some((*name, env.get(name)?)));
    let profile = asked.map_or("default", |(_, profile)| profile);
    let view = View { sdk, env, files, profile };
    if let Some(broken) = view.unreadable() {
        return broken;
    }
    if let Some((name, profile)) = asked
        && sdk.needs_profile
        && !view.has_profile()
    {
        let why = format!("there is no profile {profile}");
        return Answer::Fails { why, at: Some(Place::Variable(name)) };
    }
    sdk.links.iter().find_map(|link| view.try_link(*link)).unwrap_or(Answer::Nothing)
}

/// One SDK's sight of things.
struct View<'a> {
    sdk: &'a Sdk,
    env: &'a Env,
    files: &'a SharedFiles,
    profile: &'a str,
}

impl View<'_> {
    /// The config file is read: always, or if it is asked for.
    fn reads_config(&self) -> bool {
        match self.sdk.config_needs {
            None => true,
            Some(name) => self.env.get(name).is_some_and(|value| value != "0" && value != "false"),
        }
    }

    /// What a strict parser stumbles over, in either file: then nothing is found, whatever the rest says.
    fn unreadable(&self) -> Option<Answer> {
        if !self.sdk.is_strict {
            return None;
        }
        let (why, at) = self.files.stumbling_block()?;
        Some(Answer::Fails { why, at: Some(at) })
    }

    fn has_profile(&self) -> bool {
        let in_config = self.reads_config() && self.files.config.profile(self.profile).is_some();
        in_config || self.files.credentials.profile(self.profile).is_some()
    }

    /// A setting of the profile; the credentials file goes before the config file.
    fn get(&self, scope: Scope, key: &str) -> Option<(&str, Place)> {
        let config = || self.files.config.get(self.profile, key).filter(|_| self.reads_config());
        let credentials = || self.files.credentials.get(self.profile, key);
        match scope {
            Scope::Both => credentials().or_else(config),
            Scope::Credentials => credentials(),
            Scope::Config => config(),
            Scope::DefaultOfConfig => self.files.config.get("default", key),
        }
    }

    fn static_key(&self, scope: Scope) -> Option<Answer> {
        let (id, at) = self.get(scope, "aws_access_key_id")?;
        match self.get(scope, "aws_secret_access_key") {
            Some(_) => Some(Answer::Key { access_key_id: id.to_owned(), at }),
            None if self.sdk.takes_halves => None,
            None => {
                let why = "there is no aws_secret_access_key with it".to_owned();
                Some(Answer::Fails { why, at: Some(at) })
            }
        }
    }

    fn session(&self, by: &'static str, and: Option<&str>) -> Option<Answer> {
        let (_, at) = self.get(Scope::Both, by)?;
        and.is_none_or(|and| self.get(Scope::Both, and).is_some())
            .then_some(Answer::Session { by, at })
    }

    /// A token file, of the environment or of the profile, and an ARN of either.
    fn any_web_identity(&self) -> Option<Answer> {
        let of = |variable: &'static str, key: &'static str| {
            let in_profile = || self.get(Scope::Both, key).map(|(_, at)| (key, at));
            let set = self.env.get(variable).map(|_| (variable, Place::Variable(variable)));
            set.or_else(in_profile)
        };
        let (by, at) = of("AWS_WEB_IDENTITY_TOKEN_FILE", "web_identity_token_file")?;
        Some(match of("AWS_ROLE_ARN", "role_arn") {
            Some(_) => Answer::Session { by, at },
            None => {
                let why = "a web identity, and no ARN of a role with it".to_owned();
                Answer::Fails { why, at: Some(at) }
            }
        })
    }

    fn key_variables(&self) -> Option<Answer> {
        for (id, secret) in self.sdk.key_variables {
            let Some(value) = self.env.get(id) else { continue };
            if self.env.get(secret).is_some() {
                let at = Place::Variable(id);
                return Some(Answer::Key { access_key_id: value.to_owned(), at });
            }
            if !self.sdk.takes_halves {
                let why = format!("{id} is set, and {secret} is not");
                return Some(Answer::Fails { why, at: Some(Place::Variable(id)) });
            }
        }
        None
    }

    fn try_link(&self, link: Link) -> Option<Answer> {
        match link {
            Link::Keys => self.key_variables(),
            Link::KeysWithoutProfile => {
                self.env.get("AWS_PROFILE").is_none().then(|| self.key_variables())?
            }
            Link::TokenFile => {
                self.env.get("AWS_ROLE_ARN")?;
                let by = "AWS_WEB_IDENTITY_TOKEN_FILE";
                self.env.get(by).map(|_| Answer::Session { by, at: Place::Variable(by) })
            }
            Link::Role => {
                if self.get(Scope::Both, "web_identity_token_file").is_some() {
                    return None;
                }
                let source = ["source_profile", "credential_source"];
                let source = source.into_iter().find(|key| self.get(Scope::Both, key).is_some());
                self.session("role_arn", Some(source.unwrap_or("source_profile")))
            }
            Link::WebIdentity => self.session("web_identity_token_file", Some("role_arn")),
            Link::AnyWebIdentity => self.any_web_identity(),
            Link::Sso => self
                .session("sso_session", Some("sso_account_id"))
                .or_else(|| self.session("sso_start_url", Some("sso_account_id"))),
            Link::Login => self.session("login_session", None),
            Link::Static(scope) => self.static_key(scope),
            Link::StaticAlone => match self.get(Scope::Both, "credential_process") {
                Some((_, at)) if self.get(Scope::Both, "aws_access_key_id").is_some() => {
                    let why = "keys and credential_process in one profile".to_owned();
                    Some(Answer::Fails { why, at: Some(at) })
                }
                _ => self.static_key(Scope::Both),
            },
            Link::Process(scope) => {
                let (line, at) = self.get(scope, "credential_process")?;
                Some(Answer::Process { line: line.to_owned(), at })
            }
            Link::Older => self.files.older.key(self.env),
            Link::Container => self.container(),
            Link::Imds => self.imds(),
        }
    }

    fn container(&self) -> Option<Answer> {
        let full = "AWS_CONTAINER_CREDENTIALS_FULL_URI";
        let relative = "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI";
        let (full, relative) = (
            self.env.get(full).map(|uri| (uri.to_owned(), full)),
            self.env.get(relative).map(|path| (format!("{ECS}{path}"), relative)),
        );
        let found = if self.sdk.takes_full_first { full.or(relative) } else { relative.or(full) };
        found.map(|(uri, name)| Answer::Container { uri, at: Place::Variable(name) })
    }

    fn imds(&self) -> Option<Answer> {
        let disabled = self.env.get("AWS_EC2_METADATA_DISABLED");
        if disabled.is_some_and(|value| value.eq_ignore_ascii_case("true")) {
            return None;
        }
        let endpoint = self.env.get("AWS_EC2_METADATA_SERVICE_ENDPOINT");
        let endpoint = endpoint.filter(|_| self.sdk.asks_other_imds).unwrap_or(EC2);
        Some(Answer::Imds { endpoint: endpoint.trim_end_matches('/').to_owned() })
    }
}
