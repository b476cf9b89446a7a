//! What a person should hear of without asking for it: a rotation that is done, held, stuck or taken back.
//!
//! It goes into the log, into `state/news.jsonl`, and to the person: by a desktop notification, or by the command
//! `on_event`. All of that is done by a thread of its own, so nobody who tells something waits.

mod command;
#[cfg(target_os = "linux")]
mod desktop;
mod told;

use std::path::PathBuf;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use rotakey_core::credential::AccessKeyId;
use rotakey_core::journal::RotationId;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use self::told::Told;

/// What kind of news it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A rotation is complete: one key, the new one.
    Rotated,
    /// The new key is served; the old one is on its way out.
    Published,
    /// The previous key is served again, because a person asked for it.
    Undone,
    /// The previous key was made active again by rotakey itself, on a sign from this machine.
    Reactivated,
    /// It waits for a person, and goes on by itself when the reason is gone: a straggler, a stranger's key, an MFA code.
    Held,
    /// A person has to decide.
    Stuck,
    /// A rotation was taken back, or did not begin.
    Failed,
    /// AWS has attached a policy to the user because the key leaked.
    Quarantine,
    /// A person said that the key leaked, and it was replaced at once.
    Compromised,
}

/// One piece of news. It holds no secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct News {
    /// When.
    pub time: Timestamp,
    /// The profile that holds the key.
    pub profile: String,
    /// What.
    pub kind: Kind,
    /// Of which rotation.
    pub rotation: Option<RotationId>,
    /// The key it is about.
    pub access_key_id: Option<AccessKeyId>,
    /// What happened, for a person: one line.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Kind {
    /// As `on_event` names it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Rotated => "rotated",
            Self::Published => "published",
            Self::Undone => "undone",
            Self::Reactivated => "reactivated",
            Self::Held => "held",
            Self::Stuck => "stuck",
            Self::Failed => "failed",
            Self::Quarantine => "quarantine",
            Self::Compromised => "compromised",
        }
    }

    /// Whether a person has to do something.
    #[must_use]
    pub fn is_urgent(self) -> bool {
        matches!(self, Self::Held | Self::Stuck | Self::Quarantine | Self::Compromised)
    }
}

impl News {
    /// What `on_event` is given, and what stands in `news.jsonl`: one line.
    #[must_use]
    pub fn json(&self) -> Value {
        let mut value = serde_json::to_value(self).unwrap_or_default();
        value["version"] = 1.into();
        value
    }
}

/// The news of a file, the oldest first.
#[must_use]
pub fn recent(file: &std::path::Path) -> Vec<News> {
    told::read(file)
}

/// News that wait to be told. When more come in, some are only logged.
const QUEUE: usize = 64;

/// How long the end of a process waits for its news to be told.
const LAST_WORDS: Duration = Duration::from_secs(3);

/// Where news go to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ways {
    /// A command that is run with the event on its standard input.
    pub on_event: Option<String>,
    /// A notification on the desktop, if there is one.
    pub desktop: bool,
    /// The file of recent news.
    pub file: Option<PathBuf>,
}

/// Tells news. Cheap to copy; never waits and never fails: whatever cannot be told is logged. The last copy to be dropped
/// waits for what is being told, for three seconds at most.
#[derive(Clone, Debug, Default)]
pub struct Announcer {
    office: Option<Arc<Office>>,
}

#[derive(Debug)]
struct Office {
    ways: Ways,
    /// Made when there is something to tell: most commands have nothing.
    queue: OnceLock<Option<SyncSender<News>>>,
    pending: Arc<Pending>,
}

/// How many news are not told yet.
#[derive(Debug, Default)]
struct Pending {
    count: Mutex<usize>,
    changed: Condvar,
}

impl Announcer {
    /// One that tells it in these ways.
    #[must_use]
    pub fn new(ways: Ways) -> Self {
        let office = Office { ways, queue: OnceLock::new(), pending: Arc::default() };
        Self { office: Some(Arc::new(office)) }
    }

    /// Tells it.
    pub fn tell(&self, news: &News) {
        let News { profile, kind, message, .. } = news;
        let (kind, hint) = (kind.name(), news.hint.as_deref());
        if news.kind.is_urgent() {
            tracing::warn!(profile, kind, message, hint, "news");
        } else {
            tracing::info!(profile, kind, message, hint, "news");
        }
        let Some(office) = &self.office else { return };
        let Some(queue) = office.queue.get_or_init(|| office.open()) else { return };
        office.pending.add();
        match queue.try_send(news.clone()) {
            Ok(()) => {}
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                office.pending.done();
                tracing::warn!(profile, kind, "there are too many news: this one is only logged");
            }
        }
    }
}

impl Office {
    fn open(&self) -> Option<SyncSender<News>> {
        let (queue, inbox) = sync_channel::<News>(QUEUE);
        let (ways, pending) = (self.ways.clone(), Arc::clone(&self.pending));
        let work = move || {
            let mut told = Told::read(ways.file.clone());
            for news in inbox {
                if told.is_new(&news) {
                    tell(&ways, &news);
                    told.note(&news);
                }
                pending.done();
            }
        };
        let thread = std::thread::Builder::new().name("news".to_owned()).spawn(work);
        thread.inspect_err(|error| tracing::warn!(%error, "no thread to tell news")).ok()?;
        Some(queue)
    }
}

impl Drop for Office {
    fn drop(&mut self) {
        self.pending.wait(LAST_WORDS);
    }
}

fn tell(ways: &Ways, news: &News) {
    #[cfg(target_os = "linux")]
    if ways.desktop
        && let Err(error) = desktop::notify(news)
    {
        // A server has no desktop; nor has a person who is not logged in.
        tracing::debug!(%error, "no desktop notification");
    }
    if let Some(command) = &ways.on_event {
        match command::run(command, &news.json().to_string()) {
            Ok(said) if said.is_empty() => {}
            Ok(said) => tracing::info!(said, "on_event"),
            Err(error) => tracing::warn!(error, "on_event"),
        }
    }
}

impl Pending {
    fn add(&self) {
        *self.count.lock().unwrap_or_else(PoisonError::into_inner) += 1;
    }

    fn done(&self) {
        *self.count.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        self.changed.notify_all();
    }

    fn wait(&self, limit: Duration) {
        let count = self.count.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = self.changed.wait_timeout_while(count, limit, |count| *count > 0);
    }
}

#[cfg(test)]
mod tests;
