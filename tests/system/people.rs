//! What others do: the account's admin, the person who adds a key, the programs.

use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::Poll;

use rotakey_agent::iam::KeyService;
use rotakey_agent::serve::{Handed, NotHanded, hand_out};
use rotakey_agent::simulator::InProcess;
use rotakey_core::credential::{AccessKeyId, Credentials, KeyStatus};
use rotakey_core::iam::Outcome;
use rotakey_core::journal::{Act, Step};
use rotakey_core::rotation::INSTALL_TAG_VALUE;
use serde_json::json;

use super::breaking::{BreakingKeystore, EnteredClock};
use super::engine::PollOnce;
use super::machine::enter;
use super::{USER, World, state};

/// What an admin does to the keys behind our back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    Add,
    Set(AccessKeyId, KeyStatus),
    Delete(AccessKeyId),
}

impl World {
    /// The changes that an admin can make now.
    pub fn changes(&self) -> Vec<Change> {
        let keys = self.keys();
        let mut changes = Vec::new();
        if keys.len() < self.iam.behaviour().quota {
            changes.push(Change::Add);
        }
        for (id, status) in keys {
            let other = match status {
                KeyStatus::Active => KeyStatus::Inactive,
                KeyStatus::Inactive => KeyStatus::Active,
            };
            changes.push(Change::Set(id.clone(), other));
            changes.push(Change::Delete(id));
        }
        changes
    }

    /// The changes after which the keys are as the journal has them.
    pub fn mending(&mut self) -> Vec<Change> {
        let open = self.status(0).rotation;
        // A lost creation whose key cannot be told from others' (a clock was set meanwhile): whoever is asked
        // deletes it.
        let is_asked = open.as_ref().is_some_and(|o| o.stuck.is_some() && o.step == Step::Create);
        let served = self.ledger(0).access_key_id;
        let mut changes = Vec::new();
        for (id, status) in self.keys() {
            if !self.watch.ours.contains(&id) || (is_asked && id != served) {
                changes.push(Change::Delete(id));
                continue;
            }
            let is_retired = open.as_ref().is_some_and(|open| {
                let orphan = open.orphan.as_ref();
                (open.deactivated.is_some() && open.outgoing.id == id)
                    || orphan.is_some_and(|o| o.deactivated.is_some() && o.id == id)
            });
            let wanted = if is_retired { KeyStatus::Inactive } else { KeyStatus::Active };
            if status != wanted {
                changes.push(Change::Set(id, wanted));
            }
        }
        changes
    }

    /// An admin changes a key, or adds one: this one.
    pub fn change(&mut self, change: Change) -> AccessKeyId {
        match change {
            Change::Add => {
                let made = self.order(json!({"op": "create-key", "user": USER}));
                let id = made["access_key_id"].as_str().expect("an id");
                let id: AccessKeyId = id.parse().expect("an id");
                // A key made while a creation is under way looks like one that a lost reply made.
                if (0..self.installs.len()).any(|which| self.is_creating(which)) {
                    self.watch.may_fence.insert(id.clone());
                }
                id
            }
            Change::Set(id, status) => {
                let order = json!({"op": "set-key-status", "access_key_id": id, "status": status});
                self.order(order);
                let now = self.true_time();
                self.watch.somebody_set(&id, status, self.now.wall);
                self.watch.touch(&id, now);
                self.watch.meddled.insert(id.clone());
                id
            }
            Change::Delete(id) => {
                self.order(json!({"op": "delete-key", "access_key_id": id}));
                self.watch.meddled.insert(id.clone());
                id
            }
        }
    }

    fn is_creating(&mut self, which: usize) -> bool {
        let open = self.status(which).rotation;
        let intent = open.and_then(|open| open.intent);
        matches!(intent, Some((Act::Create { .. }, _)))
    }

    /// Sets an installation's tag, as `add` does with the key that it is handed.
    pub fn tag(&mut self, which: usize) {
        let install = &self.installs[which];
        let (id, secret) = install.machine.secrets.first_key_value().expect("it was handed one");
        let signer = Credentials::long_term(id.clone(), secret.clone());
        let tag = format!("rotakey:{}", install.name);
        let simulator = Arc::new(Mutex::new(std::mem::take(&mut self.iam)));
        let wall = self.now.wall;
        let service = InProcess::new(Arc::clone(&simulator), move || wall);
        let tagged = pin!(service.tag_user(&signer, USER, &tag, INSTALL_TAG_VALUE)).poll_once();
        assert!(matches!(tagged, Poll::Ready(Outcome::Done(()))), "{tagged:?}");
        drop(service);
        self.iam = std::mem::take(&mut *simulator.lock().expect("one thread"));
    }

    /// A program asks for its credential.
    pub fn fetch(&mut self, which: usize) -> Result<Handed, NotHanded> {
        let lease = self.policy.lease;
        let install = &mut self.installs[which];
        install.machine.operations.clear();
        let handed = enter(&mut install.machine, &self.now, || {
            hand_out(&state(), &BreakingKeystore, &EnteredClock, lease)
        });
        if let Ok(handed) = &handed {
            let id = handed.snapshot.credentials.access_key_id.clone();
            self.watch.lease(id, handed.expiration, &self.now, lease);
        }
        handed
    }

    /// A program uses a key that it was served; whether AWS lets it in.
    pub fn uses(&mut self, id: &AccessKeyId) -> bool {
        let region = self.policy.home_region().to_owned();
        let order = json!({"op": "use-key", "access_key_id": id.as_str(), "service": "sts",
            "region": region});
        self.order(order)["accepted"] == true || self.watch.is_unsettled(id, self.true_time())
    }

    /// A program starts, takes its credential and uses it.
    pub fn a_new_program_signs(&mut self, which: usize) {
        let Ok(handed) = self.fetch(which) else { return };
        let id = handed.snapshot.credentials.access_key_id;
        if !self.uses(&id) {
            self.watch.violation("never-refused", format!("a new program signed with {id}"));
        }
    }

    /// Programs take their credential from an installation, and sign a call with it.
    pub fn use_served(&mut self, which: usize) {
        let handed = self.fetch(which).expect("serving goes on");
        let id = handed.snapshot.credentials.access_key_id;
        let used =
            json!({"op": "use-key", "access_key_id": id, "service": "s3", "region": "eu-west-1"});
        self.order(used);
    }
}
