//! Making the calls of a plan.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use rotakey_core::credential::{AccessKeyId, Credentials, Generation};
use rotakey_core::iam::{Doubt, Outcome, Refusal, RefusalClass};
use rotakey_core::time::later;

use super::mfa::{Ask, MfaSessions, NoCode};
use super::plan::Plan;
use crate::clock::Clock;
use crate::iam::{AssumeRole, KeyService, Temporary};
use crate::store::keystore::Keystore;

/// How much must remain of a session that only signs the next call.
pub(super) const ENOUGH_TO_SIGN: Duration = Duration::from_secs(120);

/// What is to be served, and the key that it is accounted to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Minted {
    /// The long-term key at the root.
    pub key: AccessKeyId,
    /// That key's generation.
    pub generation: Generation,
    /// What programs sign with; there is a token.
    pub credentials: Credentials,
    /// When AWS ends it.
    pub expires: Timestamp,
}

/// Why there is no session.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotMinted {
    /// AWS said no: no permission, a quarantine, a key that is gone.
    #[error("AWS refused {act}: {refusal}")]
    Denied {
        /// Which call, and for what.
        act: String,
        /// AWS's words.
        refusal: Refusal,
    },
    /// It takes an MFA code, and there is none.
    #[error(transparent)]
    Mfa(#[from] NoCode),
    /// AWS does not answer, or not with a session.
    #[error("no answer to {act}: {doubt}")]
    Unreachable {
        /// Which call, and for what.
        act: String,
        /// What was seen.
        doubt: Doubt,
    },
}

impl NotMinted {
    /// What to do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::Mfa(why) => why.hint(),
            Self::Unreachable { .. } => {
                "check the network, endpoint_url in the profile, and that the server knows the call".to_owned()
            }
            Self::Denied { act, refusal } => match refusal.class {
                RefusalClass::Quarantine => {
                    "AWS found this key in public: as an admin, make a new key, delete this one, then detach the quarantine policy".to_owned()
                }
                RefusalClass::Permission if act.starts_with("sts:AssumeRole") => {
                    "check role_arn and external_id, that the role's trust policy names the signer (and MFA, if it asks for that: mfa_serial), and that the signer may sts:AssumeRole it".to_owned()
                }
                RefusalClass::Invalid if act.starts_with("sts:AssumeRole") => {
                    "check role_arn, and that the role allows sessions as long as duration".to_owned()
                }
                RefusalClass::KeyUnknown => {
                    "the key is unknown, inactive or deleted: look at the user's keys as an admin".to_owned()
                }
                RefusalClass::Clock => {
                    "this machine's clock is off: set it (timedatectl set-ntp true)".to_owned()
                }
                RefusalClass::Throttled => "AWS is busy: it is tried again".to_owned(),
                _ => "see `rotakey status` and the policies of the user".to_owned(),
            },
        }
    }
}

/// Sessions of roles that only lead to the next role, as long as they last. One for each key is enough; it forgets
/// what other keys made.
#[derive(Debug, Default)]
pub struct RoleCache(Mutex<BTreeMap<(AccessKeyId, String), Temporary>>);

impl RoleCache {
    fn find(&self, key: &AccessKeyId, way: &str, until: Timestamp) -> Option<Temporary> {
        let mut cache = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        cache.retain(|(of, _), _| of == key);
        cache.get(&(key.clone(), way.to_owned())).filter(|kept| kept.expires > until).cloned()
    }

    fn keep(&self, key: &AccessKeyId, way: &str, made: Temporary) {
        let mut cache = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        cache.insert((key.clone(), way.to_owned()), made);
    }
}

/// Makes the calls.
pub struct Minter<'a, S, C> {
    /// STS.
    pub service: &'a S,
    /// Where the seed of an MFA device may be.
    pub keystore: &'a dyn Keystore,
    /// For what is still good, and for what is waited for.
    pub clock: &'a C,
    /// Sessions made with MFA.
    pub mfa: &'a MfaSessions,
    /// How long a code may be waited for that the device only shows in the next half minute.
    pub patience: Duration,
}

impl<S: KeyService, C: Clock> Minter<'_, S, C> {
    /// Mints what `plan` leads to with a long-term key, which must be the published one.
    pub async fn mint(
        &self,
        plan: &Plan,
        key: &Credentials,
        generation: Generation,
        cache: &RoleCache,
    ) -> Result<Minted, NotMinted> {
        let mut made = match (&plan.mfa, plan.roles.is_empty()) {
            (None, false) => None,
            _ => Some(self.session(plan, key).await?),
        };
        let mut way = plan.region.clone();
        for (index, role) in plan.roles.iter().enumerate() {
            way = format!("{way} {} {} {:?}", role.role_arn, role.session_name, role.external_id);
            let is_last = index + 1 == plan.roles.len();
            let enough = ENOUGH_TO_SIGN.min(role.duration() / 4);
            let kept = cache.find(&key.access_key_id, &way, later(self.clock.now().wall, enough));
            if let Some(kept) = kept.filter(|_| !is_last) {
                made = Some(kept);
                continue;
            }
            let signer = made.as_ref().map_or(key, |made| &made.credentials);
            let asked = AssumeRole {
                role_arn: role.role_arn.clone(),
                session_name: role.session_name.clone(),
                external_id: role.external_id.clone(),
                duration: role.duration(),
                mfa: None,
            };
            let outcome = self.service.assume_role(signer, &plan.region, &asked).await;
            let next = expect(format!("sts:AssumeRole of {}", role.role_arn), outcome)?;
            if !is_last {
                cache.keep(&key.access_key_id, &way, next.clone());
            }
            made = Some(next);
        }
        let act = plan.role_arn().map_or("sts:GetSessionToken", |_| "sts:AssumeRole").to_owned();
        let now = self.clock.now().wall;
        match made {
            Some(Temporary { credentials, expires }) if expires > now => {
                Ok(Minted { key: key.access_key_id.clone(), generation, credentials, expires })
            }
            _ => {
                let reason = "what it gave is over already; is this machine's clock right?";
                let doubt = Doubt { sent: true, reason: reason.to_owned() };
                Err(NotMinted::Unreachable { act, doubt })
            }
        }
    }

    /// A session of the key's user.
    async fn session(&self, plan: &Plan, key: &Credentials) -> Result<Temporary, NotMinted> {
        let (region, duration) = (plan.region.as_str(), plan.session_duration);
        let Some(device) = &plan.mfa else {
            let outcome = self.service.get_session_token(key, region, duration, None).await;
            return expect("sts:GetSessionToken".to_owned(), outcome);
        };
        let enough = match plan.roles.is_empty() {
            true => plan.margin(),
            false => ENOUGH_TO_SIGN.min(duration / 4),
        };
        let ask = Ask {
            device,
            region,
            duration,
            enough,
            patience: self.patience,
            service: self.service,
            keystore: self.keystore,
            clock: self.clock,
        };
        self.mfa.session(&ask, key).await
    }
}

/// The session, or why there is none.
pub(super) fn expect(act: String, outcome: Outcome<Temporary>) -> Result<Temporary, NotMinted> {
    match outcome {
        Outcome::Done(made) => Ok(made),
        Outcome::Refused(refusal) => Err(NotMinted::Denied { act, refusal }),
        Outcome::Unknown(doubt) => Err(NotMinted::Unreachable { act, doubt }),
    }
}
