//! What every act of ours on a profile begins with: its configuration, its state, its keystore, and whom to tell.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rotakey_core::credential::{AccessKeyId, Credentials};
use rotakey_core::journal::Status;

use crate::audit::Audit;
use crate::clock::{Clock, SystemClock};
use crate::config::{Config, Env, Paths, ProfileSettings, StoreKind};
use crate::failure::{Exit, Failed};
use crate::iam::aws::{AwsKeyService, CALL_TIMEOUT};
use crate::news::{Announcer, Ways};
use crate::printer::Printer;
use crate::session::MfaSessions;
use crate::store::disk;
use crate::store::durable::Disk;
use crate::store::keystore::Keystore;
use crate::store::keystore::file::{Asker, FileKeystore, Passphrase};
use crate::store::keystore::keyring::Keyring;
use crate::store::profile::ProfileState;

/// What every verb begins with. Cheap to copy.
#[derive(Clone, Debug)]
pub struct App {
    /// The environment.
    pub env: Env,
    /// Where things are.
    pub paths: Paths,
    /// The configuration.
    pub config: Arc<Config>,
    /// The profile that is meant.
    pub profile: String,
    /// Where to write.
    pub printer: Printer,
    /// The clocks.
    pub clock: SystemClock,
    /// Sessions made with MFA, in memory.
    pub mfa: Arc<MfaSessions>,
    /// Tells a person what he should hear of.
    pub announcer: Announcer,
}

impl App {
    /// Reads the configuration.
    pub fn load(env: Env, profile: String, printer: &Printer) -> Result<Self, Failed> {
        let paths = Paths::from_env(&env)?;
        let config = Arc::new(Config::load(&paths.config)?);
        let clock = SystemClock::new();
        let mfa = Arc::default();
        let announcer = Announcer::new(Ways {
            on_event: config.agent.on_event.clone(),
            desktop: config.agent.desktop,
            file: Some(paths.state.join("news.jsonl")),
        });
        Ok(Self { env, paths, config, profile, printer: printer.clone(), clock, mfa, announcer })
    }

    /// The same for another profile.
    #[must_use]
    pub fn for_profile(&self, profile: &str) -> Self {
        Self { profile: profile.to_owned(), ..self.clone() }
    }

    /// The profile that holds the key, which is the one that is meant or the one it takes its key from.
    pub fn key_profile(&self) -> Result<&str, Failed> {
        if !self.config.contains(&self.profile) {
            return Err(self.no_such_profile());
        }
        Ok(self.config.key_profile(&self.profile)?)
    }

    /// The profile that is meant is in no table: the nearest one, or what there is.
    fn no_such_profile(&self) -> Failed {
        let name = &self.profile;
        let names: Vec<_> = self.config.profile_names().collect();
        let near = names.iter().find(|known| strsim::damerau_levenshtein(known, name) <= 2);
        let hint = match (near, names.as_slice()) {
            (Some(near), _) => format!("did you mean {near}? `rotakey add {name}` makes another"),
            (None, []) => format!("`rotakey add {name}` makes it"),
            (None, [only]) => {
                format!("name the one there is, {only}; or `rotakey add {name}` makes it")
            }
            (None, _) => {
                format!("name one of {}; or `rotakey add {name}` makes it", names.join(", "))
            }
        };
        Failed::new(Exit::Usage, format!("there is no profile {name}")).hint(hint)
    }

    /// The profiles that hold a key of their own.
    pub fn managed(&self) -> Result<Vec<String>, Failed> {
        let own = |name: &&str| self.config.key_profile(name).is_ok_and(|key| key == *name);
        Ok(self.config.profile_names().filter(own).map(str::to_owned).collect())
    }

    /// The settings of the profile that holds the key.
    pub fn settings(&self) -> Result<ProfileSettings, Failed> {
        Ok(self.config.settings(self.key_profile()?, &self.env)?)
    }

    /// The state of the profile that holds the key.
    pub fn state(&self) -> Result<ProfileState, Failed> {
        Ok(ProfileState::new(&self.paths.state, self.key_profile()?))
    }

    /// The keystore that is configured; never another one.
    pub fn keystore(&self) -> Result<Box<dyn Keystore>, Failed> {
        self.keystore_for(Asker::Person)
    }

    /// The same, for who waits for it.
    pub fn keystore_for(&self, asker: Asker) -> Result<Box<dyn Keystore>, Failed> {
        let store = &self.config.store;
        Ok(match store.kind {
            StoreKind::Keyring => Box::new(Keyring::new()),
            StoreKind::File => {
                disk::create_private_dir(&self.paths.state).map_err(|error| {
                    let state = self.paths.state.display();
                    Failed::new(Exit::Failed, format!("cannot create {state}: {error}"))
                        .hint("make the folder above it writable, or set ROTAKEY_HOME")
                })?;
                let passphrase = if let Some(path) = &store.passphrase_file {
                    Passphrase::File(PathBuf::from(path))
                } else if let Some(command) = &store.passphrase_command {
                    Passphrase::Command(command.clone(), asker)
                } else if let Some(name) = &store.passphrase_credential {
                    let directory = self.env.get("CREDENTIALS_DIRECTORY").map(PathBuf::from);
                    Passphrase::Credential { directory, name: name.clone() }
                } else {
                    return Err(Failed::new(Exit::Usage, "[store] names no passphrase")
                        .hint(
                            "set passphrase_file, passphrase_command or passphrase_credential beside kind (docs/headless.md)",
                        ));
                };
                Box::new(FileKeystore::new(self.paths.state.join("keys"), passphrase))
            }
        })
    }

    /// IAM and STS, as the profile's settings say.
    pub fn service(&self, settings: &ProfileSettings) -> AwsKeyService {
        let now = || SystemClock::default().now().wall;
        AwsKeyService::new(settings.endpoints.clone(), settings.region.clone(), CALL_TIMEOUT, now)
    }

    /// The audit trail of this installation.
    pub fn audit(&self) -> Audit {
        Audit::new(self.paths.state.join("audit.jsonl"))
    }

    /// Writes an act of this command into the audit trail. For acts that must not fail because of it: a person is told.
    pub fn audited(&self, act: &str, access_key_id: Option<&AccessKeyId>, detail: &str) {
        if let Err(error) = self.audit().record(act, &self.profile, access_key_id, detail) {
            self.printer.say(&format!("warning: {act} is not in the audit trail: {error}"));
        }
    }

    /// The journal's status of the profile, which must have a key.
    pub fn status(&self) -> Result<Status, Failed> {
        let (_, status) = self.state()?.read()?;
        if status.current.is_none() {
            let message = format!("profile {} has no key", self.profile);
            return Err(Failed::new(Exit::Usage, message).hint(no_key_hint(&self.profile)));
        }
        Ok(status)
    }

    /// This installation's tag on IAM users: `rotakey:<host>-<8 hex digits>`, made once.
    pub fn install_tag(&self) -> Result<String, Failed> {
        let path = self.paths.state.join("install");
        let unusable = |error: std::io::Error| {
            Failed::new(Exit::Failed, format!("cannot use {}: {error}", path.display()))
                .hint("make the folder writable for you, or set ROTAKEY_HOME")
        };
        let known = || -> Result<Option<String>, Failed> {
            let bytes = disk::read(&path).map_err(unusable)?;
            Ok(bytes.map(|bytes| format!("rotakey:{}", String::from_utf8_lossy(&bytes).trim())))
        };
        if let Some(tag) = known()? {
            return Ok(tag);
        }
        // Of two commands that are the first, one makes it: two tags would be two installations.
        disk::create_private_dir(&self.paths.state).map_err(unusable)?;
        let _lock = disk::System
            .lock(&path.with_extension("lock"), Duration::from_secs(5))
            .and_then(|lock| lock.ok_or(std::io::ErrorKind::WouldBlock.into()))
            .map_err(unusable)?;
        if let Some(tag) = known()? {
            return Ok(tag);
        }
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let host: String =
            host.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').take(40).collect();
        let name = format!("{host}-{}", &random_hex()?[..8]);
        disk::replace(&path, name.as_bytes()).map_err(unusable)?;
        Ok(format!("rotakey:{name}"))
    }

    /// The served key of the profile, both halves.
    pub fn current(&self, keystore: &dyn Keystore) -> Result<Credentials, Failed> {
        let status = self.status()?;
        let id = status.current.map(|key| key.id).ok_or_else(|| {
            Failed::new(Exit::Usage, format!("profile {} has no key", self.profile))
        })?;
        credentials(keystore, id)
    }

    /// What signs IAM calls for one of our keys, if that takes no code: the key, or the session with MFA that is at hand.
    pub fn iam_signer_at_hand(
        &self,
        settings: &ProfileSettings,
        keystore: &dyn Keystore,
        id: &AccessKeyId,
    ) -> Option<Credentials> {
        match &settings.session.mfa {
            None => credentials(keystore, id.clone()).ok(),
            Some(device) => {
                let now = self.clock.now().wall;
                self.mfa.kept(&device.serial, id, now).map(|kept| kept.credentials)
            }
        }
    }
}

/// What to do about a profile that somebody wrote into config.toml himself.
pub(crate) fn no_key_hint(profile: &str) -> String {
    format!(
        "take [profile.{profile}] out of config.toml, `rotakey add {profile}`, then put its settings back"
    )
}

/// 16 hexadecimal digits.
pub(crate) fn random_hex() -> Result<String, Failed> {
    let mut bytes = [0u8; 8];
    getrandom::fill(&mut bytes)
        .map_err(|error| Failed::new(Exit::Failed, format!("no randomness: {error}")))?;
    Ok(hex::encode(bytes))
}

/// A key of ours, both halves.
pub fn credentials(keystore: &dyn Keystore, id: AccessKeyId) -> Result<Credentials, Failed> {
    match keystore.get(&id)? {
        Some(secret_access_key) => Ok(Credentials::long_term(id, secret_access_key)),
        None => {
            let message = format!("{} does not hold the secret of {id}", keystore.describe());
            Err(Failed::new(Exit::Unreachable, message).hint(
                "if [store] was changed, change it back; else make a new key and `rotakey add` it",
            ))
        }
    }
}
