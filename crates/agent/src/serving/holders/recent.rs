//! The notes that were made last.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};

use rotakey_endpoint::table::{Caller, Handed};

/// How many notes are remembered, not to be made again.
const RECENT: usize = 8192;
/// The notes that were made last, by their hashes: a program that asks a thousand times in a second holds the same for it.
/// To wake the thread for each answer would take a third of all answers' time.
#[derive(Debug)]
pub(super) struct Recent {
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
    pub(super) fn is_new(&self, inode: u64) -> bool {
        let place = usize::try_from(inode % RECENT as u64).unwrap_or(0);
        let slot = &self.sockets[place];
        slot.load(Ordering::Relaxed) != inode && slot.swap(inode, Ordering::Relaxed) != inode
    }

    /// The slot of a note, and what stands in it once the note was made. `until` is in whole seconds.
    pub(super) fn slot(&self, handed: &Handed) -> (&AtomicU64, u64) {
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
