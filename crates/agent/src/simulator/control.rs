//! What the people behind the account can do without a signature: set scenes, and look behind them.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use rotakey_core::credential::{KeyStatus, SecretAccessKey};
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

use super::account::{Key, State, User};
use super::answer::UserRow;
use super::behaviour::Fault;
use super::identity::Identity;
use super::message::ApiError;
use super::mfa::Device;
use super::roles::Trust;
use super::state::{Simulator, whole_seconds};

/// An order to the simulator itself, as JSON: `{"op": "create-user", "user": "app"}`.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "op", rename_all = "kebab-case")]
pub enum Command {
    /// Makes a user; answers its `arn`.
    CreateUser {
        /// Its name.
        user: String,
        /// Its path.
        #[serde(default = "root_path")]
        path: String,
    },
    /// Makes a key, within the quota; answers `access_key_id` and `secret_access_key`.
    CreateKey {
        /// The owner.
        user: String,
    },
    /// Takes over a key that was made elsewhere or long ago, within the quota. Every vantage knows it at once.
    ImportKey {
        /// The owner.
        user: String,
        /// Which; no key, deleted or not, may have had that id.
        access_key_id: String,
        /// What it signs with.
        #[serde(deserialize_with = "secret")]
        secret_access_key: SecretAccessKey,
        /// `Active` or `Inactive`.
        status: KeyStatus,
        /// Its `CreateDate`, by the server's clock.
        created: Timestamp,
    },
    /// Activates or deactivates a key.
    SetKeyStatus {
        /// Which.
        access_key_id: String,
        /// `Active` or `Inactive`.
        status: KeyStatus,
    },
    /// Deletes a key.
    DeleteKey {
        /// Which.
        access_key_id: String,
    },
    /// The true keys of one user, or of all.
    Keys {
        /// Whose.
        #[serde(default)]
        user: Option<String>,
    },
    /// Uses a key as some other program would; answers whether it was `accepted`.
    UseKey {
        /// Which.
        access_key_id: String,
        /// At which service.
        service: String,
        /// In which region.
        region: String,
    },
    /// Merges `set` into the behaviour and answers the whole of it.
    Behaviour {
        /// Members of [`super::Behaviour`].
        #[serde(default)]
        set: Value,
    },
    /// Scripts a fault.
    Fault {
        /// The action, or `*`.
        action: String,
        /// What goes wrong.
        #[serde(flatten)]
        fault: Fault,
        /// How many calls go wrong.
        #[serde(default = "once")]
        times: u32,
        /// How many calls go right before.
        #[serde(default)]
        after: u32,
    },
    /// Forgets the faults not yet met.
    ClearFaults,
    /// Sets what a user may not do, in place of what was set before.
    Deny {
        /// Whom.
        user: String,
        /// Such as `iam:CreateAccessKey`; `iam:` may be left out.
        actions: Vec<String>,
    },
    /// Gives a user a policy that is all it may do in IAM from then on; what else policies deny is denied still.
    Policy {
        /// Whom.
        user: String,
        /// The document, as IAM takes it.
        document: Value,
    },
    /// Puts a user under AWS's quarantine for leaked keys, or takes it off.
    Quarantine {
        /// Whom.
        user: String,
        /// Whether.
        #[serde(default = "yes")]
        on: bool,
    },
    /// Makes a role; answers its `arn`.
    CreateRole {
        /// Its name.
        role: String,
        /// Its path.
        #[serde(default = "root_path")]
        path: String,
        /// Who may take it on: ARNs of users, roles, sessions of roles or the account's root, or `*`.
        trust: Vec<String>,
        /// What `AssumeRole` has to give, if anything.
        #[serde(default)]
        external_id: Option<String>,
        /// The longest session that may be asked for.
        #[serde(default = "hour")]
        max_session_seconds: u64,
        /// Whether only those who signed with MFA may take it on.
        #[serde(default)]
        requires_mfa: bool,
    },
    /// Gives a user a virtual MFA device; answers its `serial`.
    MfaDevice {
        /// Whom.
        user: String,
        /// What it makes its codes from, in Base32.
        #[serde(deserialize_with = "secret")]
        seed: SecretAccessKey,
    },
    /// Denies IAM to a user's calls that are signed without MFA, or no more.
    RequireMfa {
        /// Whose.
        user: String,
        /// Whether.
        #[serde(default = "yes")]
        on: bool,
    },
    /// The sessions not yet at their end.
    Sessions {},
    /// The events since number `from`, as far back as the log goes; `next` is where to go on from.
    Log {
        /// How many to leave out, of all that there ever were.
        #[serde(default)]
        from: usize,
    },
    /// Sets the server's clock ahead of the true time (negative: behind).
    ClockOffset {
        /// By how much.
        milliseconds: i64,
    },
}

fn root_path() -> String {
    "/".to_owned()
}

fn hour() -> u64 {
    3600
}

fn once() -> u32 {
    1
}

fn yes() -> bool {
    true
}

/// Secrets do not deserialise by themselves: it shows where one comes in.
fn secret<'de, D: Deserializer<'de>>(from: D) -> Result<SecretAccessKey, D::Error> {
    String::deserialize(from).map(SecretAccessKey::new)
}

impl Simulator {
    /// Carries an order out. Answers a JSON object; says why not in words.
    pub fn control(&mut self, now: Timestamp, command: Command) -> Result<Value, String> {
        self.obey(now, command).map_err(|error| format!("{}: {}", error.code, error.message))
    }

    fn obey(&mut self, now: Timestamp, command: Command) -> Result<Value, ApiError> {
        match command {
            Command::CreateUser { user, path } => {
                self.create_user(now, &user, &path).map(|arn| json!({ "arn": arn }))
            }
            Command::CreateKey { user } => {
                let (row, secret) = self.create(now, &user)?;
                let created = row.created.to_string();
                Ok(
                    json!({ "access_key_id": row.id, "secret_access_key": secret, "created": created }),
                )
            }
            Command::ImportKey { user, access_key_id, secret_access_key, status, created } => {
                let secret = secret_access_key.expose().to_owned();
                let created = whole_seconds(created);
                let state = State::from(status);
                let key = Key::imported(access_key_id, secret, &user, created, state);
                self.import(key).map(|()| json!({}))
            }
            Command::SetKeyStatus { access_key_id, status } => {
                self.set_key(now, &access_key_id, None, status.into()).map(|()| json!({}))
            }
            Command::DeleteKey { access_key_id } => {
                self.set_key(now, &access_key_id, None, State::Deleted).map(|()| json!({}))
            }
            Command::Keys { user } => Ok(json!({ "keys": self.true_keys(user.as_deref()) })),
            Command::UseKey { access_key_id, service, region } => {
                let accepted = self.accepts(now, &access_key_id, &service, &region);
                if accepted {
                    self.record_use(now, &access_key_id, &service, &region);
                }
                Ok(json!({ "accepted": accepted }))
            }
            Command::Behaviour { set } => {
                let merged = self.behaviour.merged(&set);
                self.behaviour = merged.map_err(|error| ApiError::invalid(error.to_string()))?;
                Ok(json!({ "behaviour": self.behaviour }))
            }
            Command::Fault { action, fault, times, after } => {
                self.script(&action, fault, times, after);
                Ok(json!({}))
            }
            Command::ClearFaults => {
                self.clear_faults();
                Ok(json!({}))
            }
            Command::Deny { user, actions } => {
                let whole = |action: String| match action.contains(':') {
                    true => action,
                    false => format!("iam:{action}"),
                };
                self.user_mut(&user)?.denied = actions.into_iter().map(whole).collect();
                Ok(json!({}))
            }
            Command::Policy { user, document } => {
                let identity = Identity::parse(&document).map_err(ApiError::invalid)?;
                self.user_mut(&user)?.identity = Some(identity);
                Ok(json!({}))
            }
            Command::Quarantine { user, on } => {
                self.user_mut(&user)?.quarantined = on;
                Ok(json!({}))
            }
            Command::CreateRole {
                role,
                path,
                trust,
                external_id,
                max_session_seconds,
                requires_mfa,
            } => {
                let max_seconds = max_session_seconds;
                let policy = Trust { principals: trust, external_id, max_seconds, requires_mfa };
                self.create_role(&role, &path, policy).map(|arn| json!({ "arn": arn }))
            }
            Command::MfaDevice { user, seed } => {
                let serial = self.arn(&format!("mfa/{user}"));
                let device = Device::new(serial.clone(), seed);
                let device = device.map_err(|error| ApiError::invalid(error.to_string()))?;
                self.user_mut(&user)?.mfa = Some(device);
                Ok(json!({ "serial": serial }))
            }
            Command::RequireMfa { user, on } => {
                self.user_mut(&user)?.requires_mfa = on;
                Ok(json!({}))
            }
            Command::Sessions {} => Ok(json!({ "sessions": self.living_sessions(now) })),
            Command::Log { from } => {
                let (start, next) = (self.log_start, self.log_start + self.log.len());
                let events: Vec<_> = self.log.iter().skip(from.saturating_sub(start)).collect();
                Ok(json!({ "events": events, "next": next }))
            }
            Command::ClockOffset { milliseconds } => {
                self.behaviour.server_offset = milliseconds;
                Ok(json!({}))
            }
        }
    }

    fn import(&mut self, key: Key) -> Result<(), ApiError> {
        self.check_quota(&key.user)?;
        if self.key(&key.id).is_some() {
            let message = format!("Access key {} already exists.", key.id);
            return Err(ApiError::new(409, "EntityAlreadyExists", message));
        }
        // Lists are in the order of creation.
        let at = self.keys.partition_point(|other| other.created <= key.created);
        self.keys.insert(at, key);
        Ok(())
    }

    fn create_user(&mut self, now: Timestamp, name: &str, path: &str) -> Result<String, ApiError> {
        if self.users.contains_key(name) {
            let message = format!("User with name {name} already exists.");
            return Err(ApiError::new(409, "EntityAlreadyExists", message));
        }
        if !(path.starts_with('/') && path.ends_with('/')) {
            return Err(ApiError::invalid("a path begins and ends with '/'"));
        }
        let arn = self.arn(&format!("user{path}{name}"));
        let row = UserRow {
            name: name.to_owned(),
            path: path.to_owned(),
            id: self.lot.id(self.behaviour.seed, "AIDA"),
            arn: arn.clone(),
            created: whole_seconds(self.server_time(now)),
        };
        let user = User {
            row,
            tags: BTreeMap::new(),
            denied: BTreeSet::new(),
            quarantined: false,
            identity: None,
            inline: BTreeMap::new(),
            mfa: None,
            requires_mfa: false,
        };
        self.users.insert(name.to_owned(), user);
        Ok(arn)
    }

    fn true_keys(&self, user: Option<&str>) -> Vec<Value> {
        let wanted = self.keys.iter().filter(|key| user.is_none_or(|user| user == key.user));
        let alive = wanted.filter_map(|key| Some((key, key.state().status()?)));
        alive
            .map(|(key, status)| {
                let created = key.created.to_string();
                json!({ "user": key.user, "access_key_id": key.id, "status": status, "created": created })
            })
            .collect()
    }
}
