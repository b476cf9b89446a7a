//! The admin of the account: interferes, and sets right again.

use std::time::Duration;

use rotakey_core::credential::{AccessKeyId, KeyStatus};
use rotakey_core::journal::Step;

use crate::life::Life;
use crate::system::people::Change;
use crate::weather::Repair;

impl Life {
    /// A key that somebody else needs for a while.
    pub fn admin_adds_key(&mut self, lasts: Duration) {
        if !self.world.changes().contains(&Change::Add) {
            return;
        }
        let id = self.world.change(Change::Add);
        // While a creation is about to be sent, too, nobody can tell whose it is: it may be set Inactive, and
        // be deleted if it is never used (docs/rotation.md).
        let open = self.world.status(0).rotation;
        if open.is_none_or(|open| open.step == Step::Create) {
            self.world.watch.may_fence.insert(id.clone());
        }
        self.repair_in(lasts, Repair::KeyIsRemoved(id));
    }

    /// A key is set Active or Inactive, if it is still there.
    pub fn admin_sets(&mut self, id: &AccessKeyId, status: KeyStatus) {
        if self.is_there(id) {
            self.world.change(Change::Set(id.clone(), status));
        }
    }

    /// A key is deleted, if it is still there.
    pub fn admin_deletes(&mut self, id: &AccessKeyId) {
        if self.is_there(id) {
            self.world.change(Change::Delete(id.clone()));
        }
    }

    fn is_there(&self, id: &AccessKeyId) -> bool {
        self.world.keys().iter().any(|(key, _)| key == id)
    }

    /// A key that nobody means to serve again. (Were a key deleted that is about to be published, a person
    /// would have taken the only key away: nothing heals that.)
    pub fn is_on_its_way_out(&mut self, id: &AccessKeyId) -> bool {
        let open = self.world.status(0).rotation;
        open.is_none_or(|open| open.published.is_some() && open.outgoing.id == *id)
    }

    /// A key that is not served.
    pub fn other_key(&mut self) -> Option<(AccessKeyId, KeyStatus)> {
        let served = self.world.ledger(0).access_key_id;
        self.world.keys().into_iter().find(|(id, _)| *id != served)
    }

    /// An admin sets right by hand what somebody's hand set wrong: the keys are as the journal has them.
    pub fn mend_keys(&mut self) {
        for change in self.world.mending() {
            self.world.change(change);
        }
    }
}
