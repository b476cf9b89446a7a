//! What must never happen to the world, seen before and after each command, and how it must end.

use std::collections::BTreeSet;

use super::world::{Answer, World, seconds, signer};
use crate::credential::{AccessKeyId, KeyStatus};
use crate::journal::{Act, Entry, Reason, Record, Step};
use crate::rotation::{Command, Goal, WaitingFor};
use crate::time::later;

impl World {
    /// Resumes until the rotation has ended, nothing going wrong any more, and sees that all is well.
    pub(super) fn heal(&mut self) {
        for _ in 0..4 {
            let goal = match (self.status().rotation.is_some(), self.begun()) {
                (true, _) => Goal::Resume,
                (false, false) => Goal::Rotate(Reason::Forced),
                (false, true) => break,
            };
            self.drive(goal, None);
        }
        self.settled();
    }

    /// Exactly one key of ours: active, held, served.
    pub(super) fn settled(&self) {
        let status = self.status();
        let nothing = Command::Fetch;
        if let Some(open) = &status.rotation {
            self.fail(&format!("it is still open: {open:?}"), &nothing);
        }
        let current = status.current.expect("a key").id;
        let ours: Vec<_> = self.iam.iter().filter(|(_, key)| !key.foreign).collect();
        if self.ledger.access_key_id != current {
            self.fail("another key is served than the journal says", &nothing);
        }
        let alone =
            matches!(ours[..], [(id, key)] if *id == current && key.status == KeyStatus::Active);
        if !alone {
            self.fail(&format!("not one active key of ours: {ours:?}"), &nothing);
        }
        if self.store != BTreeSet::from([current]) {
            self.fail(&format!("the keystore holds {:?}", self.store), &nothing);
        }
    }

    /// What must hold after each command.
    pub(super) fn check(&self, command: &Command) {
        let served = &self.ledger.access_key_id;
        if !self.store.contains(served) {
            self.fail("the served key is not held", command);
        }
        let active = self.iam.get(served).is_some_and(|key| key.status == KeyStatus::Active);
        if !active && !self.meddled {
            self.fail("the served key is not active", command);
        }
    }

    /// What must hold before each command.
    pub(super) fn guard(&self, command: &Command) {
        match command {
            Command::Update { id, status: KeyStatus::Inactive, .. } => {
                self.guard_loss(id, command);
                let open = self.status().rotation;
                let leaked = open.is_some_and(|open| {
                    open.is_cut_off() && open.outgoing.id == *id && open.published.is_some()
                });
                if self.served.contains(id) && !leaked {
                    self.guard_safe(id, command);
                }
            }
            Command::Update { id, status: KeyStatus::Active, .. } => {
                let forced =
                    |record: &Record| matches!(record, Record::UndoBegun { forced, .. } if *forced);
                let leaked = self.status().rotation.is_some_and(|open| {
                    open.compromised.as_ref() == Some(id)
                        && (open.step >= Step::Drain || open.undone.is_some())
                });
                if leaked && self.recorded(forced) == 0 {
                    self.fail("a leaked key comes back by itself", command);
                }
            }
            Command::Delete { id, .. } if self.iam.contains_key(id) => {
                self.guard_loss(id, command);
                let key = &self.iam[id];
                let wait = match (self.served.contains(id), self.store.contains(id)) {
                    (true, _) => self.policy.soak,
                    (false, true) => return,
                    (false, false) => self.policy.orphan_wait,
                };
                // Nobody can see what somebody else does after the last list.
                let status = if self.meddled { self.listed.get(id) } else { Some(&key.status) };
                let is_early = self.now.wall < later(key.changed, wait);
                if status != Some(&KeyStatus::Inactive)
                    || (is_early && self.hurried.as_ref() != Some(id))
                {
                    self.fail("deleted before it was Inactive for long enough", command);
                }
            }
            Command::Create { .. } => {
                let intent = self.journal.last().map(|entry| &entry.record);
                let fresh = !self.creates_for.contains(&self.journal.len());
                let same = matches!(intent, Some(Record::Intended { act: Act::Create { .. } }));
                if !same || !fresh {
                    self.fail("created without an intent of its own", command);
                }
            }
            Command::Forget(id) => {
                let gone = !self.iam.contains_key(id);
                if *id == self.ledger.access_key_id || !gone {
                    self.fail("forgotten while it lives", command);
                }
            }
            Command::Append(Entry { record: Record::Verified { access_key_id }, .. }) => {
                let leaked = self.status().rotation.is_some_and(|open| open.is_cut_off());
                let confirms = usize::from(!self.policy.settle.is_zero() && !leaked);
                self.guard_believed(access_key_id, 2 + confirms, command);
            }
            Command::Append(Entry {
                record: Record::Intended { act: Act::Publish { access_key_id, .. } },
                ..
            }) => self.guard_believed(access_key_id, 2, command),
            Command::Publish { id, .. } => {
                let active = self.iam.get(id).is_some_and(|key| key.status == KeyStatus::Active);
                if !self.store.contains(id) || (!active && !self.meddled) {
                    self.fail("a key is published that does not work", command);
                }
            }
            _ => {}
        }
    }

    /// A key is about to be deactivated or deleted.
    fn guard_loss(&self, id: &AccessKeyId, command: &Command) {
        let served = &self.ledger.access_key_id;
        if id == served {
            self.fail("the served key is touched", command);
        }
        let fence = self.may_fence && matches!(command, Command::Update { .. });
        if self.iam.get(id).is_some_and(|key| key.foreign) && !fence {
            self.fail("a key is touched that is not ours", command);
        }
        // Since the last change and the last wait, the key that stays was accepted, and a list was fresh.
        let (mut accepted, mut listed) = (false, false);
        for (command, answer) in self.done.iter().rev() {
            let ok = *answer == Answer::Accepted;
            match command {
                Command::Identify { signer, .. } if signer == served => accepted |= ok,
                Command::List { signer } if signer == served => listed |= ok,
                Command::Wait { waiting_for: WaitingFor::Aws(_), .. } => {}
                Command::Append(_)
                | Command::LastUsed { .. }
                | Command::ReadHorizon(_)
                | Command::ListTags { .. } => {}
                _ => break,
            }
        }
        if !accepted || !listed {
            self.fail("not checked directly before", command);
        }
    }

    /// SAFE, said once more in other words.
    fn guard_safe(&self, id: &AccessKeyId, command: &Command) {
        let horizon = self.ledger.horizons.get(id);
        let window = self.policy.signature_window;
        let mut last = later(self.ledger.published, self.policy.client_backoff);
        if let Some(horizon) = horizon {
            last = last.max(horizon.served_until.unwrap_or(last));
            last = last.max(horizon.unrecorded_until.unwrap_or(last));
        }
        let wall = later(last, window + seconds(1) + self.policy.presigned_ttl);
        let clock = horizon
            .and_then(|horizon| horizon.monotonic.as_ref())
            .filter(|held| held.boot == self.now.monotonic.boot)
            .is_none_or(|held| self.now.monotonic.since_boot >= held.since_boot + window);
        if self.now.wall < wall || !clock {
            self.fail("deactivated before SAFE", command);
        }
    }

    /// A key was accepted so many rounds in a row, with nothing refused between.
    fn guard_believed(&self, id: &AccessKeyId, rounds: usize, command: &Command) {
        let wanted = rounds * self.policy.vantages.len();
        let probes: Vec<_> = self
            .done
            .iter()
            .rev()
            .filter(|(command, answer)| signer(command) == Some(id) && *answer != Answer::None)
            .take(wanted)
            .collect();
        let all = probes.iter().all(|(_, answer)| *answer == Answer::Accepted);
        if probes.len() < wanted || !all {
            self.fail("believed too early", command);
        }
    }
}
