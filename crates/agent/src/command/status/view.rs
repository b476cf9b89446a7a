//! What is known of one profile.

use jiff::Timestamp;
use rotakey_core::credential::KeyStatus;
use rotakey_core::journal::{Key, Open, Status};
use rotakey_core::lease::Ledger;
use rotakey_core::rotation::BY_A_PERSON;
use rotakey_core::time::{Now, later};
use serde_json::{Value, json};

use super::waits::{Known, Wait, wait};
use crate::app::App;
use crate::cis::{self, AGE_DAYS};
use crate::clock::Clock;
use crate::config::ProfileSettings;
use crate::failure::Failed;
use crate::news::{Kind, News};
use crate::serving::holders::{self, Holder};
use crate::shared_files::{Copy, plaintext_copies};
use crate::store::profile::ProfileState;
use crate::wording::rfc3339;

/// Waits that belong to a step.
const IS_THE_STEP: [&str; 4] = ["leases", "observation", "soak", "orphan"];

/// One profile.
pub(super) struct View {
    pub(super) name: String,
    pub(super) now: Now,
    pub(super) settings: ProfileSettings,
    pub(super) status: Status,
    pub(super) ledger: Option<Ledger>,
    pub(super) engine: Option<u32>,
    /// What the agent says of the profile, if one runs.
    pub(super) agent: Option<Value>,
    pub(super) holders: Vec<Holder>,
    /// What a person was told last.
    pub(super) news: Option<News>,
    /// Where AWS's shared files hold the served key.
    pub(super) copies: Vec<Copy>,
}

impl View {
    pub(super) fn of(app: &App, agent: Option<Value>, news: &[News]) -> Result<Self, Failed> {
        let state: ProfileState = app.state()?;
        let now = app.clock.now();
        let noted = agent.as_ref().and_then(|agent| agent.get("holders")).cloned();
        let noted = noted.and_then(|noted| serde_json::from_value(noted).ok());
        let wall = now.wall;
        let status = state.read()?.1;
        let served: Vec<_> = status.current.iter().map(|key| &key.id).collect();
        let news = news.iter().rev().find(|news| news.profile == state.profile());
        Ok(Self {
            name: app.profile.clone(),
            now,
            holders: noted.unwrap_or_else(|| holders::alive(&holders::read(&state, wall), wall)),
            agent,
            settings: app.settings()?,
            copies: plaintext_copies(&app.env, &served),
            status,
            ledger: state.ledger()?,
            engine: state.engine(),
            news: news.cloned(),
        })
    }

    /// What the journal last saw of a key's status.
    pub(super) fn key_status(&self, key: &Key) -> KeyStatus {
        let inactive = self
            .status
            .rotation
            .as_ref()
            .is_some_and(|open| open.outgoing.id == key.id && open.deactivated.is_some());
        if inactive { KeyStatus::Inactive } else { KeyStatus::Active }
    }

    /// In seconds.
    pub(super) fn age(&self, key: &Key) -> Option<i64> {
        key.created.map(|created| self.now.wall.duration_since(created).as_secs())
    }

    /// Older than CIS allows.
    pub(super) fn is_too_old(&self, key: &Key) -> bool {
        key.created.is_some_and(|created| cis::is_too_old(created, self.now.wall))
    }

    pub(super) fn previous<'a>(&'a self, open: &'a Open) -> Option<&'a Key> {
        (open.published.is_some() && !open.deleted).then_some(&open.outgoing)
    }

    /// What the open rotation waits for.
    pub(super) fn wait(&self, open: &Open) -> Wait {
        let horizons = self.ledger.as_ref().map(|ledger| &ledger.horizons);
        let healthy_since = self.agent.as_ref().and_then(|agent| instant(&agent["healthy_since"]));
        let fell_over = self.agent.as_ref().and_then(|agent| instant(&agent["fell_over_at"]));
        wait(
            open,
            &Known {
                policy: &self.settings.policy,
                horizon: horizons.and_then(|horizons| horizons.get(&open.outgoing.id)),
                healthy_since,
                fell_over,
                now: &self.now,
            },
        )
    }

    /// In the contract's words; whoever has to be run first is named.
    pub(super) fn waiting_for(&self, open: &Open) -> String {
        let what = self.wait(open).what;
        match open.stuck.is_none() && self.is_left_alone() {
            true => format!("`rotakey resume {}`, then {what}", self.name),
            false => what,
        }
    }

    /// Nobody goes on with it by himself.
    pub(super) fn is_left_alone(&self) -> bool {
        self.engine.is_none() && self.agent.is_none()
    }

    /// What the scheduler says, if an agent runs and has one.
    pub(super) fn schedule(&self) -> Option<&Value> {
        self.agent.as_ref().map(|agent| &agent["schedule"]).filter(|schedule| schedule.is_object())
    }

    /// Failures in a row.
    pub(super) fn failures(&self) -> u64 {
        self.schedule().and_then(|schedule| schedule["failures"].as_u64()).unwrap_or(0)
    }

    /// What the scheduler waits for, until when, and more about it; but what the rotation's step says already.
    pub(super) fn held_up(&self) -> Option<(&str, Option<Timestamp>, Option<&str>)> {
        let schedule = self.schedule()?;
        let what = schedule["waits_for"].as_str().filter(|what| !IS_THE_STEP.contains(what))?;
        Some((what, instant(&schedule["until"]), schedule["detail"].as_str()))
    }

    pub(super) fn next_rotation(&self) -> Option<Timestamp> {
        if self.status.rotation.is_some() {
            return None;
        }
        let due = self.schedule().and_then(|schedule| instant(&schedule["due"]));
        due.or_else(|| {
            let created = self.status.current.as_ref()?.created?;
            Some(later(created, self.settings.max_age))
        })
    }

    /// The last news, if it is of that kind and still about what is under way.
    pub(super) fn news_of_now(&self, kind: Kind) -> Option<&News> {
        let open = self.status.rotation.as_ref().map(|open| &open.id);
        let news = self.news.as_ref()?;
        let is_of_now = news.rotation.is_none() || news.rotation.as_ref() == open;
        (news.kind == kind && is_of_now).then_some(news)
    }

    pub(super) fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if self.settings.unsafe_durations {
            warnings
                .push("unsafe_durations is set: the floors of the durations are lifted".to_owned());
        }
        if let (Some(key), Some(withdrawn)) = (&self.status.current, &self.status.withdrawn) {
            let since = rfc3339(withdrawn.since);
            warnings.push(format!(
                "{} leaked: out of service since {since}, nothing is served",
                key.id
            ));
        }
        if let Some(id) = self.status.rotation.as_ref().and_then(|open| open.compromised.as_ref()) {
            warnings.push(format!(
                "{id} leaked: only `rotakey undo {} --force` brings it back",
                self.name
            ));
        }
        if let Some(key) = &self.status.current
            && self.is_too_old(key)
        {
            warnings.push(format!("{} is older than {AGE_DAYS} days (CIS)", key.id));
        }
        if let (Some(key), Some(copy)) = (&self.status.current, self.copies.first()) {
            let (id, path) = (&key.id, copy.path.display());
            warnings.push(format!(
                "{id} is in {path}, line {}, where SDKs take it first: it is not rotated unattended until it is gone (`rotakey import --profile {}`)",
                copy.line, copy.profile
            ));
        }
        warnings
    }

    /// What each source does: true, false, or what is wrong with it.
    pub(super) fn sources(&self) -> Value {
        let Some(agent) = &self.agent else { return json!({"process": true}) };
        let of = |name: &str| match &agent["sources"][name] {
            source if source["on"] != true => json!(false),
            source => match source["trouble"].as_str() {
                Some(why) => json!(why),
                None => json!(true),
            },
        };
        json!({"process": of("process"), "container": of("container"), "imds": of("imds"), "proxy": of("proxy")})
    }

    /// Why the last rotation came to nothing.
    pub(super) fn last_failure(&self) -> Option<String> {
        let why = self.status.last_failure.clone()?;
        Some(if why == BY_A_PERSON { format!("it was taken back: {why}") } else { why })
    }

    /// The same, and what to do about it.
    pub(super) fn last_error(&self) -> Option<(String, String)> {
        let why = self.last_failure()?;
        let told = self.news.as_ref().filter(|news| news.kind == Kind::Failed);
        let hint = told.and_then(|news| news.hint.clone());
        let name = &self.name;
        let hint = hint.unwrap_or_else(|| {
            format!(
                "`rotakey history {name}` says what was done, `rotakey rotate {name}` tries again"
            )
        });
        Some((why, hint))
    }

    /// Who holds a key, the longest first.
    pub(super) fn holders_of(&self, key: &Key) -> Vec<&Holder> {
        let of_key = self.holders.iter().filter(|holder| holder.access_key_id == key.id);
        let mut holders: Vec<_> = of_key.collect();
        holders.sort_by_key(|holder| std::cmp::Reverse(holder.until));
        holders
    }
}

pub(super) fn instant(value: &Value) -> Option<Timestamp> {
    value.as_str()?.parse().ok()
}

/// As the contract has it.
pub(super) fn holder_json(holder: &Holder) -> Value {
    json!({
        "access_key_id": holder.access_key_id,
        "source": holder.source,
        "pid": holder.pid,
        "exe": holder.exe,
        "uid": holder.uid,
        "until": rfc3339(holder.until),
    })
}
