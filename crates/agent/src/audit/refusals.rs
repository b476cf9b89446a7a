//! Programs that were turned away, in the audit trail: by a thread of its own, and never more lines than a disk can take.
//!
//! The first refusal of a kind is written at once. Further ones of the same kind are counted, and written together after a
//! minute, then after two, and so on up to an hour.

use std::collections::HashMap;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use jiff::Timestamp;
use rotakey_core::credential::AccessKeyId;
use rotakey_core::time::later;
use rotakey_endpoint::proxy::keys::Virtualised;
use rotakey_endpoint::proxy::refusal::Refusal;
use rotakey_endpoint::table::{Caller, Refused};

use super::sessions::{Flood, Made};
use super::{Audit, By};
use crate::clock::SystemClock;
use crate::proc::{self, Program};
use crate::serving::holders::Holders;

/// Refusals that wait to be noted. When more come in, some go uncounted here; the metrics count them all.
const QUEUE: usize = 256;

const PAUSE: Duration = Duration::from_secs(60);
const PAUSE_MAX: Duration = Duration::from_secs(3600);

/// Between two looks at what is to be written.
const LOOK: Duration = Duration::from_secs(5);

/// A user who comes with more kinds than that is not told apart any more.
const KINDS_MAX: usize = 64;

/// What is cut from what a stranger sent.
const WHAT_MAX: usize = 120;

/// A program's use of a placeholder is written once in so long.
const USE_PAUSE: Duration = Duration::from_secs(86_400);

/// More programs than that are not remembered.
const USES_MAX: usize = 1024;

/// Takes refusals, and does not wait.
#[derive(Clone, Debug)]
pub struct Refusals {
    queue: SyncSender<Note>,
}

#[derive(Debug)]
enum Note {
    Refused(Why, Option<Caller>, String),
    Used { placeholder: AccessKeyId, profile: String, caller: Caller },
    Made(Made),
}

/// Why somebody was turned away: by what serves credentials, or by the proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Why {
    /// By the endpoint, or before a request was read.
    Endpoint(Refused),
    /// By the proxy.
    Proxy(Refusal),
}

impl From<Refused> for Why {
    fn from(why: Refused) -> Self {
        Self::Endpoint(why)
    }
}

impl From<Refusal> for Why {
    fn from(why: Refusal) -> Self {
        Self::Proxy(why)
    }
}

impl std::fmt::Display for Why {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Endpoint(why) => write!(f, "{why:?}"),
            Self::Proxy(why) => write!(f, "proxy, {why:?}"),
        }
    }
}

impl Why {
    /// A program that asks for what there is not, or before there is a key, or is cut off, is no intruder.
    fn is_of_nobody(self) -> bool {
        match self {
            Self::Endpoint(why) => matches!(why, Refused::NotFound | Refused::Unavailable),
            Self::Proxy(why) => matches!(
                why,
                Refusal::NoKey | Refusal::Unreachable | Refusal::Busy | Refusal::WrongLength
            ),
        }
    }
}

/// A reason, and the user.
type Kind = (Why, Option<u32>);

#[derive(Debug)]
struct Pending {
    count: u64,
    what: String,
    next: Timestamp,
    pause: Duration,
}

impl Refusals {
    /// Begins, in a thread of its own.
    ///
    /// # Errors
    ///
    /// If there can be no thread.
    pub fn start(audit: Audit, holders: Holders, clock: SystemClock) -> std::io::Result<Self> {
        let (queue, inbox) = sync_channel(QUEUE);
        let work = move || {
            let mut tally = Tally::default();
            work(&inbox, &mut tally, &audit, &holders, &clock);
        };
        std::thread::Builder::new().name("audit".to_owned()).spawn(work)?;
        Ok(Self { queue })
    }

    /// Notes one.
    pub fn note(&self, why: impl Into<Why>, caller: Option<&Caller>, what: &str) {
        let why = why.into();
        if !why.is_of_nobody() {
            let what = what.chars().filter(|c| !c.is_control()).take(WHAT_MAX).collect();
            let _ = self.queue.try_send(Note::Refused(why, caller.cloned(), what));
        }
    }

    /// A program went through the proxy. The first use of each program and placeholder in a day is written.
    pub fn used(&self, placeholder: &AccessKeyId, profile: &str, caller: &Caller) {
        let (placeholder, profile) = (placeholder.clone(), profile.to_owned());
        let _ = self.queue.try_send(Note::Used { placeholder, profile, caller: caller.clone() });
    }

    /// A program got a session through the proxy.
    pub fn made(&self, session: &Virtualised<'_>) {
        if self.queue.try_send(Note::Made(Made::of(session))).is_err() {
            let (profile, local) = (session.profile, session.local);
            tracing::warn!(profile, %local, "a session is not in the audit trail: it is behind");
        }
    }
}

fn work(
    inbox: &Receiver<Note>,
    tally: &mut Tally,
    audit: &Audit,
    holders: &Holders,
    clock: &SystemClock,
) {
    let (mut uses, mut flood) = (Uses::default(), Flood::default());
    loop {
        let got = if tally.kinds.is_empty() {
            // Nothing will be due: an agent at rest is not woken for it.
            inbox.recv().map_err(|_| RecvTimeoutError::Disconnected)
        } else {
            inbox.recv_timeout(LOOK)
        };
        let now = clock.wall();
        match &got {
            Ok(Note::Refused(why, caller, what)) => {
                if let Some((kind, line)) = tally.note((*why, caller.as_ref().map(uid)), what, now)
                {
                    write(audit, kind, caller.as_ref(), &line);
                }
            }
            Ok(Note::Used { placeholder, profile, caller }) => {
                // Whoever notes holders has found it out: to look at all processes again, for each connection, would
                // cost more than most requests.
                let program = holders.who(caller);
                let used = (placeholder, profile.as_str(), caller);
                write_use(audit, &mut uses, used, program.as_ref(), now);
            }
            Ok(Note::Made(made)) => made.write(audit, &mut flood, holders, now),
            Err(_) => {}
        }
        let is_over = matches!(got, Err(RecvTimeoutError::Disconnected));
        for (kind, line) in tally.due(if is_over { Timestamp::MAX } else { now }) {
            write(audit, kind, None, &line);
        }
        if is_over {
            return;
        }
    }
}

/// Which programs used which placeholders, and when that is written again.
#[derive(Debug, Default)]
struct Uses(HashMap<(AccessKeyId, Option<String>), Timestamp>);

impl Uses {
    /// Whether this use is to be written.
    fn note(&mut self, placeholder: &AccessKeyId, exe: Option<String>, now: Timestamp) -> bool {
        if self.0.len() >= USES_MAX {
            self.0.retain(|_, next| now < *next);
        }
        let use_of = (placeholder.clone(), exe);
        if self.0.get(&use_of).is_some_and(|next| now < *next) {
            return false;
        }
        if self.0.len() < USES_MAX {
            self.0.insert(use_of, later(now, USE_PAUSE));
        }
        true
    }
}

fn write_use(
    audit: &Audit,
    uses: &mut Uses,
    (placeholder, profile, caller): (&AccessKeyId, &str, &Caller),
    program: Option<&Program>,
    now: Timestamp,
) {
    // We look whether the proxy works.
    if program.is_some_and(proc::is_own) {
        return;
    }
    if !uses.note(placeholder, program.and_then(|program| program.exe.clone()), now) {
        return;
    }
    let by = by_of(caller, program);
    let detail = "through the proxy; further uses of this program are not written for a day";
    if let Err(error) = audit.record_of(&by, "proxy-use", profile, Some(placeholder), detail) {
        tracing::warn!(%error, "the use of a placeholder is not in the audit trail");
    }
}

pub(super) fn by_of(caller: &Caller, program: Option<&Program>) -> By {
    match program {
        // It may be gone by now.
        Some(program) => By { exe: program.exe.clone(), ..By::process(uid(caller), program.pid) },
        None => By { uid: uid(caller), pid: None, exe: None, parent_exe: None },
    }
}

fn uid(caller: &Caller) -> u32 {
    match caller {
        Caller::Process { uid, .. } | Caller::Socket { uid, .. } => *uid,
    }
}

fn write(audit: &Audit, (why, uid): Kind, caller: Option<&Caller>, detail: &str) {
    let pid = match caller {
        Some(Caller::Process { pid, .. }) => Some(*pid),
        Some(Caller::Socket { inode, .. }) => proc::owner_of(*inode).map(|program| program.pid),
        None => None,
    };
    let by = match (uid, pid) {
        (Some(uid), Some(pid)) => By::process(uid, pid),
        (uid, _) => By { uid: uid.unwrap_or(u32::MAX), pid: None, exe: None, parent_exe: None },
    };
    let detail = format!("{why}: {detail}");
    if let Err(error) = audit.record_of(&by, "refused", "", None, &detail) {
        tracing::warn!(%error, "a refusal is not in the audit trail");
    }
}

/// What was counted and is not written yet.
#[derive(Debug, Default)]
struct Tally {
    kinds: HashMap<Kind, Pending>,
}

impl Tally {
    /// What is to be written at once, if anything.
    fn note(&mut self, kind: Kind, what: &str, now: Timestamp) -> Option<(Kind, String)> {
        let kind = match self.kinds.len() {
            KINDS_MAX.. if !self.kinds.contains_key(&kind) => (kind.0, None),
            _ => kind,
        };
        if let Some(pending) = self.kinds.get_mut(&kind) {
            pending.count += 1;
            what.clone_into(&mut pending.what);
            return None;
        }
        let next = later(now, PAUSE);
        self.kinds.insert(kind, Pending { count: 0, what: String::new(), next, pause: PAUSE });
        Some((kind, what.to_owned()))
    }

    /// What is to be written by now. A kind of which there was no more is forgotten.
    fn due(&mut self, now: Timestamp) -> Vec<(Kind, String)> {
        let mut lines = Vec::new();
        self.kinds.retain(|kind, pending| {
            if now < pending.next {
                return true;
            }
            if pending.count == 0 {
                return false;
            }
            lines.push((*kind, format!("{} more, the last one: {}", pending.count, pending.what)));
            pending.count = 0;
            pending.pause = (pending.pause * 2).min(PAUSE_MAX);
            pending.next = later(now, pending.pause);
            true
        });
        lines
    }
}

#[cfg(test)]
mod tests;
