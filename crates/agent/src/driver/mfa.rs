//! IAM calls of a user whose policy asks for MFA: each is signed with an MFA session of the key that would sign it.
//!
//! `GetCallerIdentity` stays with the bare key: it needs no permission, and it is the key that is to be proved. So do
//! the probes of a key that is not served yet, since whoever is told that he may not was recognised.

use std::time::Duration;

use jiff::Timestamp;
use rotakey_core::credential::{AccessKeyId, Credentials};
use rotakey_core::iam::Doubt;
use rotakey_core::journal::Status;
use rotakey_core::rotation::{Command, Event, WaitingFor};
use rotakey_core::time::later;

use super::{Driver, Endpoint};
use crate::clock::Clock;
use crate::iam::KeyService;
use crate::session::mfa::Ask;
use crate::session::{NoCode, NotMinted};

/// How much of a session must be left for an order, so that one is there for the few that follow it at once.
const ENOUGH: Duration = Duration::from_secs(300);

/// How often is looked whether there is a code by now, if nobody says so.
const AGAIN: Duration = Duration::from_secs(30);

/// Whether an order can be carried out.
pub(super) enum Ready {
    /// It can.
    Yes,
    /// There is no session, and this is what came of it.
    No(Event),
    /// There is no code: not before then, unless one is given.
    NotBefore(Timestamp, WaitingFor),
}

impl<S: KeyService, E: Endpoint, C: Clock> Driver<'_, S, E, C> {
    /// Sees to it that there is a session to sign an order with, if it takes one.
    pub(super) async fn ready(&self, command: &Command, status: &Status) -> Ready {
        let Some((signing, signer)) = self.mfa.zip(iam_signer(command)) else { return Ready::Yes };
        if is_probe(command, status) {
            return Ready::Yes;
        }
        let is_kept = || {
            let now = self.clock.now().wall;
            signing.sessions.kept(&signing.device.serial, signer, now).is_some()
        };
        // Its intent is on disk, and says when it is sent: now or not at all.
        if matches!(command, Command::Create { .. }) {
            return if is_kept() {
                Ready::Yes
            } else {
                not_sent("there is no MFA session any more")
            };
        }
        let key = match self.signer(signer) {
            Ok(key) => key,
            Err(event) => return Ready::No(*event),
        };
        let ask = Ask {
            device: signing.device,
            region: self.policy.home_region(),
            duration: signing.duration,
            enough: ENOUGH.min(signing.duration / 4),
            patience: Duration::ZERO,
            service: self.service,
            keystore: self.keystore,
            clock: self.clock,
        };
        match signing.sessions.session(&ask, &key).await {
            Ok(_) => Ready::Yes,
            Err(_) if is_kept() => Ready::Yes,
            Err(NotMinted::Mfa(NoCode::NotYet { until })) => {
                Ready::NotBefore(until, WaitingFor::NextMfaCode)
            }
            Err(NotMinted::Mfa(why)) => {
                let until = later(self.clock.now().wall, AGAIN);
                Ready::NotBefore(until, WaitingFor::Mfa(why.to_string()))
            }
            Err(NotMinted::Denied { refusal, .. }) => Ready::No(Event::Refused(refusal)),
            Err(why @ NotMinted::Unreachable { .. }) => not_sent(&why.to_string()),
        }
    }

    /// Waits until then, or until somebody gives a code.
    pub(super) async fn wait_for_code(&self, until: Timestamp) {
        let Some(signing) = self.mfa else { return self.clock.sleep_until(until).await };
        tokio::select! {
            () = self.clock.sleep_until(until) => {}
            () = signing.sessions.given(&signing.device.serial) => {}
        }
    }

    /// What signs an IAM call. The key's own secret is read from the keystore in any case: that it is still kept is
    /// what a call with the key has to prove.
    pub(super) fn iam_signer(&self, id: &AccessKeyId) -> Result<Credentials, Box<Event>> {
        let key = self.signer(id)?;
        let Some(signing) = self.mfa else { return Ok(key) };
        let now = self.clock.now().wall;
        let kept = signing.sessions.kept(&signing.device.serial, id, now);
        Ok(kept.map_or(key, |kept| kept.credentials))
    }
}

/// The call to IAM never left.
fn not_sent(reason: &str) -> Ready {
    Ready::No(Event::Unknown(Doubt { sent: false, reason: reason.to_owned() }))
}

/// Who signs a call to IAM.
fn iam_signer(command: &Command) -> Option<&AccessKeyId> {
    match command {
        Command::List { signer }
        | Command::Create { signer, .. }
        | Command::Update { signer, .. }
        | Command::Delete { signer, .. }
        | Command::LastUsed { signer, .. }
        | Command::Simulate { signer }
        | Command::ListTags { signer }
        | Command::Tag { signer, .. }
        | Command::Untag { signer, .. } => Some(signer),
        _ => None,
    }
}

/// Whether an order is to prove a key alive that is not served yet. A session of it would prove nothing.
pub(super) fn is_probe(command: &Command, status: &Status) -> bool {
    let (Command::List { signer }, Some(open)) = (command, &status.rotation) else { return false };
    let is_incoming = open.incoming.as_ref().is_some_and(|key| key.id == *signer);
    is_incoming && open.survivor().id != *signer
}

#[cfg(all(test, feature = "demo"))]
mod tests;
