//! The thread that notes holders, and finds out who they are.

use std::collections::{HashMap, HashSet};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::oneshot;

use super::QUEUE;
use super::list::{Holder, alive, merge, read, write};
use crate::clock::{Clock, SystemClock};
use crate::proc::{self, Program};
use crate::store::profile::ProfileState;

/// Looks at all processes in a second: each takes milliseconds of the processor. Who comes in faster is noted without a name.
const LOOKS: u32 = 10;
/// So many of the programs that came last are looked into first: one that opens a connection mostly opens more of them.
const LIKELY: usize = 8;
/// How often the lists are written.
const WRITE_EVERY: Duration = Duration::from_secs(5);
/// Profiles' lists, by name.
pub(super) type Lists = Mutex<HashMap<String, Vec<Holder>>>;

/// Whose state it is, who holds what, and the socket whose process is to be found.
pub(super) type Note = (ProfileState, Holder, Option<u64>);
/// What the thread is told.
#[derive(Debug)]
pub(super) enum Order {
    Note(Note),
    /// Find out whose socket it is, and say so as far as that can be told.
    Identify(u64, oneshot::Sender<Option<Program>>),
}

/// Until nobody can tell it anything any more.
pub(super) fn run(inbox: &Receiver<Order>, lists: &Lists, clock: &SystemClock) {
    // A look at every process is for when nobody else needs the processor much. On Linux this is about the calling thread
    // alone (nice(2)); without it, notes cost more, and nothing else.
    #[cfg(target_os = "linux")]
    let _ = rustix::process::nice(5);
    let uptime = || clock.now().monotonic.since_boot;
    let mut changed: HashMap<String, ProfileState> = HashMap::new();
    let mut sockets = Sockets::default();
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
        if looks < LOOKS && sockets.look_up(&orders) {
            looks += 1;
        }
        for order in orders {
            match order {
                // He may not wait any more.
                Order::Identify(inode, done) => {
                    let _ = done.send(sockets.owner_of(inode));
                }
                Order::Note((state, mut holder, inode)) => {
                    let program = inode.and_then(|inode| sockets.owner_of(inode));
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

fn write_list(lists: &Lists, name: &str, state: &ProfileState, now: Timestamp) {
    let list = lock(lists).get(name).map(|list| alive(list, now)).unwrap_or_default();
    if let Err(error) = write(state, &list) {
        tracing::warn!(profile = name, %error, "the holders are not noted");
    }
    lock(lists).insert(name.to_owned(), list);
}

/// Whose sockets are whose.
#[derive(Default)]
struct Sockets {
    /// What was found out of those that were looked for.
    owners: HashMap<u64, Option<Program>>,
    /// The processes that came last.
    likely: Vec<u32>,
}

impl Sockets {
    fn owner_of(&self, inode: u64) -> Option<Program> {
        self.owners.get(&inode)?.clone()
    }

    /// Finds out whose the sockets are that are not known yet: all at once, as a look may be one at every process. False if
    /// there was nothing to be found out.
    fn look_up(&mut self, orders: &[Order]) -> bool {
        if self.owners.len() >= QUEUE {
            self.owners.clear();
        }
        let inodes = orders.iter().filter_map(|order| match order {
            Order::Identify(inode, _) => Some(*inode),
            Order::Note((_, _, inode)) => *inode,
        });
        let unknown: HashSet<u64> =
            inodes.filter(|inode| !self.owners.contains_key(inode)).collect();
        if unknown.is_empty() {
            return false;
        }
        let mut owners = proc::owners_of(&unknown, &self.likely);
        let mut came: Vec<u32> = owners.values().map(|program| program.pid).collect();
        came.append(&mut self.likely);
        for pid in came {
            if self.likely.len() < LIKELY && !self.likely.contains(&pid) {
                self.likely.push(pid);
            }
        }
        self.owners.extend(unknown.into_iter().map(|inode| (inode, owners.remove(&inode))));
        true
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
