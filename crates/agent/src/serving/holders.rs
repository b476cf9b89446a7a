//! Who holds which key until when: for people, and for `status`. The rule of leases does not go by it: what rotakey
//! fetches itself, to see that a key is served, stands in the horizons alone.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use rotakey_core::credential::AccessKeyId;
use rotakey_endpoint::table::{Caller, Handed, Source};
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use super::ServedKey;
use crate::clock::{Clock, SystemClock};
use crate::proc::{self, Program};
use crate::store::disk;
use crate::store::profile::ProfileState;

/// Answers that wait to be noted. When more come in faster, some go unnoted: programs come first.
const QUEUE: usize = 1024;

/// A program that connects anew is waited for until it is known, as it may be gone directly after the answer: so often in
/// a second, and for so long. Those who come in faster are noted without a name.
const WAITED_FOR: u32 = 10;
const WAIT: Duration = Duration::from_millis(50);

/// How many notes are remembered, not to be made again.
const RECENT: usize = 8192;

/// Looks at all processes in a second: each takes milliseconds of the processor. Who comes in faster is noted without a name.
const LOOKS: u32 = 10;

/// How many holders a profile's list keeps.
const HOLDERS_MAX: usize = 1000;

/// How often the lists are written.
const WRITE_EVERY: Duration = Duration::from_secs(5);

/// A list that is added to line by line is written anew when it is this long.
const FILE_BYTES_MAX: u64 = 256 * 1024;

/// Somebody who was given a credential.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// The long-term key: what was given, or what it was minted from. Of the proxy: the placeholder.
    pub access_key_id: AccessKeyId,
    /// `process`, `container`, `imds` or `proxy`.
    pub source: String,
    /// The process, if it could be told.
    pub pid: Option<u32>,
    /// When that began, in clock ticks since the boot: a pid alone may be another process by now.
    pub started: Option<u64>,
    /// Its executable.
    pub exe: Option<String>,
    /// Whose it is.
    pub uid: u32,
    /// Until when; of the proxy, an hour from the last use, about.
    pub until: Timestamp,
}

/// Whose state it is, who holds what, and the socket whose process is to be found.
type Note = (ProfileState, Holder, Option<u64>);

/// Notes holders, in a thread of its own.
#[derive(Clone, Debug)]
pub struct Holders {
    queue: SyncSender<Order>,
    lists: Arc<Mutex<HashMap<String, Vec<Holder>>>>,
    recent: Arc<Recent>,
    clock: SystemClock,
    /// A second since the boot, and how many were waited for in it.
    waited: Arc<(AtomicU64, AtomicU32)>,
}

#[derive(Debug)]
enum Order {
    Note(Note),
    /// Find out whose socket it is, and say when that is done.
    Identify(u64, oneshot::Sender<()>),
}

/// The notes that were made last, by their hashes: a program that asks a thousand times in a second holds the same for it.
/// To wake the thread for each answer would take a third of all answers' time.
#[derive(Debug)]
struct Recent {
    hasher: RandomState,
    slots: Box<[AtomicU64]>,
    /// Connections that were looked at, by their inodes.
    sockets: Box<[AtomicU64]>,
}

impl Default for Recent {
    fn default() -> Self {
        let empty = || (0..RECENT).map(|_| AtomicU64::new(0)).collect();
        Self { hasher: RandomState::new(), slots: empty(), sockets: empty() }
    }
}

impl Recent {
    /// Whether a connection is seen for the first time.
    fn is_new(&self, inode: u64) -> bool {
        let place = usize::try_from(inode % RECENT as u64).unwrap_or(0);
        let slot = &self.sockets[place];
        slot.load(Ordering::Relaxed) != inode && slot.swap(inode, Ordering::Relaxed) != inode
    }

    /// The slot of a note, and what stands in it once the note was made. `until` is in whole seconds.
    fn slot(&self, handed: &Handed) -> (&AtomicU64, u64) {
        let Handed { profile, source, key, until, caller, .. } = handed;
        let (uid, pid, inode) = match caller {
            Caller::Process { uid, pid } => (uid, *pid, 0),
            Caller::Socket { uid, inode } => (uid, 0, *inode),
        };
        let hash = self.hasher.hash_one((&profile.name, source, key, until, uid, pid, inode));
        let place = usize::try_from(hash % RECENT as u64).unwrap_or(0);
        (&self.slots[place], hash)
    }
}

impl Holders {
    /// Begins, with what was noted before.
    pub fn start(clock: SystemClock) -> std::io::Result<Self> {
        let (queue, inbox) = sync_channel(QUEUE);
        let lists = Arc::default();
        let noted = Arc::clone(&lists);
        std::thread::Builder::new().name("holders".to_owned()).spawn({
            let clock = clock.clone();
            move || run(&inbox, &noted, &clock)
        })?;
        Ok(Self { queue, lists, clock, recent: Arc::default(), waited: Arc::default() })
    }

    /// Finds out who is at the other end, while it is there to be found.
    pub async fn identify(&self, caller: &Caller) {
        let Caller::Socket { inode, .. } = caller else { return };
        if !self.recent.is_new(*inode) {
            return;
        }
        let (second, count) = &*self.waited;
        let now = self.clock.now().monotonic.since_boot.as_secs();
        if second.swap(now, Ordering::Relaxed) != now {
            count.store(0, Ordering::Relaxed);
        }
        if count.fetch_add(1, Ordering::Relaxed) >= WAITED_FOR {
            return;
        }
        let (done, wait) = oneshot::channel();
        if self.queue.try_send(Order::Identify(*inode, done)).is_ok() {
            let _ = tokio::time::timeout(WAIT, wait).await;
        }
    }

    /// Notes an answer, unless the same was noted just now. Whether it was noted.
    pub fn note(&self, key: &ServedKey, handed: &Handed) -> bool {
        let (slot, hash) = self.recent.slot(handed);
        if slot.load(Ordering::Relaxed) == hash {
            return false;
        }
        let (uid, program, inode) = match &handed.caller {
            // The program that asked waits for the answer: now it is there to be looked at.
            Caller::Process { uid, pid } => (*uid, proc::runner(*pid), None),
            Caller::Socket { uid, inode } => (*uid, None, Some(*inode)),
        };
        if program.as_ref().is_some_and(proc::is_own) {
            return false;
        }
        let holder = holder(handed.key.clone(), handed.source, uid, program, handed.until);
        // A full queue is not worth a program's time.
        let is_noted = self.queue.try_send(Order::Note((key.state.clone(), holder, inode))).is_ok();
        if is_noted {
            slot.store(hash, Ordering::Relaxed);
        }
        is_noted
    }

    /// Notes a holder that is no process.
    pub fn record(&self, state: &ProfileState, holder: Holder) {
        if self.queue.try_send(Order::Note((state.clone(), holder, None))).is_err() {
            tracing::warn!(profile = state.profile(), "a holder is not noted: too many at a time");
        }
    }

    /// Who holds what of a profile's keys, and is alive, as far as it is known.
    pub fn of(&self, state: &ProfileState, now: Timestamp) -> Vec<Holder> {
        let mut lists = lock(&self.lists);
        let list = lists.entry(state.profile().to_owned()).or_insert_with(|| read(state, now));
        alive(list, now)
    }
}

/// A holder, from what is known of it.
pub fn holder(
    access_key_id: AccessKeyId,
    source: Source,
    uid: u32,
    program: Option<Program>,
    until: Timestamp,
) -> Holder {
    let (pid, started, exe) = match program {
        Some(Program { pid, started, exe }) => (Some(pid), Some(started), exe),
        None => (None, None, None),
    };
    Holder { access_key_id, source: source.name().to_owned(), pid, started, exe, uid, until }
}

/// Notes a holder on disk at once: for a process that ends now.
pub fn append(state: &ProfileState, holder: &Holder, now: Timestamp) {
    let path = state.dir().join("holders");
    let written = serde_json::to_string(holder).map_err(std::io::Error::other).and_then(|line| {
        if disk::append_line(&path, &line)? > FILE_BYTES_MAX {
            write(state, &read(state, now))?;
        }
        Ok(())
    });
    if let Err(error) = written {
        tracing::warn!(%error, "a holder is not noted");
    }
}

/// The holders noted on disk whose time is not over.
pub fn read(state: &ProfileState, now: Timestamp) -> Vec<Holder> {
    let bytes = disk::read(&state.dir().join("holders")).ok().flatten().unwrap_or_default();
    let mut list = Vec::new();
    // A line that cannot be read says nothing; the others do.
    for line in bytes.split(|byte| *byte == b'\n') {
        if let Ok(holder) = serde_json::from_slice::<Holder>(line) {
            merge(&mut list, holder);
        }
    }
    list.retain(|holder| holder.until > now);
    list
}

/// Those of a list that may still sign: their time is not over, and their process, if known, has not ended.
pub fn alive(list: &[Holder], now: Timestamp) -> Vec<Holder> {
    let lives = |holder: &Holder| match (holder.pid, holder.started) {
        (Some(pid), Some(started)) => proc::stat(pid).is_some_and(|(_, now)| now == started),
        _ => true,
    };
    list.iter().filter(|holder| holder.until > now && lives(holder)).cloned().collect()
}

fn merge(list: &mut Vec<Holder>, new: Holder) {
    let same = |old: &&mut Holder| {
        (&old.access_key_id, &old.source, old.pid, old.started, old.uid)
            == (&new.access_key_id, &new.source, new.pid, new.started, new.uid)
    };
    match list.iter_mut().find(same) {
        Some(old) => old.until = old.until.max(new.until),
        None => {
            if list.len() >= HOLDERS_MAX {
                list.remove(0);
            }
            list.push(new);
        }
    }
}

fn write(state: &ProfileState, list: &[Holder]) -> std::io::Result<()> {
    let mut text = String::new();
    for holder in list {
        text += &serde_json::to_string(holder).map_err(std::io::Error::other)?;
        text.push('\n');
    }
    disk::replace_unlocked(&state.dir().join("holders"), text.as_bytes())
}

fn run(inbox: &Receiver<Order>, lists: &Mutex<HashMap<String, Vec<Holder>>>, clock: &SystemClock) {
    // A look at every process is for when nobody else needs the processor much. On Linux this is about the calling thread
    // alone (nice(2)); without it, notes cost more, and nothing else.
    #[cfg(target_os = "linux")]
    let _ = rustix::process::nice(5);
    let uptime = || clock.now().monotonic.since_boot;
    let mut changed: HashMap<String, ProfileState> = HashMap::new();
    let mut sockets = HashMap::new();
    let (mut second, mut looks) = (0, 0);
    let mut write_at = Duration::ZERO;
    loop {
        let first = match changed.is_empty() {
            true => inbox.recv().map_err(|_| RecvTimeoutError::Disconnected),
            false => inbox.recv_timeout(write_at.saturating_sub(uptime())),
        };
        let now = clock.now().wall;
        let first = match first {
            Ok(first) => first,
            Err(RecvTimeoutError::Disconnected) => return,
            Err(RecvTimeoutError::Timeout) => {
                for (name, state) in changed.drain() {
                    write_list(lists, &name, &state, now);
                }
                continue;
            }
        };
        let orders: Vec<Order> = std::iter::once(first).chain(inbox.try_iter()).collect();
        if second != uptime().as_secs() {
            (second, looks) = (uptime().as_secs(), 0);
        }
        if looks < LOOKS && look_up(&orders, &mut sockets) {
            looks += 1;
        }
        for order in orders {
            match order {
                // He may not wait any more.
                Order::Identify(_, done) => drop(done.send(())),
                Order::Note((state, mut holder, inode)) => {
                    let program = inode.and_then(|inode| sockets.get(&inode)?.clone());
                    if program.as_ref().is_some_and(proc::is_own) {
                        continue;
                    }
                    if changed.is_empty() {
                        write_at = uptime() + WRITE_EVERY;
                    }
                    if let Some(Program { pid, started, exe }) = program {
                        (holder.pid, holder.started, holder.exe) = (Some(pid), Some(started), exe);
                    }
                    let name = state.profile().to_owned();
                    let mut lists = lock(lists);
                    merge(lists.entry(name.clone()).or_insert_with(|| read(&state, now)), holder);
                    changed.insert(name, state);
                }
            }
        }
    }
}

fn write_list(
    lists: &Mutex<HashMap<String, Vec<Holder>>>,
    name: &str,
    state: &ProfileState,
    now: Timestamp,
) {
    let list = lock(lists).get(name).map(|list| alive(list, now)).unwrap_or_default();
    if let Err(error) = write(state, &list) {
        tracing::warn!(profile = name, %error, "the holders are not noted");
    }
    lock(lists).insert(name.to_owned(), list);
}

/// Finds out whose the sockets are that are not known yet: all at once, as each look is one at every process. False if
/// there was nothing to be found out.
fn look_up(orders: &[Order], sockets: &mut HashMap<u64, Option<Program>>) -> bool {
    if sockets.len() >= QUEUE {
        sockets.clear();
    }
    let inodes = orders.iter().filter_map(|order| match order {
        Order::Identify(inode, _) => Some(*inode),
        Order::Note((_, _, inode)) => *inode,
    });
    let unknown: HashSet<u64> = inodes.filter(|inode| !sockets.contains_key(inode)).collect();
    if unknown.is_empty() {
        return false;
    }
    let mut owners = proc::owners_of(&unknown);
    sockets.extend(unknown.into_iter().map(|inode| (inode, owners.remove(&inode))));
    true
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("in range")
    }

    fn held(key: &str, pid: Option<u32>, until: i64) -> Holder {
        let program = pid.map(|pid| Program { pid, started: 7, exe: Some("/usr/bin/x".into()) });
        holder(key.parse().expect("an id"), Source::Imds, 1, program, at(until))
    }

    #[test]
    fn who_asks_again_holds_longer_and_what_is_over_is_forgotten() {
        let dir = tempfile::tempdir().expect("a folder");
        let state = ProfileState::new(dir.path(), "p");
        drop(state.lock().expect("free"));
        let noted = [
            ("AKIAONE", Some(3), 10),
            ("AKIAONE", Some(3), 5),
            ("AKIAONE", Some(4), 1),
            ("AKIATWO", None, 9),
        ];
        for (key, pid, until) in noted {
            append(&state, &held(key, pid, until), at(0));
        }
        let read = read(&state, at(2));
        assert_eq!(read, [held("AKIAONE", Some(3), 10), held("AKIATWO", None, 9)]);
        // Process 3 never began at tick 7.
        assert_eq!(alive(&read, at(2)), [held("AKIATWO", None, 9)]);
        assert_eq!(alive(&read, at(9)), []);
    }
    #[test]
    fn a_crowd_of_holders_makes_neither_the_list_nor_its_file_grow_without_end() {
        let dir = tempfile::tempdir().expect("a folder");
        let state = ProfileState::new(dir.path(), "p");
        drop(state.lock().expect("free"));
        let crowd = 3 * u32::try_from(HOLDERS_MAX).expect("small");
        let mut list = Vec::new();
        for pid in 1..=crowd {
            let one = held("AKIAONE", Some(pid), 10);
            append(&state, &one, at(0));
            merge(&mut list, one);
        }
        for list in [list, read(&state, at(0))] {
            assert_eq!(list.len(), HOLDERS_MAX);
            assert_eq!(list.last().expect("not empty").pid, Some(crowd), "the newest stays");
        }
        let bytes = disk::read(&state.dir().join("holders")).expect("readable").expect("there");
        let line = bytes.len() / crowd as usize;
        assert!(bytes.len() as u64 <= FILE_BYTES_MAX + 4 * line as u64, "{} bytes", bytes.len());
    }
}
