//! Metrics: what is looked up when somebody asks: keys, rotations and leases of each profile, from its files and from the agent.

use jiff::Timestamp;
use rotakey_core::journal::{Act, Entry, Open, Record, Status, Step};
use rotakey_core::receipt::{self, Outcome, Receipt};
use rotakey_core::time::later;
use serde_json::Value;

use super::desk::Desk;
use crate::clock::Clock;
use crate::metrics::{Sample, sample};
use crate::serving::ServedKey;

const STEPS: [Step; 7] = [
    Step::Create,
    Step::Verify,
    Step::Publish,
    Step::Drain,
    Step::Deactivate,
    Step::Soak,
    Step::Delete,
];

/// Reads files: for a thread that answers nobody.
pub(super) fn gather(desk: &Desk) -> Vec<Sample> {
    let mut samples = vec![
        sample("rotakey_build_info", &[env!("CARGO_PKG_VERSION")], 1.0),
        sample("rotakey_start_time_seconds", &[], unix(desk.since)),
        sample(
            "rotakey_engine_up",
            &[],
            flag(desk.engine.as_ref().is_some_and(|engine| !engine.is_closed())),
        ),
    ];
    if let Some(head) = desk.app.load().audit().head() {
        samples.push(sample("rotakey_audit_lines", &[], head.n as f64));
    }
    let serving = desk.serving.load_full();
    let mut holders: Vec<_> = serving.keys.keys().collect();
    holders.sort();
    for name in holders {
        let Some(view) = desk.profile(name) else { continue };
        of_agent(&mut samples, name, &view);
        if serving.proxy {
            through_the_proxy(&mut samples, &serving.keys[name]);
        }
        // One that cannot be read is missing, which is to be seen as well.
        if let Ok((entries, status)) = serving.keys[name].state.read() {
            let of =
                Profile { name, entries: &entries, status: &status, now: desk.clock.now().wall };
            of.keys(&mut samples);
            of.rotation(&mut samples);
            of.past(&mut samples);
            of.leases(&mut samples, &serving.keys[name], &view);
            let settings = desk.app.load().for_profile(name).settings();
            let due = instant(&view["schedule"]["due"]).or_else(|| {
                let created = status.current.as_ref()?.created?;
                Some(later(created, settings.ok()?.max_age))
            });
            if let Some(due) = due.filter(|_| status.rotation.is_none()) {
                samples.push(sample("rotakey_next_rotation_timestamp_seconds", &[name], unix(due)));
            }
        }
    }
    samples
}

fn of_agent(samples: &mut Vec<Sample>, name: &str, view: &Value) {
    if let Some(since) = instant(&view["healthy_since"]) {
        samples.push(sample("rotakey_healthy_since_timestamp_seconds", &[name], unix(since)));
    }
    if let Some(end) = instant(&view["temporary"]["valid_until"]) {
        samples.push(sample("rotakey_session_expiry_timestamp_seconds", &[name], unix(end)));
    }
    let schedule = &view["schedule"];
    if let Some(failures) = schedule["failures"].as_u64() {
        samples.push(sample("rotakey_scheduler_failures", &[name], failures as f64));
    }
    if let Some(what) = schedule["waits_for"].as_str() {
        samples.push(sample("rotakey_scheduler_waiting", &[name, what], 1.0));
    }
}

fn through_the_proxy(samples: &mut Vec<Sample>, key: &ServedKey) {
    for served in &key.profiles {
        samples.extend(served.proxied.answered.samples(&served.profile.name));
    }
    let fell_over = key.through.fell_over() as f64;
    samples.push(sample("rotakey_proxy_fail_overs", &[&key.name], fell_over));
}

struct Profile<'a> {
    name: &'a str,
    entries: &'a [Entry],
    status: &'a Status,
    now: Timestamp,
}

impl Profile<'_> {
    fn keys(&self, samples: &mut Vec<Sample>) {
        for (stage, key, status) in self.stages() {
            let id = key.id.as_str();
            samples.push(sample("rotakey_key_info", &[self.name, stage, id, status], 1.0));
            if let Some(created) = key.created {
                let age = self.now.duration_since(created).as_secs_f64();
                samples.push(sample("rotakey_key_age_seconds", &[self.name, stage], age));
            }
        }
        let generation = self.status.generation.0 as f64;
        samples.push(sample("rotakey_key_generation", &[self.name], generation));
    }

    fn stages(&self) -> Vec<(&'static str, &rotakey_core::journal::Key, &'static str)> {
        let mut keys = Vec::new();
        keys.extend(self.status.current.as_ref().map(|key| ("current", key, "Active")));
        let Some(open) = &self.status.rotation else { return keys };
        match open.published {
            None => keys.extend(open.incoming.as_ref().map(|key| ("pending", key, "Active"))),
            Some(_) if !open.deleted => {
                let status = if open.deactivated.is_some() { "Inactive" } else { "Active" };
                keys.push(("previous", &open.outgoing, status));
            }
            Some(_) => {}
        }
        keys
    }

    fn rotation(&self, samples: &mut Vec<Sample>) {
        let open: Option<&Open> = self.status.rotation.as_ref();
        for step in STEPS {
            let is_there = open.is_some_and(|open| open.step == step);
            samples.push(sample(
                "rotakey_rotation_step",
                &[self.name, step.name()],
                flag(is_there),
            ));
        }
        let stuck = open.is_some_and(|open| open.stuck.is_some());
        samples.push(sample("rotakey_rotation_stuck", &[self.name], flag(stuck)));
        if let Some(open) = open {
            samples.push(sample(
                "rotakey_rotation_step_since_seconds",
                &[self.name],
                unix(open.since),
            ));
        }
    }

    fn past(&self, samples: &mut Vec<Sample>) {
        let receipts = receipt::receipts(self.entries);
        let outcomes = [
            (Outcome::Rotated, "rotated"),
            (Outcome::Undone, "undone"),
            (Outcome::GivenUp, "given-up"),
        ];
        for (outcome, name) in outcomes {
            let count = receipts.iter().filter(|receipt| receipt.outcome == outcome).count();
            samples.push(sample("rotakey_rotations", &[self.name, name], count as f64));
        }
        let of =
            |wanted: fn(&Receipt) -> bool| receipts.iter().rev().find(|receipt| wanted(receipt));
        if let Some(last) = of(|receipt| receipt.outcome == Outcome::Rotated) {
            samples.push(sample(
                "rotakey_last_rotation_timestamp_seconds",
                &[self.name],
                unix(last.ended),
            ));
            let seconds = last.two_active_seconds as f64;
            samples.push(sample("rotakey_last_rotation_two_active_seconds", &[self.name], seconds));
        }
        let failed = |entry: &&Entry| {
            matches!(
                entry.record,
                Record::Stuck { .. } | Record::Abandoned { .. } | Record::UndoBegun { .. }
            )
        };
        if let Some(entry) = self.entries.iter().rev().find(failed) {
            samples.push(sample(
                "rotakey_last_failure_timestamp_seconds",
                &[self.name],
                unix(entry.time),
            ));
        }
        let offset = self.entries.iter().rev().find_map(|entry| match &entry.record {
            Record::Intended { act: Act::Create { clock_offset_ms, .. } } => Some(*clock_offset_ms),
            _ => None,
        });
        if let Some(milliseconds) = offset {
            let seconds = milliseconds as f64 / 1000.0;
            samples.push(sample("rotakey_clock_offset_seconds", &[self.name], seconds));
        }
        let lines = self.entries.len() as f64;
        samples.push(sample("rotakey_journal_lines", &[self.name], lines));
    }

    fn leases(&self, samples: &mut Vec<Sample>, key: &ServedKey, view: &Value) {
        let horizons = key.state.ledger().ok().flatten().map(|ledger| ledger.horizons);
        let held = view["holders"].as_array();
        for (stage, key, _) in self.stages() {
            let horizon = horizons.as_ref().and_then(|horizons| horizons.get(&key.id));
            if let Some(until) = horizon.and_then(|h| h.served_until.max(h.unrecorded_until)) {
                samples.push(sample(
                    "rotakey_lease_horizon_timestamp_seconds",
                    &[self.name, stage],
                    unix(until),
                ));
            }
            let of_key = |holder: &&Value| holder["access_key_id"] == key.id.as_str();
            let count = held.into_iter().flatten().filter(of_key).count();
            samples.push(sample("rotakey_holders", &[self.name, stage], count as f64));
        }
    }
}

fn instant(value: &Value) -> Option<Timestamp> {
    value.as_str()?.parse().ok()
}

fn unix(at: Timestamp) -> f64 {
    at.as_millisecond() as f64 / 1000.0
}

fn flag(is: bool) -> f64 {
    f64::from(u8::from(is))
}
