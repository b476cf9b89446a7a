//! Who holds which key until when: for people, and for `status`. The rule of leases does not go by it: what rotakey
//! fetches itself, to see that a key is served, stands in the horizons alone.
mod list;
mod noter;
mod recent;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Duration;

use jiff::Timestamp;
use rotakey_endpoint::table::{Caller, Handed};
use tokio::sync::oneshot;

pub use self::list::{Holder, alive, append, holder, read};
use self::noter::{Lists, Order, lock};
use self::recent::Recent;
use super::ServedKey;
use crate::clock::{Clock, SystemClock};
use crate::proc::{self, Program};
use crate::store::profile::ProfileState;

/// Answers that wait to be noted. When more come in faster, some go unnoted: programs come first.
const QUEUE: usize = 1024;

/// A program that connects anew is waited for until it is known, as it may be gone directly after the answer: so often in
/// a second, and for so long, which is long only where others have the processor. Those who come in faster are noted
/// without a name.
const WAITED_FOR: u32 = 10;
const WAIT: Duration = Duration::from_millis(200);

/// Notes holders, in a thread of its own.
#[derive(Clone, Debug)]
pub struct Holders {
    queue: SyncSender<Order>,
    lists: Arc<Lists>,
    recent: Arc<Recent>,
    clock: SystemClock,
    /// A second since the boot, and how many were waited for in it.
    waited: Arc<(AtomicU64, AtomicU32)>,
}

impl Holders {
    /// Begins, with what was noted before.
    pub fn start(clock: SystemClock) -> std::io::Result<Self> {
        let (queue, inbox) = sync_channel(QUEUE);
        let lists: Arc<Lists> = Arc::default();
        let noted = Arc::clone(&lists);
        std::thread::Builder::new().name("holders".to_owned()).spawn({
            let clock = clock.clone();
            move || noter::run(&inbox, &noted, &clock)
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

    /// Who is at the other end; or was, when it was [identified](Self::identify). For threads that may wait.
    pub fn who(&self, caller: &Caller) -> Option<Program> {
        match caller {
            Caller::Process { pid, .. } => proc::program(*pid),
            Caller::Socket { inode, .. } => {
                let (done, wait) = oneshot::channel();
                self.queue.try_send(Order::Identify(*inode, done)).ok()?;
                wait.blocking_recv().ok()?
            }
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

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;

    /// A program that ends with its answer is written down all the same.
    #[test]
    fn who_was_looked_at_is_known_when_it_is_gone() {
        let holders = Holders::start(SystemClock::new()).expect("a thread");
        let (seen, missed) = UnixStream::pair().expect("sockets");
        let here = UnixStream::pair().expect("sockets");
        let caller = |socket: &UnixStream| {
            let inode = rustix::fs::fstat(socket).expect("a socket").st_ino;
            Caller::Socket { uid: 0, inode }
        };
        let [a, b, c] = [&seen, &missed, &here.0].map(caller);
        let pid = |caller| holders.who(caller).map(|program| program.pid);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        runtime.expect("a runtime").block_on(holders.identify(&a));
        assert_eq!(pid(&c), Some(std::process::id()));
        drop((seen, missed));
        assert_eq!((pid(&a), pid(&b)), (Some(std::process::id()), None));
    }
}
