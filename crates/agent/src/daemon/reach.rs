//! Asking AWS before a rotation does: is it there, do the clocks agree, and does it take what is served?

use std::time::Duration;

use rotakey_core::credential::Credentials;
use rotakey_core::iam::{Outcome, RefusalClass, Vantage};
use rotakey_core::time::later;

use super::schedule::Health;
use crate::clock::Clock;
use crate::driver::Came;
use crate::iam::KeyService;

/// Most of AWS's services refuse a request whose time is off by 5 minutes.
const SKEW_MAX: Duration = Duration::from_secs(4 * 60);

/// Whether AWS is there and the clocks agree, by one call that changes nothing: `Err` says what is the matter. What AWS
/// thinks of the signer is for the engine to see.
pub async fn reach(
    service: &impl KeyService,
    clock: &impl Clock,
    signer: &Credentials,
    user: &str,
) -> Result<(), Came> {
    match service.list_access_keys(signer, user).await {
        Outcome::Unknown(doubt) => Err(Came::Offline(doubt.to_string())),
        Outcome::Refused(refusal) if refusal.class == RefusalClass::Clock => {
            Err(Came::Clock(format!("AWS refuses the time of our requests: {refusal}")))
        }
        Outcome::Refused(refusal) if refusal.class.is_transient() => {
            Err(Came::Offline(refusal.to_string()))
        }
        Outcome::Refused(_) => Ok(()),
        Outcome::Done(list) => {
            let (ours, theirs) = (clock.now().wall, list.server_time);
            let (ahead, behind) = (ours > later(theirs, SKEW_MAX), theirs > later(ours, SKEW_MAX));
            if !ahead && !behind {
                return Ok(());
            }
            let off = Duration::try_from(ours.duration_since(theirs).abs()).unwrap_or_default();
            let off = crate::config::duration::format(Duration::from_secs(off.as_secs()));
            let side = if ahead { "ahead of" } else { "behind" };
            Err(Came::Clock(format!("this machine's clock is {off} {side} AWS's")))
        }
    }
}

/// Whether AWS takes what is served, wherever it has to.
pub async fn health(
    service: &impl KeyService,
    vantages: &[Vantage],
    served: &Credentials,
    user: &str,
) -> Health {
    let mut health = Health::Good;
    for vantage in vantages {
        let (refusal, doubt) = match vantage {
            Vantage::Sts(region) => sides(service.caller_identity(served, region).await),
            Vantage::Iam => sides(service.list_access_keys(served, user).await),
        };
        match refusal {
            Some(refusal)
                if matches!(
                    refusal.class,
                    RefusalClass::KeyUnknown | RefusalClass::WrongSecret
                ) =>
            {
                let id = &served.access_key_id;
                return Health::Refused(format!("{vantage} refuses {id} ({})", refusal.code));
            }
            _ if doubt => health = Health::Unknown,
            _ => {}
        }
    }
    health
}

fn sides<T>(outcome: Outcome<T>) -> (Option<rotakey_core::iam::Refusal>, bool) {
    match outcome {
        Outcome::Done(_) => (None, false),
        Outcome::Refused(refusal) => (Some(refusal), false),
        Outcome::Unknown(_) => (None, true),
    }
}
