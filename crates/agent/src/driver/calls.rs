//! What the driver asks of AWS.

use rotakey_core::credential::{AccessKeyId, Credentials};
use rotakey_core::error::Failure;
use rotakey_core::iam::{Doubt, Outcome, Refusal, RefusalClass};
use rotakey_core::journal::{Enrolment, Status};
use rotakey_core::rotation::preflight::ACTIONS;
use rotakey_core::rotation::{self, Command, Event, Fetched, Served};

use super::{Driver, Endpoint, Offered, keystore_fault, mfa};
use crate::clock::Clock;
use crate::iam::KeyService;

impl<S: KeyService, E: Endpoint, C: Clock> Driver<'_, S, E, C> {
    /// A call to AWS.
    pub(super) async fn call(&self, command: Command, whose: &Enrolment, status: &Status) -> Event {
        self.signed(command, whose, status).await.unwrap_or_else(|no_signer| *no_signer)
    }

    async fn signed(
        &self,
        command: Command,
        whose: &Enrolment,
        status: &Status,
    ) -> Result<Event, Box<Event>> {
        let (service, user) = (self.service, &whose.user);
        let is_probe = mfa::is_probe(&command, status);
        Ok(match command {
            Command::Identify { signer, region } => {
                let signer = self.signer(&signer)?;
                event(service.caller_identity(&signer, &region).await, Event::Identified)
            }
            Command::List { signer } => {
                let signer = if is_probe { self.signer(&signer) } else { self.iam_signer(&signer) };
                event(service.list_access_keys(&signer?, user).await, Event::Listed)
            }
            Command::Create { signer, rotation } => {
                let signer = self.iam_signer(&signer)?;
                let made = service.create_access_key(&signer, user, &rotation.0).await;
                event(made, Event::Created)
            }
            Command::Update { signer, id, status } => {
                let signer = self.iam_signer(&signer)?;
                changed(service.update_access_key(&signer, user, &id, status).await)
            }
            Command::Delete { signer, id } => {
                let signer = self.iam_signer(&signer)?;
                changed(service.delete_access_key(&signer, user, &id).await)
            }
            Command::LastUsed { signer, id } => {
                let signer = self.iam_signer(&signer)?;
                event(service.access_key_last_used(&signer, &id).await, Event::LastUsed)
            }
            Command::Simulate { signer } => {
                let signer = self.iam_signer(&signer)?;
                let denied = service.denied_actions(&signer, &whose.arn, &ACTIONS).await;
                // A server that does not know the call fails in its own way: the calls themselves will tell.
                match denied {
                    Outcome::Unknown(doubt) => Event::Refused(not_simulated(doubt)),
                    other => event(other, Event::Denied),
                }
            }
            Command::ListTags { signer } => {
                let signer = self.iam_signer(&signer)?;
                event(service.user_tags(&signer, user).await, Event::Tags)
            }
            Command::Tag { signer, describes } => {
                let signer = self.iam_signer(&signer)?;
                let (key, value) = match &describes {
                    Some(id) => (id.as_str(), "made by rotakey"),
                    None => (self.tag, rotation::INSTALL_TAG_VALUE),
                };
                changed(service.tag_user(&signer, user, key, value).await)
            }
            Command::Untag { signer, described } => {
                let signer = self.iam_signer(&signer)?;
                changed(service.untag_user(&signer, user, described.as_str()).await)
            }
            _ => Event::Fault(Failure::Bug("not a call to AWS".to_owned())),
        })
    }

    /// A long-term key, whose secret is read anew for every call.
    pub(super) fn signer(&self, id: &AccessKeyId) -> Result<Credentials, Box<Event>> {
        match self.keystore.get(id) {
            Ok(Some(secret_access_key)) => {
                Ok(Credentials::long_term(id.clone(), secret_access_key))
            }
            Ok(None) => {
                let store = self.keystore.describe();
                Err(Box::new(Event::Fault(Failure::Keystore(format!(
                    "{store} does not hold the secret of {id}"
                )))))
            }
            Err(error) => Err(Box::new(keystore_fault(&error))),
        }
    }

    /// Asks every enabled source, and STS who that is.
    pub(super) async fn fetch(&self) -> Vec<Fetched> {
        let region = self.policy.home_region();
        let mut fetched = Vec::new();
        for (source, offered) in self.endpoint.fetch().await {
            let served = match offered {
                Err(why) => Err(why),
                Ok(Offered { key, role_arn, identity: Some(identity), .. }) => {
                    Ok(Served { key, identity, role_arn })
                }
                Ok(Offered { credentials, key, role_arn, identity: None }) => {
                    match self.service.caller_identity(&credentials, region).await {
                        Outcome::Done(identity) => Ok(Served { key, identity, role_arn }),
                        Outcome::Refused(refusal) => Err(refusal.to_string()),
                        Outcome::Unknown(doubt) => Err(doubt.to_string()),
                    }
                }
            };
            fetched.push(Fetched { source, served });
        }
        fetched
    }
}

fn event<T>(outcome: Outcome<T>, done: impl FnOnce(T) -> Event) -> Event {
    crate::metrics::called(&outcome);
    match outcome {
        Outcome::Done(value) => done(value),
        Outcome::Refused(refusal) => Event::Refused(refusal),
        Outcome::Unknown(doubt) => Event::Unknown(doubt),
    }
}

fn changed(outcome: Outcome<()>) -> Event {
    event(outcome, |()| Event::Ready)
}

fn not_simulated(doubt: Doubt) -> Refusal {
    Refusal { class: RefusalClass::Invalid, code: "NotSimulated".to_owned(), message: doubt.reason }
}
