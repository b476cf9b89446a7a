//! What both sockets answer from, and what `status` shows of it.

use std::net::SocketAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rotakey_endpoint::imds;
use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use super::answers::decoded;
use super::board::Board;
use super::engine::Orders;
use crate::app::App;
use crate::clock::{Clock, SystemClock};
use crate::metrics::Counters;
use crate::serving::books::Books;
use crate::serving::holders::Holders;
use crate::serving::{ServedKey, ServedProfile, Serving};
use crate::wording::rfc3339;

/// Where programs reach an agent.
#[derive(Clone, Copy, Debug, Default)]
pub struct Listening {
    /// Container and IMDS.
    pub http: Option<SocketAddr>,
    /// The proxy.
    pub proxy: Option<SocketAddr>,
}

/// What both sockets answer from.
#[derive(Debug)]
pub struct Desk {
    /// What is served.
    pub serving: Arc<ArcSwap<Serving>>,
    /// The accounts.
    pub books: Arc<Books>,
    /// What is counted.
    pub counters: Arc<Counters>,
    /// The configuration.
    pub app: ArcSwap<App>,
    /// Who holds what.
    pub holders: Holders,
    /// The tokens of IMDS.
    pub imds_tokens: imds::Tokens,
    /// The clocks.
    pub clock: SystemClock,
    /// When the agent began.
    pub since: jiff::Timestamp,
    /// Where programs reach it over HTTP.
    pub listen: Listening,
    /// Where the state is.
    pub state: std::path::PathBuf,
    /// The engine's thread, if there is one.
    pub engine: Option<Orders>,
    /// What the schedulers are doing.
    pub board: Arc<Board>,
}

/// What it says of itself.
#[derive(Serialize)]
pub(super) struct Status<'a> {
    pid: u32,
    version: &'static str,
    config: &'a str,
    since: String,
    listen: Option<SocketAddr>,
    proxy_listen: Option<SocketAddr>,
    proxy_authority: Option<String>,
    profiles: Views<'a>,
}

/// What it says of each profile. Each is made when it is written, and gone then: a thousand at a time take 14 MiB.
struct Views<'a>(&'a Desk, &'a Serving);

impl Serialize for Views<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(desk, serving) = self;
        let mut all: Vec<_> = serving.key_of.iter().collect();
        all.sort_unstable_by_key(|(name, _)| *name);
        serializer.collect_map(
            all.into_iter().filter_map(|(name, key)| {
                Some((name, desk.view(serving, key, key.profile(name)?)))
            }),
        )
    }
}

impl Desk {
    /// What it says of itself, as of what is served.
    pub(super) fn status<'a>(&'a self, serving: &'a Serving) -> Status<'a> {
        let authority = serving.connecting.load();
        Status {
            pid: std::process::id(),
            version: env!("CARGO_PKG_VERSION"),
            config: &serving.config_digest,
            since: rfc3339(self.since),
            listen: self.listen.http,
            proxy_listen: self.listen.proxy,
            proxy_authority: authority.as_ref().map(|way| way.name().to_owned()),
            profiles: Views(self, serving),
        }
    }

    /// What it says of one profile.
    pub(crate) fn profile(&self, name: &str) -> Option<Value> {
        let (serving, name) = (self.serving.load(), decoded(name));
        let key = serving.key_of.get(&name)?;
        Some(self.view(&serving, key, key.profile(&name)?))
    }

    fn view(&self, serving: &Serving, key: &ServedKey, served: &ServedProfile) -> Value {
        let now = self.clock.now();
        // The key first: sessions of one that leaked are withdrawn before the new one is served.
        let latest = key.key.subscribe();
        let latest = latest.latest();
        let temporary = served.profile.temporary.latest();
        let is_there = temporary
            .as_ref()
            .is_some_and(|seen| seen.valid_until.is_none_or(|end| end > now.wall));
        let temporary = temporary.as_ref().map(|seen| {
            json!({
                "access_key_id": seen.credentials.access_key_id,
                "key": seen.key,
                "generation": seen.generation,
                "valid_until": seen.valid_until.map(rfc3339),
            })
        });
        let trouble = served.trouble.load();
        let is_imds = serving
            .table
            .imds
            .as_ref()
            .is_some_and(|imds| imds.profile.name == served.profile.name);
        // A source that has nothing to serve did not work before a rotation either: it is reported, not required.
        let source = |is_on: bool, has: bool| match (is_on, has) {
            (false, _) => json!({"on": false, "required": false}),
            (true, true) => json!({"on": true, "required": true, "trouble": **trouble}),
            (true, false) => json!({"on": true, "required": false, "trouble": **trouble}),
        };
        let process = match served.serves_key {
            true => json!({"on": true, "required": true, "trouble": null}),
            false => source(true, is_there),
        };
        let proxy = match (serving.proxy, served.serves_key) {
            (true, true) => json!({"on": true, "required": true, "trouble": null}),
            (is_on, _) => source(is_on, is_there),
        };
        let holders: Vec<_> = self.holders.of(&key.state, now.wall);
        json!({
            "profile": served.profile.name,
            "holder": key.name,
            "key": latest.as_ref().map(|seen| seen.key.clone()),
            "generation": latest.as_ref().map(|seen| seen.generation),
            "temporary": temporary,
            "role_arn": served.plan.as_ref().and_then(|plan| plan.role_arn()),
            "healthy_since": key.healthy_since(&now).to_string(),
            "covered_until": rfc3339(key.covered_until()),
            "listen": self.listen.http,
            "proxy_listen": self.listen.proxy,
            "asked_sts": serving.asked_sts.of(&served.profile.name),
            "fell_over": key.through.fell_over(),
            "fell_over_at": key.through.fell_over_at().map(|at| at.to_string()),
            "sources": {
                "process": process,
                "container": source(serving.table.container, is_there),
                "imds": source(is_imds, is_there),
                "proxy": proxy,
            },
            "holders": holders,
            "schedule": self.board.of(&key.name),
        })
    }
}
