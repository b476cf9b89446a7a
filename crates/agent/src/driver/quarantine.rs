//! A denial that comes from AWS's quarantine for leaked keys, told from any other.
//!
//! AWS does not always name the policy that an explicit deny comes from; the policies on the user do. The quarantine
//! itself lets them be listed.

use rotakey_core::credential::AccessKeyId;
use rotakey_core::iam::{Outcome, RefusalClass};
use rotakey_core::rotation::{Command, Event};

use super::{Driver, Endpoint};
use crate::clock::Clock;
use crate::iam::KeyService;

/// What the names of AWS's policies for leaked keys begin with; a version follows (`V2`, `V3`).
pub const POLICY: &str = "AWSCompromisedKeyQuarantine";

/// The words of a denial that a policy asks for.
const EXPLICIT: &str = "explicit deny";

/// Who signs a change that the quarantine would deny.
pub(super) fn signer_of_change(command: &Command) -> Option<AccessKeyId> {
    match command {
        Command::Create { signer, .. }
        | Command::Update { signer, .. }
        | Command::Delete { signer, .. } => Some(signer.clone()),
        _ => None,
    }
}

impl<S: KeyService, E: Endpoint, C: Clock> Driver<'_, S, E, C> {
    /// The same event; or, if it is a denial and the user is under quarantine, one that says so.
    pub(super) async fn told_quarantine(
        &self,
        signer: Option<AccessKeyId>,
        user: &str,
        event: Event,
    ) -> Event {
        let (Event::Refused(mut refusal), Some(signer)) = (event.clone(), signer) else {
            return event;
        };
        if refusal.class != RefusalClass::Permission || !refusal.message.contains(EXPLICIT) {
            return event;
        }
        let Ok(signer) = self.iam_signer(&signer) else { return event };
        let Outcome::Done(policies) = self.service.attached_policies(&signer, user).await else {
            return event;
        };
        let Some(policy) = policies.iter().find(|name| name.starts_with(POLICY)) else {
            return event;
        };
        refusal.class = RefusalClass::Quarantine;
        refusal.message = format!("{} ({policy} is attached to {user})", refusal.message);
        Event::Refused(refusal)
    }
}
