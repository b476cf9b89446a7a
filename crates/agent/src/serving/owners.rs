//! Whose connection it is, for profiles that serve some programs only.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::proc::{self, Program};

/// More connections than that are not remembered at a time.
const REMEMBERED: usize = 1024;

/// Who was found to have opened a connection, by its inode. To find that out is to look at all processes, which takes
/// milliseconds, and a program asks for more than one thing over a connection.
#[derive(Debug, Default)]
pub(super) struct Owners(Mutex<HashMap<u64, Program>>);

impl Owners {
    /// The program at the other end, as it is now: it may have become another one (execve(2)).
    pub(super) fn of(&self, inode: u64) -> Option<Program> {
        self.or_find(inode, proc::owner_of)
    }

    fn or_find(&self, inode: u64, find: impl FnOnce(u64) -> Option<Program>) -> Option<Program> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&inode).cloned();
        let as_it_is = |known: Program| {
            proc::program(known.pid).filter(|program| program.started == known.started)
        };
        if let Some(program) = known.and_then(as_it_is) {
            return Some(program);
        }
        let found = find(inode)?;
        let mut owners = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if owners.len() >= REMEMBERED {
            owners.clear();
        }
        owners.insert(inode, found.clone());
        Some(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_looked_for_once_as_long_as_its_program_lives() {
        let (owners, mut looks) = (Owners::default(), 0);
        let us = proc::program(std::process::id()).expect("we are here");
        let mut ask = |inode, owner: &Program| {
            owners.or_find(inode, |_| {
                looks += 1;
                Some(owner.clone())
            })
        };
        assert_eq!([ask(7, &us), ask(7, &us)], [Some(us.clone()), Some(us.clone())]);
        // Its number is another's by now.
        let gone = Program { started: us.started + 1, ..us.clone() };
        assert_eq!(
            [ask(8, &gone), ask(8, &us), ask(8, &us)].map(|p| p.map(|p| p.started)),
            [Some(gone.started), Some(us.started), Some(us.started)]
        );
        assert_eq!(looks, 3);
    }

    #[test]
    fn no_more_are_remembered_than_there_is_room_for() {
        let (owners, us) = (Owners::default(), proc::program(std::process::id()));
        for inode in 0..5000 {
            assert_eq!(owners.or_find(inode, |_| us.clone()), us);
        }
        assert!(owners.0.lock().expect("nobody panicked").len() <= REMEMBERED);
    }
}
