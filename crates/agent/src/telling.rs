//! Which news a person is told of a rotation: each piece once, however often the same is seen again.
//!
//! What was told is kept in `state/<profile>/told`, so that neither a restart nor another process tells it again, and so
//! that `resume` knows which straggler a person has heard of.

use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use rotakey_core::credential::AccessKeyId;
use rotakey_core::journal::{RotationId, Status};
use rotakey_core::rotation::preflight::describe;
use rotakey_core::rotation::{BY_A_PERSON, Finding, REACTIVATED, WaitingFor};
use serde::{Deserialize, Serialize};

use crate::app::App;
use crate::driver::Came;
use crate::incident::quarantine;
use crate::news::{Kind, News};
use crate::store::disk::{self, System};
use crate::store::durable::Disk;
use crate::store::profile::ProfileState;
use crate::wording::rfc3339;

/// So many failures in a row are news; a single one mends itself.
const FAILURES: u32 = 3;

/// What a straggler is remembered by, and failures.
const STRAGGLER: &str = "straggler";
const FAILED: &str = "failed";

/// How long another process is waited for that tells something of the profile. It needs milliseconds.
const PATIENCE: Duration = Duration::from_secs(2);

/// What was told of a profile's present rotation, or, between two, since the last one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    rotation: Option<RotationId>,
    told: Vec<String>,
    /// The last use from outside that a person was told of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    straggler: Option<Timestamp>,
}

impl Told {
    /// The last use from outside, of the old key of the open rotation, that a person was told of.
    pub fn straggler(app: &App, status: &Status) -> Option<Timestamp> {
        let told = Self::read(&path_of(app, app.key_profile().unwrap_or(&app.profile)));
        let open = &status.rotation.as_ref()?.id;
        told.straggler.filter(|_| told.rotation.as_ref() == Some(open))
    }

    fn has(&self, what: &str) -> bool {
        self.told.iter().any(|told| told == what)
    }

    fn read(path: &Path) -> Self {
        let bytes = disk::read(path).ok().flatten().unwrap_or_default();
        serde_json::from_slice(&bytes).unwrap_or_default()
    }

    /// The news that this makes, less what was told.
    pub fn news(&mut self, seen: &Seen<'_>) -> Vec<News> {
        let open = seen.after.rotation.as_ref().or(seen.before.rotation.as_ref());
        let rotation = open.map(|open| open.id.clone());
        // Something else is under way: what was said of the last one is over.
        if self.rotation != rotation && rotation.is_some() {
            *self = Self { rotation: rotation.clone(), ..Self::default() };
        }
        // Between two rotations it got further: failures that come after that are news again. Of one rotation they are
        // told once.
        let is_failure = matches!(seen.came, Came::Failed(_) | Came::Offline(_) | Came::Clock(_));
        let says_nothing = matches!(seen.came, Came::GaveWay | Came::Busy);
        if rotation.is_none() && !is_failure && !says_nothing {
            self.told.retain(|told| told != FAILED);
        }
        let mut all: Vec<Piece> = progress(seen).into_iter().collect();
        all.extend(trouble(seen));
        let news = all
            .into_iter()
            .filter(|(what, ..)| !self.has(what))
            .collect::<Vec<_>>()
            .into_iter()
            .map(|(what, kind, message, hint)| {
                if what == STRAGGLER {
                    self.heard(seen.came);
                }
                self.told.push(what);
                News {
                    time: seen.now,
                    profile: seen.profile.to_owned(),
                    kind,
                    rotation: rotation.clone(),
                    access_key_id: about(seen, kind),
                    message,
                    hint,
                }
            })
            .collect();
        if seen.after.rotation.is_none() && matches!(seen.came, Came::Finished) {
            *self = Self::default();
        }
        news
    }
}

impl Told {
    fn heard(&mut self, came: &Came) {
        if let Came::Waits(_, WaitingFor::Straggler(at, _)) = came {
            self.straggler = self.straggler.max(Some(*at));
        }
    }
}

/// What a run was, and what it came to.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    /// The profile that holds the key.
    pub profile: &'a str,
    /// Now.
    pub now: Timestamp,
    /// The journal before it.
    pub before: &'a Status,
    /// The journal after it.
    pub after: &'a Status,
    /// What it came to.
    pub came: &'a Came,
    /// Failures in a row.
    pub failures: u32,
}

/// Tells what is new.
pub fn tell(app: &App, seen: &Seen<'_>) {
    if let Some(why) = quarantined(seen.came) {
        // The agent's own look may have told it already.
        let state = ProfileState::new(&app.paths.state, seen.profile);
        quarantine::tell(app, &state, seen.after, why);
    }
    change(&path_of(app, seen.profile), seen.profile, |told| {
        for news in told.news(seen) {
            app.announcer.tell(&news);
        }
    });
}

/// A person sees what his command came to, whether or not it is news.
pub fn heard(app: &App, profile: &str, status: &Status, came: &Came) {
    let Some(open) = &status.rotation else { return };
    change(&path_of(app, profile), profile, |told| {
        if told.rotation.as_ref() == Some(&open.id) {
            told.heard(came);
        }
    });
}

/// One process at a time: the agent and a command tell of the same rotation.
fn change(path: &Path, profile: &str, change: impl FnOnce(&mut Told)) {
    let lock = System.lock(&path.with_extension("lock"), PATIENCE);
    // What is told twice is better than what is not told.
    if !matches!(lock, Ok(Some(_))) {
        tracing::warn!(profile, "what was told is in use by another process");
    }
    let mut told = Told::read(path);
    let before = told.clone();
    change(&mut told);
    if told != before {
        let bytes = serde_json::to_vec(&told).unwrap_or_default();
        if let Err(error) = disk::replace(path, &bytes) {
            tracing::warn!(profile, %error, "what was told is not noted");
        }
    }
}

fn path_of(app: &App, profile: &str) -> PathBuf {
    app.paths.state.join(profile).join("told")
}

type Piece = (String, Kind, String, Option<String>);

fn piece(what: &str, kind: Kind, message: String, hint: Option<String>) -> Piece {
    (what.to_owned(), kind, message, hint)
}

/// How far it came: seen in the journal, so that it is told late rather than never.
fn progress(seen: &Seen<'_>) -> Option<Piece> {
    let profile = seen.profile;
    if matches!(seen.came, Came::Finished) && seen.after.rotation.is_none() {
        let served = &seen.after.current.as_ref()?.id;
        return match &seen.after.last_failure {
            None => {
                let message = format!("{served} is served, and is the only key");
                Some(piece("rotated", Kind::Rotated, message, None))
            }
            // Told when it was turned round.
            Some(_) => None,
        };
    }
    let open = seen.after.rotation.as_ref().filter(|open| open.published.is_some())?;
    let (served, other) = (&open.survivor().id, &open.outgoing.id);
    let back = format!("`rotakey undo {profile}` goes back");
    Some(match &open.undone {
        None => {
            let message = format!("{served} is served; {other} is on its way out");
            piece("published", Kind::Published, message, Some(back))
        }
        Some(why) if why == BY_A_PERSON => {
            let message = format!("{served} is served again; {other} is on its way out");
            piece("undone", Kind::Undone, message, None)
        }
        Some(why) if why.starts_with(REACTIVATED) => {
            let message = format!("{served} was made active again, and is served: {why}");
            let hint =
                format!("find out what is wrong with {other}, then `rotakey rotate {profile}`");
            piece("reactivated", Kind::Reactivated, message, Some(hint))
        }
        Some(why) => {
            let message = format!("the rotation was taken back, {served} is served: {why}");
            piece("taken back", Kind::Failed, message, None)
        }
    })
}

/// What a person can do about a rotation that is stuck.
pub fn choices(profile: &str) -> String {
    format!(
        "look with `rotakey keys --profile {profile}`; then `rotakey resume {profile}`, `rotakey undo {profile}` or `rotakey abort {profile}`"
    )
}

/// What stands in the way.
fn trouble(seen: &Seen<'_>) -> Option<Piece> {
    let profile = seen.profile;
    let despite = || format!("`rotakey resume {profile} --despite-use`");
    Some(match seen.came {
        Came::Waits(_, WaitingFor::Straggler(at, service)) => {
            let at = rfc3339(*at);
            let message = format!("the old key is still used from outside ({service}, {at})");
            let hint =
                format!("find that program; it goes on when that stops, or by {}", despite());
            piece(STRAGGLER, Kind::Held, message, Some(hint))
        }
        Came::Waits(_, WaitingFor::Mfa(why)) => {
            let hint = format!("`rotakey mfa {profile}` gives a code");
            piece("mfa", Kind::Held, format!("it waits for an MFA code: {why}"), Some(hint))
        }
        Came::Stuck(why) => {
            // The kind says that it is stuck.
            piece(&format!("stuck: {why}"), Kind::Stuck, why.clone(), Some(choices(profile)))
        }
        Came::Blocked(findings) => return blocked(profile, findings),
        Came::Copied(place) => {
            let message = format!("a rotation is due, and the key is also in {place}");
            let hint = "programs that read it there would be left behind: `rotakey import` takes it out; `rotakey rotate` goes ahead all the same";
            piece("plaintext copy", Kind::Held, message, Some(hint.to_owned()))
        }
        Came::Abandoned(why) => {
            let message = format!("the rotation was taken back, the old key is served: {why}");
            piece(&format!("abandoned: {why}"), Kind::Failed, message, None)
        }
        Came::Failed(why) if seen.failures >= FAILURES => {
            let is_soaking = seen.after.rotation.as_ref().is_some_and(|o| o.deactivated.is_some());
            let hint = match is_soaking {
                true => {
                    "if no key of the user works, an admin makes one Active: aws iam update-access-key"
                }
                false => "`rotakey doctor` looks for the reason; it is tried again",
            };
            piece(FAILED, Kind::Failed, format!("it fails: {why}"), Some(hint.to_owned()))
        }
        _ => return None,
    })
}

fn blocked(profile: &str, findings: &[Finding]) -> Option<Piece> {
    let all = findings.iter().filter(|finding| !finding.is_warning());
    let message = all.map(describe).collect::<Vec<_>>().join("; ");
    let found = |is: fn(&Finding) -> bool| findings.iter().any(is);
    if found(|finding| matches!(finding, Finding::Quarantined(_))) {
        return None;
    }
    let (kind, hint) = if found(|finding| matches!(finding, Finding::SecondInstall(_))) {
        (
            Kind::Held,
            "rotate there, or, if that installation is gone, remove its tag: aws iam untag-user"
                .to_owned(),
        )
    } else if found(|finding| matches!(finding, Finding::Stranger(_))) {
        (
            Kind::Held,
            format!(
                "IAM allows two keys: delete that one if nobody needs it; `rotakey rotate {profile} --dry-run` names the choices"
            ),
        )
    } else {
        (Kind::Failed, format!("`rotakey rotate {profile} --dry-run` says what is missing"))
    };
    let message = format!("a rotation is due and cannot begin: {message}");
    Some(piece(&message.clone(), kind, message, Some(hint)))
}

/// What AWS said, if it was that the key leaked. `incident::quarantine` has the words.
fn quarantined(came: &Came) -> Option<&str> {
    match came {
        Came::Quarantined(why) => Some(why),
        Came::Blocked(findings) => findings.iter().find_map(|finding| match finding {
            Finding::Quarantined(why) => Some(why.as_str()),
            _ => None,
        }),
        _ => None,
    }
}

/// The key that the news is about.
fn about(seen: &Seen<'_>, kind: Kind) -> Option<AccessKeyId> {
    let open = seen.after.rotation.as_ref();
    let current = || seen.after.current.as_ref().map(|key| key.id.clone());
    match (kind, open) {
        (Kind::Held | Kind::Stuck, Some(open)) => Some(open.outgoing.id.clone()),
        (_, Some(open)) => Some(open.survivor().id.clone()),
        _ => current(),
    }
}

#[cfg(test)]
mod tests;
