//! What a process that serves from memory has: each key with its lease written ahead, and the profiles that use it.
//!
//! The agent serves all profiles like this; `exec` without an agent serves its own child one.

mod asked;
pub mod authority;
pub mod books;
pub mod connecting;
pub mod holders;
pub mod leases;
mod owners;
pub mod placeholders;
pub mod proxying;
pub mod seals;
pub mod sessions;
pub mod supply;
pub mod through;
pub mod token;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use jiff::Timestamp;
use rotakey_core::health::Health;
use rotakey_core::time::Now;
use rotakey_endpoint::proxy::connect::Connecting;
use rotakey_endpoint::publish::{Publisher, Snapshot};
use rotakey_endpoint::table::{Imds, Profile, Table};

pub use self::asked::AskedSts;
use self::proxying::Proxied;
use self::seals::Seals;
use self::through::Through;
use crate::app::App;
use crate::config::{ProfileSettings, Serve, Sources};
use crate::failure::Failed;
use crate::session::Plan;
use crate::store::profile::ProfileState;

/// A key, as it is served.
#[derive(Debug)]
pub struct ServedKey {
    /// The profile that holds it.
    pub name: String,
    /// Where its ledger and its journal are.
    pub state: ProfileState,
    /// The life of an answer.
    pub lease: Duration,
    /// Serves the key itself.
    pub key: Arc<Publisher>,
    /// The key of the other generation, as long as it is Active. The proxy tries it where AWS does not know the served one.
    /// Shared with what is made when the configuration is read again: what changes meanwhile is not lost.
    pub other: Arc<ArcSwapOption<Snapshot>>,
    /// What its programs' sessions are sealed with. Shared likewise.
    pub seals: Arc<Seals>,
    /// How often and when it was tried, and what sessions are worth. Shared likewise.
    pub through: Arc<Through>,
    /// The profiles that use it: the one that holds it, and those that share it.
    pub profiles: Vec<ServedProfile>,
    /// The horizon on disk, in milliseconds of the Unix time; a copy for whoever asks whether it has to be raised.
    covered_until: AtomicI64,
    /// Its horizon is to be raised: somebody asked for that already.
    pub raising: AtomicBool,
    health: Arc<Mutex<Health>>,
}

/// A profile, as it is served.
#[derive(Debug)]
pub struct ServedProfile {
    /// What the endpoint knows of it.
    pub profile: Arc<Profile>,
    /// What it is through the proxy.
    pub proxied: Proxied,
    /// `process` gives the key itself.
    pub serves_key: bool,
    /// How its temporary credentials are made, if the sources that need them are on.
    pub plan: Option<Plan>,
    /// Serves them.
    pub temporary: Arc<Publisher>,
    /// Why there are none, or not the newest: in a person's words.
    pub trouble: ArcSwap<Option<String>>,
}

/// Everything that is served. Swapped whole when the configuration changes.
#[derive(Debug, Default)]
pub struct Serving {
    /// What the endpoint answers from.
    pub table: Table,
    /// The keys, by the profile that holds each.
    pub keys: HashMap<String, Arc<ServedKey>>,
    /// Which key a profile uses.
    pub key_of: HashMap<String, Arc<ServedKey>>,
    /// What programs sign with that go through the proxy.
    pub placeholders: ArcSwap<proxying::ById>,
    /// What programs find that connect through the proxy.
    pub connecting: ArcSwapOption<Connecting>,
    /// With which keys the proxy asked STS. Goes on when the configuration is read again.
    pub asked_sts: Arc<AskedSts>,
    /// Whether there is a proxy.
    pub proxy: bool,
    /// Of which configuration this was made ([`Config::digest`](crate::config::Config::digest)).
    pub config_digest: String,
}

impl Serving {
    /// What a configuration asks to be served, of `names` only. What was served before, as `before` has it, goes on being
    /// served: a profile's credentials are forgotten only if they are made in another way now.
    pub fn build(
        app: &App,
        names: &[String],
        sources: Sources,
        before: &Serving,
        now: &Now,
    ) -> Result<Self, Failed> {
        let config = &app.config;
        let mut profiles: HashMap<String, Vec<ServedProfile>> = HashMap::new();
        let mut keys: HashMap<String, Arc<Publisher>> = HashMap::new();
        let mut imds = None;
        let placeholders = ArcSwap::<proxying::ById>::default();
        for name in names {
            let holder = config.key_profile(name)?.to_owned();
            let settings = config.settings(name, &app.env)?;
            let wanted = sources.container || (sources.imds && settings.imds);
            let plan = (wanted || settings.serve != Serve::Key)
                .then(|| Plan::of(config, &app.env, name))
                .transpose()?;
            let old = before.key_of.get(name).filter(|key| key.name == holder);
            let key = keys.entry(holder.clone()).or_insert_with(|| {
                before.keys.get(&holder).map_or_else(Arc::default, |old| Arc::clone(&old.key))
            });
            let old = old.and_then(|key| key.profiles.iter().find(|p| p.profile.name == *name));
            let temporary = match old {
                Some(old) if old.plan == plan => Arc::clone(&old.temporary),
                _ => Arc::default(),
            };
            let profile =
                profile_of(app, name, &holder, &settings, plan.as_ref(), key, &temporary)?;
            if sources.imds && settings.imds {
                imds = Some(Imds { profile: Arc::clone(&profile), v1: settings.imds_v1 });
            }
            let trouble = ArcSwap::from_pointee(None);
            let serves_key = settings.serve == Serve::Key;
            let proxied = Proxied::of(&settings, old.map(|old| &old.proxied));
            if sources.proxy {
                let found = proxied.placeholders(&app.paths.state, name)?;
                proxying::take_up(&placeholders, name, &found);
            }
            let served = ServedProfile { profile, proxied, serves_key, plan, temporary, trouble };
            profiles.entry(holder).or_default().push(served);
        }
        let old = before.connecting.load();
        let connecting = connecting::of(app, names, sources, old.as_deref(), now)?;
        let mut serving = Self {
            placeholders,
            connecting: ArcSwapOption::new(connecting),
            asked_sts: Arc::clone(&before.asked_sts),
            proxy: sources.proxy,
            config_digest: config.digest.clone(),
            ..Self::default()
        };
        for (holder, profiles) in profiles {
            let lease = config.settings(&holder, &app.env)?.policy.lease;
            let state = ProfileState::new(&app.paths.state, &holder);
            let (publisher, old) =
                (keys.remove(&holder).unwrap_or_default(), before.keys.get(&holder));
            let old = old.map(Arc::as_ref);
            let key = Arc::new(ServedKey::going_on(state, lease, publisher, profiles, old, now));
            for served in &key.profiles {
                let name = served.profile.name.clone();
                serving.table.profiles.insert(name.clone(), Arc::clone(&served.profile));
                serving.key_of.insert(name, Arc::clone(&key));
            }
            serving.keys.insert(holder, key);
        }
        serving.table.container = sources.container;
        serving.table.imds = imds;
        Ok(serving)
    }
}

/// What the endpoint knows of a profile.
fn profile_of(
    app: &App,
    name: &str,
    holder: &str,
    settings: &ProfileSettings,
    plan: Option<&Plan>,
    key: &Publisher,
    temporary: &Publisher,
) -> Result<Arc<Profile>, Failed> {
    Ok(Arc::new(Profile {
        name: name.to_owned(),
        account_id: account_id(app, holder, plan),
        lease: app.config.settings(holder, &app.env)?.policy.lease,
        process: match settings.serve {
            Serve::Key => key.subscribe(),
            Serve::Session | Serve::Role => temporary.subscribe(),
        },
        temporary: temporary.subscribe(),
        token: ArcSwap::from_pointee(token::load_or_make(&app.paths.state, name)?),
        ready: ArcSwapOption::empty(),
        out_of_service: ArcSwapOption::empty(),
        executables: settings.executables.iter().map(PathBuf::from).collect(),
    }))
}

/// The account that a profile's credentials are of: its role's, or its user's.
fn account_id(app: &App, holder: &str, plan: Option<&Plan>) -> Option<String> {
    if let Some(role) = plan.and_then(Plan::role_arn) {
        return role.split(':').nth(4).map(str::to_owned);
    }
    let (_, status) = ProfileState::new(&app.paths.state, holder).read().ok()?;
    status.enrolment.map(|enrolment| enrolment.account_id)
}

impl ServedKey {
    /// With all that goes on as it was when the configuration is read again.
    fn going_on(
        state: ProfileState,
        lease: Duration,
        key: Arc<Publisher>,
        mut profiles: Vec<ServedProfile>,
        old: Option<&Self>,
        now: &Now,
    ) -> Self {
        // Most keys have one profile, and a list that grew has room for four: 1.4 KiB for nothing.
        profiles.shrink_to_fit();
        let covered_until = old.map_or(i64::MIN, |old| old.covered_until.load(Ordering::Relaxed));
        Self {
            name: state.profile().to_owned(),
            state,
            lease,
            key,
            other: old.map_or_else(Arc::default, |old| Arc::clone(&old.other)),
            seals: old.map_or_else(Arc::default, |old| Arc::clone(&old.seals)),
            through: old.map_or_else(Arc::default, |old| Arc::clone(&old.through)),
            covered_until: AtomicI64::new(covered_until),
            raising: AtomicBool::new(false),
            // The same one: what fails while the configuration is read counts.
            health: old.map_or_else(
                || Arc::new(Mutex::new(Health::new(now.clone()))),
                |old| Arc::clone(&old.health),
            ),
            profiles,
        }
    }

    /// One that no profile uses yet.
    #[cfg(test)]
    pub(crate) fn for_test(state: ProfileState, lease: Duration) -> Self {
        use crate::clock::Clock;
        Self {
            name: state.profile().to_owned(),
            state,
            lease,
            key: Arc::default(),
            other: Arc::default(),
            seals: Arc::default(),
            through: Arc::default(),
            profiles: Vec::new(),
            covered_until: AtomicI64::new(i64::MIN),
            raising: AtomicBool::new(false),
            health: Arc::new(Mutex::new(Health::new(crate::clock::SystemClock::new().now()))),
        }
    }

    /// U, as of now.
    pub fn healthy_since(&self, now: &Now) -> Timestamp {
        self.health().look(now)
    }

    /// A program was turned away, or got nothing.
    pub fn failed(&self, now: &Now) {
        self.health().failed(now);
    }

    /// Until when answers are accounted for already.
    pub fn covered_until(&self) -> Timestamp {
        let millisecond = self.covered_until.load(Ordering::Relaxed);
        Timestamp::from_millisecond(millisecond).unwrap_or(Timestamp::MIN)
    }

    /// Notes it, after the ledger was written.
    pub fn set_covered_until(&self, until: Timestamp) {
        self.covered_until.store(until.as_millisecond(), Ordering::Relaxed);
    }

    /// One of the profiles that use it.
    pub fn profile(&self, name: &str) -> Option<&ServedProfile> {
        self.profiles.iter().find(|served| served.profile.name == name)
    }

    fn health(&self) -> MutexGuard<'_, Health> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
