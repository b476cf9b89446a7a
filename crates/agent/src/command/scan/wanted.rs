//! Which key ids are looked for, and what becomes of copies of each.

use jiff::Timestamp;
use rotakey_core::journal::{Act, Open, Origin, Record, Status};
use rotakey_core::lease::{Safety, safety};
use rotakey_core::time::later;

use crate::app::App;
use crate::clock::Clock;
use crate::failure::Failed;
use crate::wording::rfc3339;

/// What a key is to rotakey. Those whose copies matter most come first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::command) enum Stage {
    /// On its way out.
    Previous,
    /// Served.
    Current,
    /// Made, and not served yet.
    Pending,
    /// Left behind by a lost reply.
    Orphan,
    /// Gone.
    Retired,
    /// Another key of the same user, which is not rotakey's.
    Stranger,
    /// Asked for by its id.
    Named,
}

impl Stage {
    pub(in crate::command) fn name(self) -> &'static str {
        match self {
            Self::Previous => "previous",
            Self::Current => "current",
            Self::Pending => "pending",
            Self::Orphan => "orphan",
            Self::Retired => "retired",
            Self::Stranger => "not rotakey's",
            Self::Named => "named",
        }
    }
}

/// A key id that is looked for.
#[derive(Clone, Debug)]
pub(in crate::command) struct Wanted {
    pub(in crate::command) id: String,
    pub(in crate::command) profile: Option<String>,
    pub(in crate::command) stage: Stage,
    /// When copies of it stop working, as far as that is known.
    pub(in crate::command) breaks_at: Option<Timestamp>,
    /// What becomes of copies, in words.
    pub(in crate::command) fate: String,
}

/// The ids of the profiles that hold keys, each once, and those that were asked for.
pub(in crate::command) fn all(app: &App, named: &[String]) -> Result<Vec<Wanted>, Failed> {
    let mut all: Vec<Wanted> = Vec::new();
    for profile in app.managed()? {
        match of_profile(&app.for_profile(&profile)) {
            Ok(wanted) => all.extend(wanted),
            // One that cannot be read must not hide the copies of others.
            Err(failed) => {
                app.printer.say(&format!("profile {profile} is left out: {}", failed.message));
            }
        }
    }
    all.extend(named.iter().map(|id| Wanted {
        id: id.clone(),
        profile: None,
        stage: Stage::Named,
        breaks_at: None,
        fate: String::new(),
    }));
    all.sort_by(|a, b| (&a.id, a.stage).cmp(&(&b.id, b.stage)));
    all.dedup_by(|later, first| later.id == first.id);
    Ok(all)
}

/// The ids of one profile: its keys, and whatever its journal ever named.
fn of_profile(app: &App) -> Result<Vec<Wanted>, Failed> {
    let (entries, status) = app.state()?.read()?;
    let mut keys = Vec::new();
    let mut add = |id: &str, stage, breaks_at: Option<Timestamp>, fate: String| {
        let profile = Some(app.profile.clone());
        keys.push(Wanted { id: id.to_owned(), profile, stage, breaks_at, fate });
    };
    if let Some(open) = &status.rotation {
        if open.published.is_some() && !open.deleted {
            let (at, fate) = fate_of_previous(app, open)?;
            add(open.outgoing.id.as_str(), Stage::Previous, at, fate);
        }
        if let Some(incoming) = &open.incoming
            && open.published.is_none()
        {
            add(incoming.id.as_str(), Stage::Pending, None, "it is not served yet".to_owned());
        }
        if let Some(orphan) = &open.orphan {
            add(orphan.id.as_str(), Stage::Orphan, None, "rotakey deletes it".to_owned());
        }
    }
    if let Some(current) = &status.current {
        let (at, fate) = fate_of_current(app, &status)?;
        add(current.id.as_str(), Stage::Current, at, fate);
    }
    for entry in &entries {
        if let Some(id) = entry.record.access_key_id() {
            add(id.as_str(), Stage::Retired, None, "the key is gone: it works no more".to_owned());
        }
        if let Record::Intended { act: Act::Create { known, .. } } = &entry.record {
            for id in known {
                add(id.as_str(), Stage::Stranger, None, String::new());
            }
        }
    }
    Ok(keys)
}

fn fate_of_current(app: &App, status: &Status) -> Result<(Option<Timestamp>, String), Failed> {
    if status.rotation.as_ref().is_some_and(|open| open.published.is_none()) {
        return Ok((None, "a rotation is under way: it breaks soon after".to_owned()));
    }
    let due = match status.current.as_ref().and_then(|key| key.created) {
        Some(created) => format!(", due {}", rfc3339(later(created, app.settings()?.max_age))),
        None => String::new(),
    };
    Ok((None, format!("it breaks after the next rotation{due}")))
}

/// When the previous key is deactivated, as far as that is known now: a use of it, say by such a copy, may hold it longer.
fn fate_of_previous(app: &App, open: &Open) -> Result<(Option<Timestamp>, String), Failed> {
    if let Some(at) = open.deactivated {
        let undo = format!("`rotakey undo {}` brings the key back", app.profile);
        return Ok((Some(at), format!("this copy broke at {}: {undo}", rfc3339(at))));
    }
    let (policy, now) = (app.settings()?.policy, app.clock.now());
    let published = open.published.unwrap_or(now.wall);
    let ledger = app.state()?.ledger()?;
    let horizon = ledger.as_ref().and_then(|ledger| ledger.horizons.get(&open.outgoing.id));
    let mut at = match safety(horizon, published, &policy, &now) {
        Safety::NotBefore(at) => at,
        Safety::Safe => now.wall,
    };
    if open.outgoing.origin == Origin::HandedOver {
        let served = horizon.and_then(|horizon| horizon.served_until).unwrap_or(published);
        at = at.max(later(later(served, policy.signature_window), policy.observe));
    }
    Ok((Some(at), format!("this copy will break at {}, or a little later", rfc3339(at))))
}
