//! A person comes when he is called, sets right what was done by hand, and has it go on.

use rotakey_core::rotation::Goal;

use crate::one::One;

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
        let served = self.world.ledger(0).access_key_id;
        for change in self.world.mending() {
            self.world.change(change);
        }
        if self.world.keys().iter().any(|(id, _)| *id == served) {
            self.world.watch.meddled.remove(&served);
        }
    }
}
