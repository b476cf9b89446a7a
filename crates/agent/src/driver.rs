//! The driver: carries out what the engine orders, and feeds back what came of it.
//!
//! Append, sync, act, feed back. Every secret is read from the keystore anew for every call.

mod calls;
mod came;
mod mfa;
pub mod quarantine;

use std::time::Duration;

use jiff::Timestamp;
use rotakey_core::credential::{AccessKeyId, Credentials};
use rotakey_core::error::Failure;
use rotakey_core::iam::CallerIdentity;
use rotakey_core::journal::{Open, Record, Status};
use rotakey_core::lease::Ledger;
use rotakey_core::policy::Policy;
use rotakey_core::rotation::{Command, Ending, Event, Rotation, WaitingFor};
use rotakey_core::time::later;

pub use self::came::Came;
use self::mfa::Ready;
use crate::clock::Clock;
use crate::iam::KeyService;
use crate::session::Signing;
use crate::store::keystore::{self, Keystore};
use crate::store::profile::{Journal, ProfileState, StateError};

/// How long a wait goes on before it is looked whether it is still wanted.
const SLICE: Duration = Duration::from_secs(1);

/// Fetches credentials the way programs do.
pub trait Endpoint {
    /// Another key is served from now on: the ledger says so. Whoever serves from memory is told, and has taken
    /// it up when this returns. That it has, only [`fetch`](Self::fetch) proves.
    fn published(&self) -> impl Future<Output = ()>;

    /// Asks every enabled source; each answers by its name.
    fn fetch(&self) -> impl Future<Output = Vec<(String, Result<Offered, String>)>>;

    /// When the present uninterrupted serving began. `None` if nobody keeps count, because each answer is
    /// given by a process of its own.
    fn healthy_since(&self) -> impl Future<Output = Option<Timestamp>>;

    /// When the proxy last signed with the key that is not served. `None` if it did not, or nobody goes through one.
    fn fell_over(&self) -> impl Future<Output = Option<Timestamp>> {
        std::future::ready(None)
    }
}

/// What a source gave.
#[derive(Debug)]
pub struct Offered {
    /// What programs sign with.
    pub credentials: Credentials,
    /// The key it is, or was minted from.
    pub key: AccessKeyId,
    /// The role that the source is meant to serve, if it is one.
    pub role_arn: Option<String>,
    /// Who STS said that is, if the source gives nothing and was asked through.
    pub identity: Option<CallerIdentity>,
}

impl From<Credentials> for Offered {
    fn from(credentials: Credentials) -> Self {
        let key = credentials.access_key_id.clone();
        Self { key, credentials, role_arn: None, identity: None }
    }
}

/// Sees what happens, to tell a person.
pub trait Observer {
    /// A record was written, and this is what the journal amounts to.
    fn advanced(&mut self, status: &Status);

    /// A wait begins. False ends the drive.
    fn waits(&mut self, until: Timestamp, waiting_for: &WaitingFor) -> bool;

    /// Until when a record may not be written, if it may not be now: the drive then ends before it.
    fn holds_back(&mut self, status: &Status, record: &Record) -> Option<Timestamp> {
        let _ = (status, record);
        None
    }

    /// Whether uses of the old key from outside are to be let pass, as far as they were told.
    fn lets_uses_pass(&self) -> bool {
        false
    }

    /// Whether the process is to end: the drive then stops before the next order, as if it had crashed there.
    fn is_over(&self) -> bool {
        false
    }
}

/// Why the driver came back.
#[derive(Clone, Debug)]
pub enum Stop {
    /// The engine has no more orders.
    Ending(Ending),
    /// What was asked for is reached; the rotation may be open still.
    Reached,
    /// The observer did not want to wait.
    Waiting(WaitingFor),
}

/// Everything that the engine's orders touch.
pub struct Driver<'a, S, E, C> {
    /// IAM and STS.
    pub service: &'a S,
    /// Where the secrets are.
    pub keystore: &'a dyn Keystore,
    /// The profile's folder.
    pub state: &'a ProfileState,
    /// The profile's journal.
    pub journal: Journal,
    /// How programs get credentials.
    pub endpoint: &'a E,
    /// The clocks.
    pub clock: &'a C,
    /// The durations, for what the driver itself writes.
    pub policy: &'a Policy,
    /// The user's tag that says this installation rotates its keys.
    pub tag: &'a str,
    /// How IAM calls are signed, if the user needs MFA for them.
    pub mfa: Option<Signing<'a>>,
}

impl<S: KeyService, E: Endpoint, C: Clock> Driver<'_, S, E, C> {
    /// Carries out orders until the engine ends, or `reached` holds after a record.
    pub async fn drive(
        &mut self,
        rotation: &mut Rotation,
        reached: impl Fn(&Status) -> bool,
        observer: &mut impl Observer,
    ) -> Stop {
        let mut command = rotation.start(&self.clock.now());
        loop {
            tracing::debug!(command = ?command, "engine");
            if observer.is_over() {
                return Stop::Reached;
            }
            let appended = matches!(command, Command::Append(_));
            if let Command::Append(entry) = &command
                && let Some(until) = observer.holds_back(rotation.status(), &entry.record)
            {
                observer.waits(until, &WaitingFor::QuietHours);
                return Stop::Waiting(WaitingFor::QuietHours);
            }
            let event = match command {
                Command::End(ending) => return Stop::Ending(ending),
                Command::Wait { until, waiting_for } => {
                    if !observer.waits(until, &waiting_for) {
                        return Stop::Waiting(waiting_for);
                    }
                    // In slices, so that nobody who wants us to stop waits for long. A wall clock that is set back
                    // makes it no longer: whoever waits looks again at what for.
                    let began = self.clock.now();
                    let left = Duration::try_from(until.duration_since(began.wall));
                    let left = left.unwrap_or_default();
                    loop {
                        let soon = later(self.clock.now().wall, SLICE);
                        self.clock.sleep_until(until.min(soon)).await;
                        if observer.is_over() {
                            return Stop::Reached;
                        }
                        let counted = self.clock.now().monotonic.since_boot;
                        let counted = counted.saturating_sub(began.monotonic.since_boot);
                        if until <= soon || counted >= left {
                            break;
                        }
                    }
                    Event::Woke
                }
                order => match self.ready(&order, rotation.status()).await {
                    Ready::Yes => self.perform(order, rotation.status()).await,
                    Ready::No(event) => event,
                    // The engine does not see this wait: its order stands.
                    Ready::NotBefore(until, waiting_for) => {
                        if !observer.waits(until, &waiting_for) {
                            return Stop::Waiting(waiting_for);
                        }
                        self.wait_for_code(until).await;
                        command = order;
                        continue;
                    }
                },
            };
            tracing::debug!(event = ?event, "world");
            command = rotation.handle(&self.clock.now(), event);
            if appended {
                observer.advanced(rotation.status());
                if reached(rotation.status()) && !matches!(command, Command::End(_)) {
                    return Stop::Reached;
                }
            }
        }
    }

    /// Carries out one order, other than to wait or to end, and says what came of it.
    pub async fn perform(&mut self, command: Command, status: &Status) -> Event {
        match command {
            Command::Append(entry) => {
                // Before the record: what follows it goes by that.
                if leaks_after_publish(&entry.record, status)
                    && let Err(error) = self.void_sessions().await
                {
                    return disk_fault(&error);
                }
                match self.journal.append(&entry) {
                    Ok(()) => Event::Appended,
                    Err(error) => disk_fault(&error),
                }
            }
            Command::ProbeKeystore => {
                ready(keystore::probe(self.keystore, self.state.profile()), Failure::Keystore)
            }
            Command::Store(credentials) => ready(self.store(&credentials), Failure::Keystore),
            Command::Holds(id) => match self.keystore.get(&id) {
                Ok(secret) => Event::Holds(secret.is_some()),
                Err(error) => keystore_fault(&error),
            },
            Command::Forget(id) => match self.keystore.delete(&id) {
                Err(error) => keystore_fault(&error),
                Ok(()) => {
                    let done = self.state.update_ledger(|ledger| {
                        if let Some(ledger) = ledger {
                            ledger.forget(&id);
                        }
                    });
                    ready(done, Failure::Environment)
                }
            },
            Command::Publish { id, generation } => {
                let now = self.clock.now();
                let lease = self.policy.lease;
                let leaked = status.rotation.as_ref().is_some_and(Open::is_cut_off);
                let done = self.state.update_ledger(|slot| match slot {
                    Some(ledger) => {
                        ledger.publish(id, generation, &now, lease);
                        // Whoever has the leaked key's sessions may not be us alone.
                        if leaked {
                            ledger.void_sessions(now.wall);
                        }
                    }
                    None => *slot = Some(Ledger::new(id, generation, now.wall)),
                });
                self.endpoint.published().await;
                ready(done, Failure::Environment)
            }
            Command::ReadHorizon(id) => match self.state.ledger() {
                Ok(ledger) => Event::Horizon {
                    horizon: ledger.and_then(|l| l.horizons.get(&id).cloned()),
                    healthy_since: self.endpoint.healthy_since().await,
                    fell_over: self.endpoint.fell_over().await,
                },
                Err(error) => disk_fault(&error),
            },
            Command::Fetch => Event::Fetched(self.fetch().await),
            Command::Wait { .. } | Command::End(_) => Event::Woke,
            call => match &status.enrolment {
                Some(enrolment) => {
                    let changes = quarantine::signer_of_change(&call);
                    let event = self.call(call, enrolment, status).await;
                    self.told_quarantine(changes, &enrolment.user, event).await
                }
                None => Event::Fault(Failure::Bug("a call for a profile without a key".to_owned())),
            },
        }
    }

    /// Of the key that leaked, nothing is served any more, and none of the sessions made with it.
    async fn void_sessions(&self) -> Result<(), StateError> {
        let now = self.clock.now().wall;
        self.state.update_ledger(|slot| {
            if let Some(ledger) = slot {
                ledger.void_sessions(now);
            }
        })?;
        self.endpoint.published().await;
        Ok(())
    }

    fn store(&self, credentials: &Credentials) -> Result<(), String> {
        let Credentials { access_key_id: id, secret_access_key: secret, .. } = credentials;
        self.keystore.put(id, secret).map_err(|error| error.to_string())?;
        match self.keystore.get(id) {
            Ok(Some(kept)) if kept == *secret => Ok(()),
            Ok(_) => Err(format!("{} gave back something else", self.keystore.describe())),
            Err(error) => Err(error.to_string()),
        }
    }
}

/// The outgoing key leaked when another one was served already. Before that, publish sees to its sessions.
fn leaks_after_publish(record: &Record, status: &Status) -> bool {
    matches!(record, Record::Compromised { .. })
        && status.rotation.as_ref().is_some_and(|open| open.published.is_some())
}

fn ready<E: std::fmt::Display>(result: Result<(), E>, whose: fn(String) -> Failure) -> Event {
    match result {
        Ok(()) => Event::Ready,
        Err(error) => Event::Fault(whose(error.to_string())),
    }
}

fn keystore_fault(error: &keystore::KeystoreError) -> Event {
    Event::Fault(Failure::Keystore(error.to_string()))
}

fn disk_fault(error: &StateError) -> Event {
    Event::Fault(Failure::Environment(error.to_string()))
}
