//! The sessions of the profiles that use one key: minted by it, ahead of their end, and anew when another key follows.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;
use rotakey_core::credential::{Credentials, Generation};
use rotakey_endpoint::publish::Snapshot;
use tokio::sync::Semaphore;

use super::{ServedKey, ServedProfile, leases};
use crate::app::App;
use crate::clock::Clock;
use crate::iam::MfaCode;
use crate::session::mfa::CODE_LIVES;
use crate::session::{Keeper, Minted, Minter, Next, Plan, RoleCache};
use crate::store::keystore::Keystore;

/// How many sessions are minted at a time, of all keys: a thousand at once would all have their clients in memory.
const MINTS_MAX: usize = 32;

/// Whose turn it is to mint.
#[derive(Clone, Debug)]
pub struct Turns(Arc<Semaphore>);

impl Default for Turns {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(MINTS_MAX)))
    }
}

/// The sessions of one key's profiles.
#[derive(Debug)]
pub struct Sessions {
    /// In boxes: most keys have one profile, and the smallest table has room for four.
    profiles: HashMap<String, Box<Kept>>,
    turns: Turns,
    /// The last revocation whose sessions are dropped already: its number, and when it was.
    voided: (u64, Option<Timestamp>),
}

#[derive(Debug)]
struct Kept {
    plan: Plan,
    keeper: Keeper,
    roles: RoleCache,
}

impl Sessions {
    /// None yet. `turns` are shared with the sessions of other keys.
    pub fn new(turns: Turns) -> Self {
        Self { profiles: HashMap::new(), turns, voided: (0, None) }
    }

    /// A person gave a code of the MFA device of a profile.
    pub fn give_code(&mut self, app: &App, profile: &str, code: &str) -> Result<(), String> {
        let settings = app.config.settings(profile, &app.env).map_err(|error| error.message)?;
        let device = settings.session.mfa.ok_or_else(|| format!("{profile} has no mfa_serial"))?;
        let code = MfaCode::new(code).map_err(|error| error.to_string())?;
        app.mfa.give(&device.serial, code, app.clock.now().wall);
        // A rotation may wait for it as well, also when no session is kept.
        if let Some(kept) = self.profiles.get_mut(profile) {
            kept.keeper.at_once();
        }
        Ok(())
    }

    /// Forgets all: what was minted is of a key that is not this profile's any more.
    pub fn forget(&mut self) {
        self.profiles.clear();
    }

    /// Drops what was minted before the last revocation, and stops serving it: its key leaked, or it was revoked. All that
    /// is kept goes, whatever the time of it was: clocks are set back, and what is newer is soon minted again.
    pub fn void(&mut self, app: &App, key: &ServedKey, last: (u64, Option<Timestamp>)) {
        if last == self.voided {
            return;
        }
        self.voided = last;
        app.mfa.forget();
        self.profiles.clear();
        for served in &key.profiles {
            served.temporary.withdraw();
            served.profile.ready.store(None);
        }
    }

    /// Mints what is due with the key that is served. Answers when something is due again.
    pub async fn refresh(
        &mut self,
        app: &App,
        keystore: &dyn Keystore,
        key: &ServedKey,
        generation: Generation,
        credentials: &Credentials,
    ) -> Timestamp {
        let mut next = Timestamp::MAX;
        self.profiles.retain(|name, _| key.profile(name).is_some());
        for served in &key.profiles {
            let name = &served.profile.name;
            let Some(plan) = &served.plan else {
                self.profiles.remove(name);
                continue;
            };
            if self.profiles.get(name).is_none_or(|kept| kept.plan != *plan) {
                let (plan, keeper) = (plan.clone(), Keeper::new(plan));
                let kept = Kept { plan, keeper, roles: RoleCache::default() };
                self.profiles.insert(name.clone(), Box::new(kept));
            }
            let Some(kept) = self.profiles.get_mut(name) else { continue };
            kept.keeper.publish(generation);
            if let Next::Mint(generation) = kept.keeper.next(app.clock.now().wall) {
                // It is never closed.
                let _turn = self.turns.0.acquire().await;
                // In a box, which is gone afterwards: the task waits for most of its life, and would keep the room for a call.
                let mint = kept.mint(app, keystore, key, served, generation, credentials);
                Box::pin(mint).await;
            }
            kept.restore(key, served, generation, app.clock.now().wall);
            match kept.keeper.next(app.clock.now().wall) {
                Next::Mint(_) => next = app.clock.now().wall,
                Next::At(at) => next = next.min(at),
                Next::Idle => {}
            }
        }
        next
    }
}

impl Kept {
    /// Serves a session that is good still and is not served: the configuration was changed to and fro, say.
    fn restore(
        &self,
        key: &ServedKey,
        served: &ServedProfile,
        generation: Generation,
        now: Timestamp,
    ) {
        let is_served = served.profile.temporary.latest().as_ref().map(|seen| seen.generation);
        let good = self.keeper.good(now).filter(|minted| minted.generation == generation);
        if let Some(minted) = good.filter(|_| is_served != Some(generation)) {
            publish(key, served, minted.clone());
        }
    }

    async fn mint(
        &mut self,
        app: &App,
        keystore: &dyn Keystore,
        key: &ServedKey,
        served: &ServedProfile,
        generation: Generation,
        credentials: &Credentials,
    ) {
        let profile = &served.profile.name;
        // Its sharers use the endpoints of the profile that holds the key.
        let settings = match app.settings() {
            Ok(settings) => settings,
            Err(error) => {
                tracing::error!(profile, error = error.message, "no session");
                return;
            }
        };
        let service = app.service(&settings);
        let minter = Minter {
            service: &service,
            keystore,
            clock: &app.clock,
            mfa: &app.mfa,
            patience: CODE_LIVES,
        };
        self.keeper.begun(generation);
        let minted = minter.mint(&self.plan, credentials, generation, &self.roles).await;
        let now = app.clock.now();
        match minted {
            Ok(minted) => {
                if self.keeper.minted(minted.clone(), now.wall) {
                    publish(key, served, minted);
                    served.trouble.store(Arc::new(None));
                    if let Ok(Some(raised)) = leases::raise(key, &now) {
                        leases::note(key, &raised);
                    }
                }
            }
            Err(why) => {
                tracing::warn!(profile, %why, hint = why.hint(), "no new session");
                served.trouble.store(Arc::new(Some(why.to_string())));
                let jitter = fraction();
                self.keeper.failed(generation, why, now.wall, jitter);
            }
        }
    }
}

/// A session is accounted to its key: what is covered of the one is of the other, also if the key was superseded while
/// the session was minted.
fn publish(key: &ServedKey, served: &ServedProfile, minted: Minted) {
    let profile = &served.profile.name;
    let until = minted.expires;
    let of_key = key.key.subscribe();
    let of_key = of_key.latest();
    let of_key = of_key.as_ref().filter(|seen| seen.generation == minted.generation);
    let published = served.temporary.publish(Snapshot {
        generation: minted.generation,
        key: minted.key,
        credentials: minted.credentials,
        valid_until: Some(minted.expires),
        covered_until: of_key.and_then(|seen| seen.covered_until),
    });
    // The last answer would keep the session before this one in memory.
    served.profile.ready.store(None);
    match published {
        Ok(()) => tracing::info!(profile, %until, "serves a new session"),
        Err(stale) => tracing::warn!(profile, %stale, "a session comes too late"),
    }
}

/// 0 to 1, by chance.
fn fraction() -> f64 {
    let mut random = [0u8; 2];
    // Without chance there is no jitter.
    let _ = getrandom::fill(&mut random);
    f64::from(u16::from_be_bytes(random)) / f64::from(u16::MAX)
}
