//! Keeps account of answers while they go out, without making them wait.

use std::path::Path;
use std::sync::Arc;

use arc_swap::ArcSwap;
use jiff::Timestamp;
use rotakey_core::credential::{AccessKeyId, Generation};
use rotakey_core::time::later;
use rotakey_endpoint::proxy::keys::Virtualised;
use rotakey_endpoint::proxy::refusal::Refusal;
use rotakey_endpoint::table::{Accounts, Caller, Handed, Profile, Refused, Source};

use super::holders::Holders;
use super::leases::Asker;
use super::owners::Owners;
use super::{ServedKey, ServedProfile, Serving};
use crate::audit::refusals::Refusals;
use crate::clock::{Clock, SystemClock};
use crate::metrics::Counters;
use crate::proc;
use crate::serve::ahead;

/// The accounts of a process that serves from memory.
#[derive(Debug)]
pub struct Books {
    serving: Arc<ArcSwap<Serving>>,
    leases: Asker,
    holders: Holders,
    clock: SystemClock,
    counters: Arc<Counters>,
    refusals: Refusals,
    owners: Owners,
}

impl Books {
    /// Empty books.
    pub fn new(
        serving: Arc<ArcSwap<Serving>>,
        leases: Asker,
        holders: Holders,
        clock: SystemClock,
        counters: Arc<Counters>,
        refusals: Refusals,
    ) -> Self {
        let owners = Owners::default();
        Self { serving, leases, holders, clock, counters, refusals, owners }
    }

    /// A program's request was answered through the proxy. The program holds the placeholder, and nothing else.
    pub fn went_through(
        &self,
        key: &ServedKey,
        served: &ServedProfile,
        placeholder: &AccessKeyId,
        caller: &Caller,
    ) {
        let handed = Handed {
            profile: Arc::clone(&served.profile),
            source: Source::Proxy,
            key: placeholder.clone(),
            generation: Generation(0),
            until: shown_until(self.clock.wall()),
            is_covered: true,
            caller: caller.clone(),
        };
        if self.holders.note(key, &handed) {
            self.refusals.used(placeholder, &served.profile.name, caller);
        }
    }

    /// A program asks for a session through the proxy, and waits for it: now it is there to be looked at.
    pub fn asks_session(&self, caller: &Caller) -> impl Future<Output = ()> + Send {
        self.holders.identify(caller)
    }

    /// A program got a session through the proxy.
    pub fn made_session(&self, session: &Virtualised<'_>) {
        self.refusals.made(session);
    }

    /// The proxy refused a request.
    pub fn turned_away(&self, why: Refusal, profile: Option<&str>, caller: &Caller) {
        self.counters.turned_away(why);
        let what = profile.map_or_else(String::new, |profile| format!("profile {profile}"));
        self.refusals.note(why, Some(caller), &what);
    }
}

/// Until when a use of a placeholder is shown: for an hour. In steps, so that one program is noted once in ten minutes.
fn shown_until(now: Timestamp) -> Timestamp {
    const STEP: i64 = 600;
    let step = now.as_second().div_euclid(STEP) + 1;
    Timestamp::from_second(step * STEP + 3600).unwrap_or(now)
}

impl Accounts for Books {
    fn is_current(&self, profile: &Profile, generation: Generation) -> bool {
        let serving = self.serving.load();
        let Some(key) = serving.key_of.get(&profile.name) else { return false };
        self.leases.raise(key);
        matches!(key.state.ledger(), Ok(Some(ledger)) if ledger.generation == generation)
    }

    /// For `credential_process` the program is the one that ran it, past a shell.
    fn may_ask(&self, profile: &Profile, caller: &Caller) -> bool {
        if profile.executables.is_empty() {
            return true;
        }
        let program = match caller {
            Caller::Process { pid, .. } => proc::runner(*pid),
            Caller::Socket { inode, .. } => self.owners.of(*inode),
        };
        let exe = program.and_then(|program| program.exe);
        exe.is_some_and(|exe| {
            profile.executables.iter().any(|allowed| *allowed == *Path::new(&exe))
        })
    }

    fn handed(&self, handed: Handed) {
        self.counters.given(handed.source);
        let serving = self.serving.load();
        if let Some(key) = serving.key_of.get(&handed.profile.name) {
            let enough = later(self.clock.wall(), key.lease + ahead(key.lease) / 2);
            if key.covered_until() < enough {
                self.leases.raise(key);
            }
            self.holders.note(key, &handed);
        }
        tracing::debug!(
            profile = handed.profile.name,
            source = handed.source.name(),
            key = %handed.key,
            generation = handed.generation.0,
            until = %handed.until,
            caller = ?handed.caller,
            "handed out"
        );
    }

    fn failed(&self, profile: &Profile, source: Source) {
        self.counters.unavailable(source);
        let serving = self.serving.load();
        let Some(key) = serving.key_of.get(&profile.name) else { return };
        let now = self.clock.now();
        // Whom a source never gave anything, it cannot leave with an old key.
        let gave =
            || self.holders.of(&key.state, now.wall).iter().any(|h| h.source == source.name());
        if profile.temporary.latest().is_some() || source == Source::Process || gave() {
            key.failed(&now);
        }
    }

    fn refused(&self, why: Refused, caller: Option<&Caller>, what: &str) {
        tracing::warn!(?why, ?caller, what, "refused");
        self.counters.refused(why);
        self.refusals.note(why, caller, what);
        if why == Refused::Crowded {
            let now = self.clock.now();
            self.serving.load().keys.values().for_each(|key| key.failed(&now));
        }
    }
}
