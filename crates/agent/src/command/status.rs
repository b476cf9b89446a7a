//! `status`: who am I, which keys, what is under way and what does it wait for.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use rotakey_core::credential::KeyStatus;
use rotakey_core::journal::{Key, Open, Status, Step};
use rotakey_core::lease::Ledger;
use rotakey_core::time::later;
use serde_json::{Map, Value, json};

use super::App;
use crate::cli::failure::Failed;
use crate::clock::Clock;
use crate::config::{ProfileSettings, duration};
use crate::control::Agent;
use crate::serving::holders::{self, Holder};
use crate::store::profile::ProfileState;

/// CIS AWS Foundations: keys are rotated within 90 days.
const CIS_DAYS: i64 = 90;

/// No more holders of a key are named.
const HOLDERS_SHOWN: usize = 5;

/// A time as written in data: RFC 3339, UTC, whole seconds.
pub fn seconds(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Runs it, for one profile or for all.
pub fn run(app: &App, name: Option<String>, as_json: bool) -> Result<(), Failed> {
    let named = name.or_else(|| app.env.get("AWS_PROFILE").map(str::to_owned));
    let names: Vec<String> = match named {
        Some(name) => vec![name],
        None => app.config.profile_names().map(str::to_owned).collect(),
    };
    // An agent that does not answer must not keep a person from seeing the rest.
    let (agent, trouble) = match Agent::at(app.paths.socket()).status() {
        Ok(agent) => (agent, None),
        Err(failed) => (None, Some(failed.message)),
    };
    let (mut profiles, mut unreadable) = (Vec::new(), Vec::new());
    for name in &names {
        let seen = agent.as_ref().map(|agent| agent["profiles"][name].clone());
        match View::of(&app.for_profile(name), seen) {
            Ok(view) => profiles.push(view),
            // One that cannot be read must not hide the others.
            Err(failed) if names.len() > 1 => unreadable.push((name.clone(), failed)),
            Err(failed) => return Err(failed),
        }
    }
    if as_json {
        let broken = unreadable.iter().map(|(name, failed)| {
            json!({"profile": name, "last_error": failed.message, "warnings": [failed.message]})
        });
        let profiles: Vec<_> = profiles.iter().map(View::json).chain(broken).collect();
        let agent = match &agent {
            Some(agent) => json!({
                "running": true,
                "pid": agent["pid"],
                "since": agent["since"],
                "listen": agent["listen"],
            }),
            None => json!({"running": false, "pid": null, "since": null, "trouble": trouble}),
        };
        app.printer.data(&json!({"version": 1, "agent": agent, "profiles": profiles}).to_string());
        return Ok(());
    }
    match (&agent, &trouble) {
        (Some(agent), _) => app.printer.data(&format!(
            "agent     pid {} since {}",
            agent["pid"],
            agent["since"].as_str().unwrap_or_default()
        )),
        (None, Some(why)) => app.printer.data(&format!("agent     {why}")),
        (None, None) if profiles.is_empty() => {}
        (None, None) => app.printer.data("agent     not running: `rotakey agent` starts it"),
    }
    if profiles.is_empty() {
        app.printer.say("no profiles yet: `rotakey add default` takes a key over");
    }
    for view in &profiles {
        for line in view.text() {
            app.printer.data(&line);
        }
    }
    for (name, failed) in &unreadable {
        app.printer.data(&format!("{name}  cannot be read"));
        app.printer.data(&format!("  error     {}", failed.message));
        app.printer.data(&format!("  hint      {}", failed.hint.as_deref().unwrap_or_default()));
    }
    Ok(())
}

struct View {
    name: String,
    now: Timestamp,
    settings: ProfileSettings,
    status: Status,
    ledger: Option<Ledger>,
    engine: Option<u32>,
    /// What the agent says of the profile, if one runs.
    agent: Option<Value>,
    holders: Vec<Holder>,
}

impl View {
    fn of(app: &App, agent: Option<Value>) -> Result<Self, Failed> {
        let state: ProfileState = app.state()?;
        let now = app.clock.now().wall;
        let noted = agent.as_ref().and_then(|agent| agent.get("holders")).cloned();
        let noted = noted.and_then(|noted| serde_json::from_value(noted).ok());
        Ok(Self {
            name: app.profile.clone(),
            now,
            holders: noted.unwrap_or_else(|| holders::alive(&holders::read(&state, now), now)),
            agent,
            settings: app.settings()?,
            status: state.read()?.1,
            ledger: state.ledger()?,
            engine: state.engine(),
        })
    }

    /// What the journal last saw of a key's status.
    fn key_status(&self, key: &Key) -> KeyStatus {
        let inactive = self
            .status
            .rotation
            .as_ref()
            .is_some_and(|open| open.outgoing.id == key.id && open.deactivated.is_some());
        if inactive { KeyStatus::Inactive } else { KeyStatus::Active }
    }

    fn age(&self, key: &Key) -> Option<i64> {
        key.created.map(|created| self.now.duration_since(created).as_secs())
    }

    fn previous<'a>(&'a self, open: &'a Open) -> Option<&'a Key> {
        (open.published.is_some() && !open.deleted).then_some(&open.outgoing)
    }

    fn waiting_for(&self, open: &Open) -> String {
        if open.stuck.is_some() {
            return "a person to decide".to_owned();
        }
        if open.orphan.is_some() {
            return "an orphan to be deleted".to_owned();
        }
        let what = match open.step {
            Step::Create => "the new key",
            Step::Verify => "the new key to be accepted everywhere",
            Step::Publish => "the sources to serve the new key",
            Step::Drain => "the leases on the old key to end",
            Step::Deactivate => "the old key to be refused",
            Step::Soak => "somebody to miss the deactivated key",
            Step::Delete => "the old key to be gone",
        };
        match (self.engine, &self.agent) {
            (None, None) => format!("`rotakey resume {}`, then {what}", self.name),
            _ => what.to_owned(),
        }
    }

    fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if self.settings.unsafe_durations {
            warnings
                .push("unsafe_durations is set: the floors of the durations are lifted".to_owned());
        }
        if let (Some(key), Some(withdrawn)) = (&self.status.current, &self.status.withdrawn) {
            let since = seconds(withdrawn.since);
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
            && self.age(key).is_some_and(|age| age > CIS_DAYS * 86_400)
        {
            warnings.push(format!("{} is older than {CIS_DAYS} days (CIS)", key.id));
        }
        warnings
    }

    fn next_rotation(&self) -> Option<Timestamp> {
        let created = self.status.current.as_ref()?.created?;
        self.status.rotation.is_none().then(|| later(created, self.settings.max_age))
    }

    fn json(&self) -> Value {
        let enrolment = self.status.enrolment.as_ref();
        let key = |key: &Key| {
            json!({
                "access_key_id": key.id.as_str(),
                "status": self.key_status(key).to_string(),
                "created": key.created.map(seconds),
                "age_seconds": self.age(key),
            })
        };
        let open = self.status.rotation.as_ref();
        let previous = open.and_then(|open| {
            let mut value = key(self.previous(open)?);
            let delete_after = open.deactivated.map(|at| later(at, self.settings.policy.soak));
            let value_map = value.as_object_mut()?;
            value_map.remove("age_seconds");
            value_map.insert("delete_after".into(), delete_after.map(seconds).into());
            Some(value)
        });
        let rotation = open.map(|open| {
            json!({
                "id": open.id.0,
                "step": open.step.name(),
                "since": seconds(open.since),
                "waiting_for": self.waiting_for(open),
                "stuck": open.stuck,
            })
        });
        let horizons: Map<String, Value> = self
            .ledger
            .iter()
            .flat_map(|ledger| &ledger.horizons)
            .filter_map(|(id, h)| {
                let until = h.served_until.max(h.unrecorded_until)?;
                Some((id.to_string(), seconds(until).into()))
            })
            .collect();
        json!({
            "profile": self.name,
            "account_id": enrolment.map(|e| &e.account_id),
            "user": enrolment.map(|e| &e.user),
            "arn": enrolment.map(|e| &e.arn),
            "current": self.status.current.as_ref().map(key),
            "previous": previous,
            "rotation": rotation,
            "next_rotation": self.next_rotation().map(seconds),
            "leases": {"horizon": horizons, "holders": self.holders.iter().map(holder_json).collect::<Vec<_>>()},
            "sources": self.sources(),
            "warnings": self.warnings(),
            "last_error": self.status.last_failure,
        })
    }

    /// What each source does: true, false, or what is wrong with it.
    fn sources(&self) -> Value {
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

    /// Who holds a key, the longest first.
    fn held_by(&self, key: &Key) -> Vec<String> {
        let mut holders: Vec<_> =
            self.holders.iter().filter(|holder| holder.access_key_id == key.id).collect();
        holders.sort_by_key(|holder| std::cmp::Reverse(holder.until));
        let more = holders.len().saturating_sub(HOLDERS_SHOWN);
        let mut lines: Vec<_> = holders.into_iter().take(HOLDERS_SHOWN).map(holder_text).collect();
        if more > 0 {
            lines.push(format!("and {more} more"));
        }
        lines
    }

    fn text(&self) -> Vec<String> {
        let mut lines = Vec::new();
        let whose = self.status.enrolment.as_ref().map_or("no key yet", |e| e.arn.as_str());
        lines.push(format!("{}  {whose}", self.name));
        if let Some(key) = &self.status.current {
            let age = match self.age(key) {
                Some(age) => format!("{} days old, of {CIS_DAYS} (CIS)", age / 86_400),
                None => "age unknown".to_owned(),
            };
            lines.push(format!("  serves    {}  {age}", key.id));
        }
        if let Some(open) = &self.status.rotation {
            if let Some(previous) = self.previous(open) {
                let fate = match open.deactivated {
                    Some(at) => {
                        let after = seconds(later(at, self.settings.policy.soak));
                        format!("Inactive, deleted after {after}")
                    }
                    None => "Active, to be drained".to_owned(),
                };
                lines.push(format!("  previous  {}  {fate}", previous.id));
                lines.extend(
                    self.held_by(previous).iter().map(|who| format!("  old key held by {who}")),
                );
            }
            lines.push(format!("  rotation  {} since {}", open.step, seconds(open.since)));
            lines.push(format!("  waits for {}", self.waiting_for(open)));
            if let Some(why) = &open.stuck {
                lines.push(format!("  stuck     {why}"));
            }
        } else if let Some(next) = self.next_rotation() {
            let max_age = duration::format(self.settings.max_age);
            lines.push(format!("  due       {} ({max_age} old)", seconds(next)));
        }
        if let Some(sources) = self.sources().as_object() {
            let on = sources.iter().filter(|(_, state)| **state != json!(false));
            let on: Vec<String> = on
                .map(|(name, state)| match state.as_str() {
                    Some(why) => format!("{name} ({why})"),
                    None => name.clone(),
                })
                .collect();
            lines.push(format!("  sources   {}", on.join(", ")));
        }
        for warning in self.warnings() {
            lines.push(format!("  warning   {warning}"));
        }
        if let Some(why) = &self.status.last_failure {
            lines.push(format!("  last time {why}"));
        }
        lines
    }
}

fn holder_json(holder: &Holder) -> Value {
    json!({
        "access_key_id": holder.access_key_id,
        "source": holder.source,
        "pid": holder.pid,
        "exe": holder.exe,
        "uid": holder.uid,
        "until": seconds(holder.until),
    })
}

/// "pid 4121 (python3) until 14:32 (container)", in local time.
fn holder_text(holder: &Holder) -> String {
    let exe = holder.exe.as_deref().and_then(|exe| exe.rsplit('/').next());
    let who = match (holder.pid, exe) {
        (Some(pid), Some(exe)) => format!("pid {pid} ({exe})"),
        (Some(pid), None) => format!("pid {pid}"),
        (None, _) => format!("a process of uid {}", holder.uid),
    };
    let until = holder.until.to_zoned(TimeZone::system());
    format!("{who} until {} ({})", until.strftime("%H:%M"), holder.source)
}
