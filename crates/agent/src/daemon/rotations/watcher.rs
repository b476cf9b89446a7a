//! What a run of the engine asks of the agent while it goes on.

use std::cell::Cell;

use jiff::Timestamp;
use rotakey_core::journal::{Record, Status};
use rotakey_core::rotation::WaitingFor;

use crate::clock::{Clock, SystemClock};
use crate::daemon::schedule::{self, Rules};
use crate::driver::Observer;

/// Sees to it that no long wait keeps the lock, and that quiet hours are kept.
pub(super) struct Watcher<'a> {
    pub(super) holder: &'a str,
    pub(super) clock: SystemClock,
    pub(super) ending: &'a Cell<bool>,
    pub(super) yielding: &'a Cell<bool>,
    pub(super) rules: &'a Rules,
    pub(super) until: Option<Timestamp>,
    pub(super) step: Option<rotakey_core::journal::Step>,
}

impl Observer for Watcher<'_> {
    fn advanced(&mut self, status: &Status) {
        let Some(open) = &status.rotation else { return };
        if self.step.replace(open.step) != Some(open.step) {
            tracing::info!(profile = self.holder, rotation = open.id.0, step = %open.step, "rotation");
        }
    }

    fn waits(&mut self, until: Timestamp, waiting_for: &WaitingFor) -> bool {
        let is_kept = schedule::is_kept(self.clock.now().wall, until, waiting_for);
        if !is_kept {
            tracing::info!(profile = self.holder, %until, "waits for {waiting_for}");
        }
        self.until = Some(until);
        is_kept
    }

    fn holds_back(&mut self, status: &Status, record: &Record) -> Option<Timestamp> {
        schedule::held_back(self.rules, status, record, self.clock.now().wall)
    }

    fn is_over(&self) -> bool {
        self.ending.get() || self.yielding.get()
    }
}
