//! Takes a key up from the ledger, and keeps the sessions of its profiles fresh. One task for each key, on a thread that
//! answers no program: a keystore or an AWS that takes its time holds up no answer.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use jiff::Timestamp;
use rotakey_core::credential::{AccessKeyId, Credentials, Generation};
use rotakey_core::journal::Open;
use rotakey_core::lease::Ledger;
use rotakey_core::time::later;
use rotakey_endpoint::proxy::seal::Seal;
use rotakey_endpoint::publish::Snapshot;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::oneshot;
use zeroize::Zeroizing;

use super::sessions::Sessions;
use super::{ServedKey, Serving, leases, seals};
use crate::app::App;
use crate::clock::{Clock, SystemClock};
use crate::serve::NotHanded;
use crate::store::keystore::Keystore;

/// Between two tries to read a keystore or a ledger that could not be read.
const AGAIN: Duration = Duration::from_secs(2);

/// What a key's task is told.
#[derive(Debug)]
pub enum Order {
    /// The ledger was changed: serve what it says, and say when that is done.
    TakeUp(oneshot::Sender<()>),
    /// The configuration was changed.
    Configure(Rc<App>),
    /// A person gave an MFA code for a profile.
    Mfa(String, Zeroizing<String>, oneshot::Sender<Result<(), String>>),
}

/// Supplies one key.
pub struct Supply {
    /// The profile that holds it.
    pub holder: String,
    /// What is served.
    pub serving: Arc<ArcSwap<Serving>>,
    /// The configuration.
    pub app: Rc<App>,
    /// Where the secrets are.
    pub keystore: Rc<dyn Keystore>,
    /// How often the ledger is looked at without having been told to.
    pub poll: Duration,
    /// The sessions of the profiles.
    pub sessions: Sessions,
}

impl Supply {
    /// Works until nobody can tell it anything any more. Says once when it has done what it can for a start.
    pub async fn run(mut self, mut orders: UnboundedReceiver<Order>, started: oneshot::Sender<()>) {
        let mut next = self.take_up().await;
        // Nobody may wait for that any more.
        let _ = started.send(());
        let clock = self.app.clock.clone();
        loop {
            let order = tokio::select! {
                order = orders.recv() => match order {
                    None => return,
                    order => order,
                },
                () = clock.sleep_until(next) => None,
            };
            match order {
                Some(Order::Configure(app)) => self.app = app,
                Some(Order::Mfa(profile, code, done)) => {
                    let _ = done.send(self.sessions.give_code(&self.app, &profile, &code));
                }
                Some(Order::TakeUp(done)) => {
                    next = self.take_up().await;
                    let _ = done.send(());
                    continue;
                }
                None => {}
            }
            next = self.take_up().await;
        }
    }

    /// Serves what the ledger says. Answers when to look again.
    async fn take_up(&mut self) -> Timestamp {
        let serving = self.serving.load_full();
        let clock = self.app.clock.clone();
        let Some(key) = serving.keys.get(&self.holder) else {
            return later(clock.now().wall, self.poll);
        };
        match self.take_up_key(key, &clock) {
            Ok(None) => later(clock.now().wall, self.poll),
            Ok(Some((generation, credentials))) => {
                let keystore = self.keystore.as_ref();
                let sealing = match self.serving.load().proxy {
                    true => seals::take_up(key, &credentials, keystore),
                    false => Ok(()),
                };
                let (app, sessions) = (&self.app, &mut self.sessions);
                let fresh = sessions.refresh(app, keystore, key, generation, &credentials).await;
                let next = sealing.map_or_else(
                    |error| {
                        tracing::warn!(profile = self.holder, %error, "older sessions have to wait");
                        AGAIN
                    },
                    |()| self.poll,
                );
                fresh.min(later(clock.now().wall, next))
            }
            Err(error) => {
                tracing::warn!(profile = self.holder, %error, "the key cannot be read");
                seals::give_up(key, &error);
                for served in &key.profiles {
                    served.trouble.store(Arc::new(Some(error.to_string())));
                }
                // What is served goes on being served as long as it is the ledger's; what is not may be anything.
                later(clock.now().wall, AGAIN)
            }
        }
    }

    fn take_up_key(
        &mut self,
        key: &ServedKey,
        clock: &SystemClock,
    ) -> Result<Option<(Generation, Credentials)>, NotHanded> {
        // Not being able to write must not stop programs.
        let raised = leases::raise(key, &clock.now());
        let Some(ledger) = key.state.ledger()? else {
            withdraw(key, None);
            key.through.void_sessions();
            return Ok(None);
        };
        key.through.void_sessions_before(ledger.revocations);
        if ledger.withdrawn.is_some() {
            withdraw(key, Some(crate::serve::withdrawn(&ledger.access_key_id)));
            self.sessions.forget();
            return Ok(None);
        }
        // Before the new key is served: of one that leaked, nothing is.
        self.sessions.void(&self.app, key, (ledger.revocations, ledger.sessions_since));
        let served = key.key.subscribe();
        if let Some(served) = served.latest().as_ref() {
            if served.generation == ledger.generation && served.key == ledger.access_key_id {
                let credentials = served.credentials.clone();
                self.take_up_other(key, &ledger);
                return Ok(Some((ledger.generation, credentials)));
            }
            if served.generation >= ledger.generation {
                // The profile was removed, and added again with another key.
                withdraw(key, None);
                key.through.void_sessions();
                self.sessions.forget();
            }
        }
        let id = ledger.access_key_id.clone();
        let secret = self.keystore.get(&id)?.ok_or_else(|| NotHanded::NotHeld(id.clone()))?;
        let credentials = Credentials::long_term(id.clone(), secret);
        // First, so that there is no moment in which a refused request finds neither.
        self.take_up_other(key, &ledger);
        if self.serving.load().proxy {
            // Likewise: a session that is made with this key outlives this process from the first one on.
            key.seals.add(&id, || Seal::of(&credentials.secret_access_key));
        }
        let published = key.key.publish(Snapshot {
            generation: ledger.generation,
            credentials: credentials.clone(),
            covered_until: ledger.horizons.get(&id).and_then(|horizon| horizon.served_until),
            key: id.clone(),
            valid_until: None,
        });
        match published {
            Ok(()) => tracing::info!(profile = self.holder, key = %id, "serves"),
            Err(stale) => tracing::warn!(profile = self.holder, %stale, "not served"),
        }
        match raised {
            Ok(Some(raised)) => leases::note(key, &raised),
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(profile = self.holder, %error, "the lease is not recorded")
            }
        }
        Ok(Some((ledger.generation, credentials)))
    }

    /// Takes up the other key of a rotation whose keys are both Active, for the proxy.
    fn take_up_other(&self, key: &ServedKey, ledger: &Ledger) {
        if !self.serving.load().proxy {
            return;
        }
        let status = key.state.read().map(|(_, status)| status);
        let open = status.ok().and_then(|status| status.rotation);
        let Some(id) = open.as_ref().and_then(|open| other_key(open, &ledger.access_key_id)) else {
            return key.other.store(None);
        };
        if key.other.load().as_ref().is_some_and(|other| other.key == *id) {
            return;
        }
        // Without it the proxy does without.
        let secret = self.keystore.get(id).ok().flatten();
        key.other.store(secret.map(|secret| {
            Arc::new(Snapshot {
                generation: ledger.generation,
                key: id.clone(),
                credentials: Credentials::long_term(id.clone(), secret),
                valid_until: None,
                covered_until: None,
            })
        }));
    }
}

/// Nothing is served from now on; programs are told why, if there is a reason.
fn withdraw(key: &ServedKey, why: Option<String>) {
    key.key.withdraw();
    key.other.store(None);
    key.seals.drop_all();
    let why = why.map(Arc::new);
    for served in &key.profiles {
        served.temporary.withdraw();
        served.profile.ready.store(None);
        served.trouble.store(Arc::new(why.as_ref().map(|why| why.as_str().to_owned())));
        served.profile.out_of_service.store(why.clone());
    }
}

/// The key that is Active beside the served one, and was served before it. One that was not served yet is not known to
/// work.
fn other_key<'a>(open: &'a Open, served: &AccessKeyId) -> Option<&'a AccessKeyId> {
    // What may be in a stranger's hands is not used again.
    if open.is_cut_off() {
        return None;
    }
    let is_served = open.incoming.as_ref().is_some_and(|incoming| incoming.id == *served);
    (is_served && open.deactivated.is_none()).then_some(&open.outgoing.id)
}
