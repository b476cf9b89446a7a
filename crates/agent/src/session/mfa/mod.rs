//! Sessions made with MFA: one for each key and device, in memory, used for everything until it ends.
//!
//! IAM calls of users whose policy asks for MFA are signed with them, and roles are assumed with them. A code makes
//! one session, and no code is used twice: AWS refuses the second use.

mod codes;
mod process;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use rotakey_core::credential::{AccessKeyId, Credentials};
use rotakey_core::iam::{Outcome, Refusal};
use rotakey_core::time::later;
use tokio::sync::Notify;

use self::codes::Used;
pub use self::codes::{CODE_LIVES, NoCode, seed_id};
use super::mint::{NotMinted, expect};
use crate::clock::Clock;
use crate::config::MfaSettings;
use crate::iam::{KeyService, Mfa, MfaCode, Temporary};
use crate::store::keystore::Keystore;

/// What is left of a session while it is still used if there is no code for the next one.
const LAST_USE: Duration = Duration::from_secs(30);

/// The sessions of all devices.
#[derive(Debug, Default)]
pub struct MfaSessions {
    devices: Mutex<BTreeMap<String, Arc<Device>>>,
}

#[derive(Default)]
struct Device {
    sessions: Mutex<BTreeMap<AccessKeyId, Temporary>>,
    /// A person's, and when it was given.
    given: Mutex<Option<(MfaCode, Timestamp)>>,
    was_given: Notify,
    /// Held while a code is got and spent: one at a time.
    spending: tokio::sync::Mutex<Used>,
}

impl fmt::Debug for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Device")
    }
}

/// How calls are signed that need MFA.
#[derive(Clone, Copy, Debug)]
pub struct Signing<'a> {
    /// The sessions there are.
    pub sessions: &'a MfaSessions,
    /// The user's device.
    pub device: &'a MfaSettings,
    /// The life of a new session.
    pub duration: Duration,
}

/// What a session is asked for with.
pub struct Ask<'a, S, C> {
    /// The device.
    pub device: &'a MfaSettings,
    /// Whose STS.
    pub region: &'a str,
    /// The life of a new session.
    pub duration: Duration,
    /// A session that lasts longer than this is good enough.
    pub enough: Duration,
    /// How long the device's next code may be waited for.
    pub patience: Duration,
    /// STS.
    pub service: &'a S,
    /// Where the device's seed may be.
    pub keystore: &'a dyn Keystore,
    /// The clocks.
    pub clock: &'a C,
}

impl MfaSessions {
    /// A person gave a code. Whoever waits for one is woken, and the next session is made with it.
    pub fn give(&self, serial: &str, code: MfaCode, now: Timestamp) {
        let device = self.device(serial);
        *lock(&device.given) = Some((code, now));
        device.was_given.notify_one();
    }

    /// Forgets all sessions: AWS refuses those that were revoked.
    pub fn forget(&self) {
        for device in lock(&self.devices).values() {
            lock(&device.sessions).clear();
        }
    }

    /// Returns once somebody gives a code of this device, or has given one that is not used yet.
    pub async fn given(&self, serial: &str) {
        self.device(serial).was_given.notified().await;
    }

    /// A session of a key that lasts for more than `ask.enough`: a kept one, or a new one for a code.
    pub async fn session<S: KeyService, C: Clock>(
        &self,
        ask: &Ask<'_, S, C>,
        key: &Credentials,
    ) -> Result<Temporary, NotMinted> {
        let device = self.device(&ask.device.serial);
        let id = &key.access_key_id;
        let enough = |device: &Device| device.kept(id, later(ask.clock.now().wall, ask.enough));
        if let Some(kept) = enough(&device) {
            return Ok(kept);
        }
        let mut used = device.spending.lock().await;
        if let Some(kept) = enough(&device) {
            return Ok(kept);
        }
        let made = device.make(ask, key, &mut used).await?;
        let mut sessions = lock(&device.sessions);
        let now = ask.clock.now().wall;
        sessions.retain(|_, kept| kept.expires > now);
        sessions.insert(id.clone(), made.clone());
        Ok(made)
    }

    /// The kept session of a key, if it lasts for a moment still.
    pub fn kept(&self, serial: &str, key: &AccessKeyId, now: Timestamp) -> Option<Temporary> {
        self.device(serial).kept(key, later(now, LAST_USE))
    }

    fn device(&self, serial: &str) -> Arc<Device> {
        Arc::clone(lock(&self.devices).entry(serial.to_owned()).or_default())
    }
}

impl Device {
    fn kept(&self, key: &AccessKeyId, until: Timestamp) -> Option<Temporary> {
        lock(&self.sessions).get(key).filter(|kept| kept.expires > until).cloned()
    }

    /// Spends a code. One that AWS does not take may have been used elsewhere, in this half minute: then the next
    /// one is tried, once.
    async fn make<S: KeyService, C: Clock>(
        &self,
        ask: &Ask<'_, S, C>,
        key: &Credentials,
        used: &mut Used,
    ) -> Result<Temporary, NotMinted> {
        loop {
            let (code, is_of_a_person) = self.code(ask, used).await?;
            let mfa = Mfa { serial: ask.device.serial.clone(), code };
            let service = ask.service;
            let given = service.get_session_token(key, ask.region, ask.duration, Some(&mfa)).await;
            match given {
                Outcome::Refused(refusal) if is_about_the_code(&refusal) => {
                    used.refused += 1;
                    if used.refused > 1 || is_of_a_person {
                        used.refused = 0;
                        let (profile, reason) = (ask.device.profile.clone(), refusal.message);
                        return Err(NoCode::NotTaken { profile, reason }.into());
                    }
                }
                outcome => {
                    used.refused = 0;
                    return expect("sts:GetSessionToken with MFA".to_owned(), outcome);
                }
            }
        }
    }
}

/// AWS's words begin with "MultiFactorAuthentication failed" for a wrong code, a used one and a wrong device.
fn is_about_the_code(refusal: &Refusal) -> bool {
    refusal.message.contains("MultiFactorAuthentication")
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
