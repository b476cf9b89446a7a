//! What the proxy signs with: the placeholders of programs, and the keys of both generations.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::{ArcSwap, ArcSwapOption};
use jiff::Timestamp;
use rotakey_core::credential::AccessKeyId;
use rotakey_endpoint::proxy::connect::Connecting;
use rotakey_endpoint::proxy::grants::{Granting, Grants};
use rotakey_endpoint::proxy::keys::{Endpoint, Forwarded, Keys, Pair, Virtualised};
use rotakey_endpoint::proxy::refusal::Refusal;
use rotakey_endpoint::proxy::seal::{Seal, SealName};
use rotakey_endpoint::proxy::upstream::Hosts;
use rotakey_endpoint::proxy::verify::{Placeholder, Placeholders};
use rotakey_endpoint::table::{Accounts, Caller, Refused, Source};

use super::books::Books;
use super::{Serving, placeholders};
use crate::clock::{Clock, SystemClock};
use crate::config::ProfileSettings;
use crate::failure::Failed;
use crate::metrics::Answered;

/// What a profile is through the proxy.
#[derive(Clone, Debug, Default)]
pub struct Proxied {
    endpoint: Option<Endpoint>,
    iam: Option<Endpoint>,
    sts: Option<Endpoint>,
    services: Option<Vec<String>>,
    regions: Option<Vec<String>>,
    grants: Arc<Grants>,
    hosts: Arc<Hosts>,
    /// The placeholder that we look with ourselves whether the proxy works.
    own: Arc<ArcSwapOption<AccessKeyId>>,
    /// How its requests were answered.
    pub answered: Arc<Answered>,
}

impl Proxied {
    /// As its settings say; what was counted goes on.
    pub fn of(settings: &ProfileSettings, before: Option<&Self>) -> Self {
        let endpoint = |url: &Option<String>| url.as_deref().and_then(Endpoint::parse);
        Self {
            endpoint: endpoint(&settings.endpoint_url),
            iam: endpoint(&settings.endpoints.iam),
            sts: endpoint(&settings.endpoints.sts),
            services: settings.services.clone(),
            regions: settings.regions.clone(),
            grants: Arc::new(Grants {
                virtual_sessions: settings.virtual_sessions.clone(),
                version_2_region: settings.presigned_v2.then(|| settings.region.clone()),
            }),
            hosts: Arc::new(settings.proxy_hosts.clone()),
            own: Arc::default(),
            answered: before.map_or_else(Arc::default, |before| Arc::clone(&before.answered)),
        }
    }

    /// The server that takes the place of AWS as a whole.
    pub fn anywhere(&self) -> Option<Endpoint> {
        self.endpoint.clone()
    }

    /// The server that takes the place of AWS for a service.
    pub fn endpoint(&self, service: &str) -> Option<Endpoint> {
        match service {
            "iam" => self.iam.clone(),
            "sts" => self.sts.clone(),
            _ => self.endpoint.clone(),
        }
    }

    /// Whether the profile's programs may ask S3 in a region.
    pub fn allows_s3(&self, region: &str) -> Result<(), Refusal> {
        let is_in = |allowed: &Option<Vec<String>>, name: &str| {
            allowed.as_ref().is_none_or(|allowed| allowed.iter().any(|one| one == name))
        };
        if !is_in(&self.services, "s3") {
            return Err(Refusal::ServiceNotAllowed);
        }
        is_in(&self.regions, region).then_some(()).ok_or(Refusal::RegionNotAllowed)
    }

    /// The regions that the profile names.
    pub fn regions(&self) -> &[String] {
        self.regions.as_deref().unwrap_or_default()
    }

    /// The hosts that go before AWS's own.
    pub fn hosts(&self) -> &Hosts {
        &self.hosts
    }

    /// Whether a request is our own: we look whether the proxy works.
    fn is_own(&self, request: &Forwarded<'_>) -> bool {
        let own = self.own.load();
        !request.is_session && own.as_deref().is_some_and(|own| own == request.placeholder)
    }

    /// The profile's placeholders, as they are on disk.
    pub fn placeholders(
        &self,
        state: &std::path::Path,
        profile: &str,
    ) -> Result<Vec<Arc<Placeholder>>, Failed> {
        let pairs = placeholders::load(state, profile)?;
        let placeholder = |pair: &placeholders::Pair| {
            let credentials = pair.credentials()?;
            // We look whether the proxy works, whatever programs may call.
            let is_own = pair.program == placeholders::OWN;
            if is_own {
                self.own.store(Some(Arc::new(credentials.access_key_id.clone())));
            }
            Some(Arc::new(Placeholder {
                id: credentials.access_key_id,
                secret: credentials.secret_access_key,
                token: None,
                profile: profile.to_owned(),
                services: match is_own {
                    true => Some(vec!["sts".to_owned()]),
                    false => self.services.clone(),
                },
                regions: if is_own { None } else { self.regions.clone() },
            }))
        };
        Ok(pairs.iter().filter_map(placeholder).collect())
    }
}

/// The placeholders of all profiles, by their ids.
pub type ById = HashMap<String, Arc<Placeholder>>;

/// Takes a profile's placeholders up, in the place of those that it had.
pub fn take_up(known: &ArcSwap<ById>, profile: &str, placeholders: &[Arc<Placeholder>]) {
    known.rcu(|before| {
        let mut next = ById::clone(before);
        next.retain(|_, one| one.profile != profile);
        next.extend(placeholders.iter().map(|one| (one.id.to_string(), Arc::clone(one))));
        next
    });
}

/// The proxy's view of what is served.
#[derive(Debug)]
pub struct Ring {
    /// What is served.
    pub serving: Arc<ArcSwap<Serving>>,
    /// The accounts.
    pub books: Arc<Books>,
    /// The clocks.
    pub clock: SystemClock,
}

impl Placeholders for Ring {
    fn placeholder(&self, id: &str) -> Option<Arc<Placeholder>> {
        self.serving.load().placeholders.load().get(id).cloned()
    }
}

impl Granting for Ring {
    fn grants(&self, profile: &str) -> Option<Arc<Grants>> {
        let serving = self.serving.load();
        let served = serving.key_of.get(profile)?.profile(profile)?;
        Some(Arc::clone(&served.proxied.grants))
    }

    fn session_epoch(&self, profile: &str) -> u64 {
        let serving = self.serving.load();
        serving.key_of.get(profile).map_or(0, |key| key.through.session_epoch())
    }
}

impl Keys for Ring {
    fn pair(&self, profile: &str, service: &str) -> Option<Pair> {
        let serving = self.serving.load();
        let key = serving.key_of.get(profile)?;
        let served = key.profile(profile)?;
        let current = served.profile.process.latest().as_ref().cloned()?;
        let is_over = current.valid_until.is_some_and(|end| end <= self.clock.wall());
        let other = key.other.load_full().filter(|_| served.serves_key);
        let other = other.filter(|other| other.key != current.key);
        let endpoint = served.proxied.endpoint(service);
        let regions = served.proxied.regions.clone().unwrap_or_default();
        let hosts = Arc::clone(&served.proxied.hosts);
        (!is_over).then_some(Pair { current, other, endpoint, regions, hosts })
    }

    fn fell_over(&self, profile: &str, other: &AccessKeyId) {
        let serving = self.serving.load();
        let Some(key) = serving.key_of.get(profile) else { return };
        // A use: whoever waits for the old key's last one waits anew.
        key.through.tries_other(self.clock.wall());
        tracing::info!(profile, key = %other, "the other key is tried");
    }

    fn goes_on(&self, profile: &str, old: &AccessKeyId) {
        let serving = self.serving.load();
        let Some(key) = serving.key_of.get(profile) else { return };
        // A use, as above.
        key.through.falls_over(self.clock.wall());
        tracing::debug!(profile, key = %old, "a stream or an upload goes on with the key that it began with");
    }

    fn unserved(&self, profile: &str) {
        let serving = self.serving.load();
        if let Some(key) = serving.key_of.get(profile) {
            key.failed(&self.clock.now());
        }
    }

    fn may_ask(&self, profile: &str, caller: &Caller) -> bool {
        let serving = self.serving.load();
        let profile = serving.table.profiles.get(profile);
        profile.is_some_and(|profile| self.books.may_ask(profile, caller))
    }

    fn connecting(&self) -> Option<Arc<Connecting>> {
        self.serving.load().connecting.load_full()
    }

    fn passed(&self, host: &str, status: u16, caller: &Caller) {
        tracing::debug!(host, status, ?caller, "passed on as it was");
    }

    fn now(&self) -> Timestamp {
        self.clock.wall()
    }

    fn forwarded(&self, forwarded: &Forwarded<'_>) {
        let serving = self.serving.load();
        if let Some(key) = serving.key_of.get(forwarded.profile)
            && let Some(served) = key.profile(forwarded.profile)
        {
            served.proxied.answered.note(forwarded.status);
            // A long body was signed for until now. A session needs the key no more that it was made with.
            if !forwarded.is_session
                && served.profile.process.latest().as_ref().is_some_and(|c| c.key != *forwarded.key)
            {
                key.through.falls_over(self.clock.wall());
            }
            self.books.went_through(key, served, forwarded.placeholder, forwarded.caller);
            if forwarded.service == "sts" && served.proxied.is_own(forwarded) {
                let Forwarded { profile, placeholder, key, .. } = *forwarded;
                serving.asked_sts.note(profile, placeholder, key);
            }
        }
        tracing::debug!(
            profile = forwarded.profile,
            source = Source::Proxy.name(),
            placeholder = %forwarded.placeholder,
            key = %forwarded.key,
            service = forwarded.service,
            region = forwarded.region,
            status = forwarded.status,
            caller = ?forwarded.caller,
            "sent on"
        );
    }

    fn seal(&self, profile: &str, key: &AccessKeyId) -> Option<Arc<Seal>> {
        self.serving.load().key_of.get(profile)?.seals.of(key)
    }

    fn seal_named(&self, name: &SealName) -> Result<Option<Arc<Seal>>, Refusal> {
        let serving = self.serving.load();
        let found = serving.keys.values().find_map(|key| key.seals.named(name));
        // A keystore may be slow, or locked. Programs ask again then, and do not take a session for one that is over.
        let are_known = || serving.keys.values().all(|key| key.seals.are_known());
        if found.is_some() || are_known() { Ok(found) } else { Err(Refusal::NoKey) }
    }

    async fn asks_session(&self, caller: &Caller) {
        self.books.asks_session(caller).await;
    }

    fn virtualised(&self, session: &Virtualised<'_>) {
        tracing::info!(
            profile = session.profile,
            placeholder = %session.placeholder,
            operation = session.operation,
            role = session.role,
            real = %session.real,
            local = %session.local,
            until = %session.until,
            "a session was virtualised"
        );
        self.books.made_session(session);
    }

    fn turned_away(&self, why: Refusal, profile: Option<&str>, caller: &Caller) {
        tracing::warn!(?why, profile, ?caller, "refused by the proxy");
        self.books.turned_away(why, profile, caller);
    }

    fn refused(&self, why: Refused, caller: Option<&Caller>, what: &str) {
        self.books.refused(why, caller, what);
    }
}
