//! A person comes when he is called, sets right what was done by hand, and has it go on.

use rotakey_core::credential::KeyStatus;
use rotakey_core::journal::Step;
use rotakey_core::rotation::Goal;

use crate::one::One;
use crate::system::people::Change;

impl One {
    pub fn is_stuck(&mut self) -> bool {
        self.world.status(0).rotation.is_some_and(|open| open.stuck.is_some())
    }

    pub fn a_person_comes(&mut self) {
        self.mend_keys();
        self.meddling = 0;
        if std::mem::take(&mut self.is_tagged) {
            self.world.foreign_tag(0, false);
        }
        if self.is_stuck() && !self.is_at_work() {
            self.is_by_hand = true;
            self.world.start(0, Goal::Resume, None);
            self.is_by_hand = self.is_at_work();
        }
        self.scheduler.wake();
        self.look_at(self.world.now.wall);
    }

    /// The keys are as the journal has them.
    fn mend_keys(&mut self) {
        let open = self.world.status(0).rotation;
        let is_asked = open.as_ref().is_some_and(|o| o.stuck.is_some() && o.step == Step::Create);
        let served = self.world.ledger(0).access_key_id;
        for (id, status) in self.world.keys() {
            if !self.world.watch.ours.contains(&id) || (is_asked && id != served) {
                self.world.change(Change::Delete(id));
                continue;
            }
            let is_retired = open.as_ref().is_some_and(|open| {
                let orphan = open.orphan.as_ref();
                (open.deactivated.is_some() && open.outgoing.id == id)
                    || orphan.is_some_and(|o| o.deactivated.is_some() && o.id == id)
            });
            let wanted = if is_retired { KeyStatus::Inactive } else { KeyStatus::Active };
            if status != wanted {
                self.world.change(Change::Set(id.clone(), wanted));
            }
            if id == served {
                self.world.watch.meddled.remove(&id);
            }
        }
    }
}
