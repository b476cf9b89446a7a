//! The evidence of an incident: `state/<profile>/incidents/<time>-<rotation>.json`, one file for each key that leaked.
//!
//! It is written again after each engine run of that rotation, whoever made it: a person's command, or the agent that
//! went on with it. What was known before is kept. It holds ids and times, and no secret.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

use jiff::Timestamp;
use rotakey_core::credential::AccessKeyId;
use rotakey_core::iam::LastUsed;
use rotakey_core::journal::{Key, Origin};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::advice;
use super::timeline::Story;
use crate::app::App;
use crate::clock::Clock;
use crate::iam::aws::iam_region;
use crate::iam::calls::Call;
use crate::serving::holders::{self, Holder};
use crate::store::disk::{self, System};
use crate::store::durable::Disk;
use crate::store::profile::ProfileState;

/// Calls to AWS that are kept in one file.
const CALLS_MAX: usize = 2000;

/// How long another process may take to write it.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(5);

/// The file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// The format, 1.
    pub version: u32,
    /// The profile that holds the key.
    pub profile: String,
    /// Whose key it is.
    pub account_id: String,
    /// Its user's name.
    pub user: String,
    /// Its user's ARN.
    pub arn: String,
    /// When a person said that it leaked.
    pub said: Timestamp,
    /// The rotation that replaced it; none if it was taken out of service without a replacement.
    pub rotation: Option<String>,
    /// The key that leaked.
    pub compromised: KeyFacts,
    /// The key that took its place.
    pub replacement: Option<KeyFacts>,
    /// When the leaked key was seen refused by AWS.
    pub refused_since: Option<Timestamp>,
    /// Who of this machine held the leaked key, or a session of it.
    pub holders: Vec<Holder>,
    /// Until when programs of this machine were told they may use it.
    pub horizon: Option<Timestamp>,
    /// `GetAccessKeyLastUsed`, asked before it was deactivated. It lags by hours, and knows one use in 15 minutes.
    pub last_used: Option<Used>,
    /// What was done about sessions made from it.
    pub sessions: Option<Revocation>,
    /// The policy is being attached: sessions from before may be served still, and are to be minted anew.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub revoking: bool,
    /// What else to do, as commands.
    pub next: Vec<String>,
    /// The calls to AWS, with AWS's request ids.
    pub calls: Vec<Call>,
    /// The journal's lines of the rotation, as `history --json` has them.
    pub timeline: Vec<Value>,
}

/// What is known of a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyFacts {
    /// Its id.
    pub access_key_id: AccessKeyId,
    /// Its `CreateDate`, if known.
    pub created: Option<Timestamp>,
    /// How it came to us.
    pub origin: Origin,
}

/// The last use that IAM shows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Used {
    /// When IAM was asked.
    pub asked: Timestamp,
    /// When the key was used; none if it never was.
    pub at: Option<Timestamp>,
    /// At which service.
    pub service: Option<String>,
    /// In which region.
    pub region: Option<String>,
    /// Why it is not known.
    pub unknown: Option<String>,
}

/// What was done about sessions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revocation {
    /// Sessions of the user from before this instant of AWS's clock are refused, or would be.
    pub older_than: Timestamp,
    /// Whether the policy is attached.
    pub is_attached: bool,
    /// Why it is not.
    pub why_not: Option<String>,
    /// What an administrator has to run, for the user and for roles.
    pub admin: Vec<String>,
}

/// What was seen before the key was touched.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Before {
    /// Who held it.
    pub holders: Vec<Holder>,
    /// Until when.
    pub horizon: Option<Timestamp>,
    /// Its last use.
    pub last_used: Option<Used>,
}

impl Evidence {
    /// Puts down what was done about sessions, in the place of what was before.
    pub fn revoked(&mut self, revocation: Revocation) {
        if let Some(earlier) = self.sessions.take() {
            self.next.retain(|command| !earlier.admin.contains(command));
        }
        self.next.extend(revocation.admin.iter().cloned());
        self.sessions = Some(revocation);
        self.revoking = false;
    }
}

impl Used {
    /// An answer of IAM, or why there is none.
    pub fn of(asked: Timestamp, used: Result<Option<LastUsed>, String>) -> Self {
        let (used, unknown) = match used {
            Ok(used) => (used, None),
            Err(why) => (None, Some(why)),
        };
        let at = used.as_ref().map(|used| used.at);
        let (service, region) =
            used.map_or((None, None), |used| (Some(used.service), Some(used.region)));
        Self { asked, at, service, region, unknown }
    }
}

/// Where the evidence of a profile is.
pub fn folder(state: &ProfileState) -> PathBuf {
    state.dir().join("incidents")
}

/// Keeps what was seen of keys before they are touched: whoever goes on after a crash has it from there.
pub fn keep_before(state: &ProfileState, seen: &BTreeMap<AccessKeyId, Before>) -> io::Result<()> {
    let json = serde_json::to_vec_pretty(seen).map_err(io::Error::other)?;
    disk::replace(&kept_in(state), &json)
}

fn kept_before(state: &ProfileState, id: &AccessKeyId) -> Option<Before> {
    let bytes = disk::read(&kept_in(state)).ok()??;
    let mut kept: BTreeMap<AccessKeyId, Before> = serde_json::from_slice(&bytes).ok()?;
    kept.remove(id)
}

fn kept_in(state: &ProfileState) -> PathBuf {
    state.dir().join("incident-before.json")
}

/// Adds calls to the evidence of the last incident in a profile's journal, if they were made in its time. Nothing that
/// goes wrong here may stop what is done about a leaked key.
pub fn keep(app: &App, state: &ProfileState, started: Timestamp, calls: Vec<Call>) {
    let is_recent = |story: &Story| {
        story.said.time >= started
            || story.after.rotation.as_ref().map(|open| &open.id) == story.rotation.as_ref()
            || story.lines.last().and_then(|line| line["time"].as_str()?.parse().ok())
                >= Some(started)
    };
    if let Err(error) = update(app, state, is_recent, |evidence| {
        let room = CALLS_MAX.saturating_sub(evidence.calls.len());
        evidence.calls.extend(calls.into_iter().take(room));
    }) {
        tracing::warn!(profile = state.profile(), %error, "the evidence is not written");
    }
}

/// Changes the evidence of the last incident, and says where it is. `None` if there was none.
pub fn change(
    app: &App,
    state: &ProfileState,
    change: impl FnOnce(&mut Evidence),
) -> io::Result<Option<(PathBuf, Evidence)>> {
    update(app, state, |_| true, change)
}

fn update(
    app: &App,
    state: &ProfileState,
    applies: impl FnOnce(&Story) -> bool,
    change: impl FnOnce(&mut Evidence),
) -> io::Result<Option<(PathBuf, Evidence)>> {
    let (entries, _) = state.read().map_err(io::Error::other)?;
    let Some(story) = Story::last(state.profile(), &entries).filter(applies) else {
        return Ok(None);
    };
    let folder = folder(state);
    disk::create_private_dir(&folder)?;
    let rotation = story.rotation.as_ref().map_or("withdrawn", |id| &id.0);
    let time = story.said.time.strftime("%Y%m%dT%H%M%SZ");
    let path = folder.join(format!("{time}-{rotation}.json"));
    // A command and the agent may be at it at the same moment.
    let lock = System.lock(&state.dir().join("incidents.lock"), PATIENCE)?;
    let _lock = lock.ok_or_else(|| io::Error::other("another process is writing it"))?;
    let known = disk::read(&path)?.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    let mut evidence = of(app, state, &story, known)?;
    change(&mut evidence);
    let mut json = serde_json::to_vec_pretty(&evidence).map_err(io::Error::other)?;
    json.push(b'\n');
    disk::replace(&path, &json)?;
    Ok(Some((path, evidence)))
}

/// The evidence as it is now, with what was known before.
fn of(
    app: &App,
    state: &ProfileState,
    story: &Story,
    known: Option<Evidence>,
) -> io::Result<Evidence> {
    let leaked = story.leaked().ok_or_else(|| io::Error::other("the journal names no key"))?;
    let whose = story.then.enrolment.clone().ok_or_else(|| io::Error::other("nobody's key"))?;
    let now = app.clock.now().wall;
    let facts = |key: &Key| KeyFacts {
        access_key_id: key.id.clone(),
        created: key.created,
        origin: key.origin,
    };
    let open = story.then.rotation.as_ref();
    let key = open.map(|open| &open.outgoing).or(story.then.current.as_ref());
    let replacement = story.after.rotation.as_ref().and_then(|open| open.incoming.as_ref());
    let replacement = replacement.or(story.after.current.as_ref()).filter(|key| key.id != leaked);
    let seen = kept_before(state, &leaked).unwrap_or_else(|| before(state, &leaked, now));
    let region = app.settings().map_or("us-east-1", |settings| iam_region(&settings.region));
    let mut next = vec![
        advice::lookup_events(&leaked, region),
        format!("rotakey scan    # finds copies of {leaked} on this machine"),
    ];
    if let Some(sessions) = known.as_ref().and_then(|known| known.sessions.as_ref()) {
        next.extend(sessions.admin.iter().cloned());
    }
    let known = known.as_ref();
    Ok(Evidence {
        version: 1,
        profile: state.profile().to_owned(),
        account_id: whose.account_id,
        user: whose.user,
        arn: whose.arn,
        said: story.said.time,
        rotation: story.rotation.as_ref().map(|id| id.0.clone()),
        compromised: KeyFacts {
            access_key_id: leaked,
            created: key.and_then(|key| key.created),
            origin: key.map_or(Origin::HandedOver, |key| key.origin),
        },
        replacement: replacement
            .map(facts)
            .or_else(|| known.and_then(|known| known.replacement.clone())),
        refused_since: story.refused,
        holders: known.map_or(seen.holders, |known| known.holders.clone()),
        horizon: known.map_or(seen.horizon, |known| known.horizon),
        last_used: known.and_then(|known| known.last_used.clone()).or(seen.last_used),
        sessions: known.and_then(|known| known.sessions.clone()),
        revoking: known.is_some_and(|known| known.revoking),
        next,
        calls: known.map(|known| known.calls.clone()).unwrap_or_default(),
        timeline: story.lines.clone(),
    })
}

/// Who holds a key, and until when, as it is on disk.
pub fn before(state: &ProfileState, id: &AccessKeyId, now: Timestamp) -> Before {
    let mut holders = holders::read(state, now);
    holders.retain(|holder| holder.access_key_id == *id);
    let ledger = state.ledger().ok().flatten();
    let horizon = ledger.and_then(|ledger| {
        let horizon = ledger.horizons.get(id)?;
        horizon.served_until.max(horizon.unrecorded_until)
    });
    Before { holders, horizon, last_used: None }
}
