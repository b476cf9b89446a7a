//! Where a code comes from: a person who just gave one, `mfa_process`, or the seed in the keystore.

use std::time::Duration;

use jiff::Timestamp;
use rotakey_core::credential::AccessKeyId;
use rotakey_core::time::later;
use sha2::{Digest, Sha256};

use super::{Ask, Device, lock, process};
use crate::clock::Clock;
use crate::iam::MfaCode;
use crate::totp;

/// How long a code is shown (RFC 6238's default, and that of AWS's virtual devices).
pub const CODE_LIVES: Duration = Duration::from_secs(30);

/// A person's code is not kept for longer: AWS takes it for about that time after it is shown.
const PERSONS_CODE_LIVES: Duration = Duration::from_secs(60);

/// What was used already.
#[derive(Debug, Default)]
pub(super) struct Used {
    /// The half minute since 1970 whose code was made of the seed.
    step: Option<i64>,
    /// What the command printed.
    printed: Option<MfaCode>,
    /// How many codes in a row AWS did not take.
    pub(super) refused: u32,
}

/// Why there is no code.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoCode {
    /// Only a person has the device.
    #[error("it takes a code of the MFA device {serial}")]
    Person {
        /// The profile that names the device.
        profile: String,
        /// The device.
        serial: String,
    },
    /// The command fails.
    #[error("mfa_process of {profile} gives no code: {reason}")]
    Process {
        /// The profile that names the device.
        profile: String,
        /// What was seen; never what it printed.
        reason: String,
    },
    /// The keystore, or what it holds, cannot be used.
    #[error("the MFA seed of {profile} cannot be used: {reason}")]
    Seed {
        /// The profile that names the device.
        profile: String,
        /// What was seen.
        reason: String,
    },
    /// The code of this half minute is used.
    #[error("the MFA code of this half minute is used already")]
    NotYet {
        /// When there is another one.
        until: Timestamp,
    },
    /// AWS does not take it.
    #[error("AWS does not take the MFA code: {reason}")]
    NotTaken {
        /// The profile that names the device.
        profile: String,
        /// AWS's words.
        reason: String,
    },
}

impl NoCode {
    /// What to do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::Person { profile, .. } => format!(
                "`rotakey mfa {profile}` hands a code to the agent; mfa_process or `rotakey mfa {profile} --totp-seed-stdin` does without a person"
            ),
            Self::Process { profile, .. } => format!(
                "run the command of mfa_process by hand: it must print six digits within 30s; or `rotakey mfa {profile}`"
            ),
            Self::Seed { profile, .. } => {
                format!(
                    "unlock the keystore, or `rotakey mfa {profile} --forget` and give the seed again"
                )
            }
            Self::NotYet { .. } => {
                "try again in half a minute; an agent keeps one session for hours".to_owned()
            }
            Self::NotTaken { profile, .. } => format!(
                "check mfa_serial and this machine's clock; each code works once: `rotakey mfa {profile}` takes the next one"
            ),
        }
    }
}

/// The id of the keystore's item that holds the seed of a profile's device.
pub fn seed_id(profile: &str) -> AccessKeyId {
    let name = hex::encode(&Sha256::digest(profile.as_bytes())[..8]);
    format!("rotakey-totp-{name}").parse().expect("letters, digits and '-' make an id")
}

impl Device {
    /// A code that was not used before, and whether a person gave it.
    pub(super) async fn code<S, C: Clock>(
        &self,
        ask: &Ask<'_, S, C>,
        used: &mut Used,
    ) -> Result<(MfaCode, bool), NoCode> {
        let now = ask.clock.now().wall;
        if let Some((code, at)) = lock(&self.given).take()
            && now < later(at, PERSONS_CODE_LIVES)
        {
            return Ok((code, true));
        }
        if let Some(command) = &ask.device.process {
            return Ok((printed(ask, command, used).await?, false));
        }
        let profile = ask.device.profile.clone();
        let unusable = |reason| NoCode::Seed { profile: profile.clone(), reason };
        let seed = ask.keystore.get(&seed_id(&profile)).map_err(|e| unusable(e.to_string()))?;
        let Some(seed) = seed else {
            return Err(NoCode::Person { profile, serial: ask.device.serial.clone() });
        };
        if used.step.is_some_and(|step| step >= step_at(now)) {
            next_code(ask).await?;
        }
        let now = ask.clock.now().wall;
        let code = totp::code(seed.expose(), now).map_err(|error| unusable(error.to_string()))?;
        used.step = Some(step_at(now));
        Ok((MfaCode::new(&code).map_err(|error| unusable(error.to_string()))?, false))
    }
}

/// What the command prints. The same code as last time is what the device shows still.
async fn printed<S, C: Clock>(
    ask: &Ask<'_, S, C>,
    command: &str,
    used: &mut Used,
) -> Result<MfaCode, NoCode> {
    let unusable = |reason| NoCode::Process { profile: ask.device.profile.clone(), reason };
    let mut code = process::run(command).await.map_err(unusable)?;
    if used.printed.as_ref() == Some(&code) {
        next_code(ask).await?;
        code = process::run(command).await.map_err(unusable)?;
        if used.printed.as_ref() == Some(&code) {
            return Err(unusable("it printed a code that is used already".to_owned()));
        }
    }
    used.printed = Some(code.clone());
    Ok(code)
}

/// Waits for the half minute after this one.
async fn next_code<S, C: Clock>(ask: &Ask<'_, S, C>) -> Result<(), NoCode> {
    let now = ask.clock.now().wall;
    let seconds = (step_at(now) + 1).saturating_mul(CODE_LIVES.as_secs().cast_signed());
    let until = Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX);
    if until > later(now, ask.patience) {
        return Err(NoCode::NotYet { until });
    }
    ask.clock.sleep_until(until).await;
    Ok(())
}

fn step_at(now: Timestamp) -> i64 {
    now.as_second().div_euclid(CODE_LIVES.as_secs().cast_signed())
}
