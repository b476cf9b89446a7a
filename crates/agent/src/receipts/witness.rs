//! Notes, while a rotation goes on, what its journal does not hold and a receipt is to say. Whatever cannot be noted is
//! left out: a rotation never waits for this.

use jiff::Timestamp;
use rotakey_core::journal::{Record, Status, Step};
use rotakey_core::policy::Policy;
use rotakey_core::rotation::WaitingFor;

use super::{Noted, noted_path};
use crate::driver::Observer;
use crate::serving::holders;
use crate::store::disk;
use crate::store::profile::ProfileState;

/// No more holders are named.
const HOLDERS_MAX: usize = 100;

/// Stands between the driver and whoever watches it.
#[derive(Debug)]
pub struct Witness<'a, O> {
    /// Who watches.
    pub inner: &'a mut O,
    /// Of which profile.
    pub state: &'a ProfileState,
    /// The durations.
    pub policy: &'a Policy,
    /// Where the rotation was when it was last looked at.
    pub step: Option<Step>,
}

impl<O: Observer> Observer for Witness<'_, O> {
    fn advanced(&mut self, status: &Status) {
        if let Some(open) = &status.rotation
            && self.step != Some(open.step)
        {
            self.step = Some(open.step);
            if matches!(open.step, Step::Publish | Step::Drain | Step::Deactivate) {
                self.note(status);
            }
        }
        self.inner.advanced(status);
    }

    fn waits(&mut self, until: Timestamp, waiting_for: &WaitingFor) -> bool {
        self.inner.waits(until, waiting_for)
    }

    fn holds_back(&mut self, status: &Status, record: &Record) -> Option<Timestamp> {
        self.inner.holds_back(status, record)
    }

    fn lets_uses_pass(&self) -> bool {
        self.inner.lets_uses_pass()
    }

    fn is_over(&self) -> bool {
        self.inner.is_over()
    }
}

impl<O> Witness<'_, O> {
    fn note(&self, status: &Status) {
        let Some(open) = &status.rotation else { return };
        let path = noted_path(self.state);
        let before = disk::read(&path).ok().flatten();
        let before: Option<Noted> = before.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let mut noted =
            before.filter(|noted| noted.rotation.as_ref() == Some(&open.id)).unwrap_or_default();
        noted.rotation = Some(open.id.clone());
        match open.step {
            Step::Publish => {
                noted.accepted_in_a_row = Some(self.policy.successes);
                noted.vantages = self.policy.vantages.iter().map(ToString::to_string).collect();
            }
            // Who is on the list now may have ended, and be off it, when the drain is over.
            _ => {
                let held = holders::read(self.state, Timestamp::MIN);
                let held =
                    held.into_iter().filter(|holder| holder.access_key_id == open.outgoing.id);
                let held: Vec<_> = held.filter(|holder| !noted.holders.contains(holder)).collect();
                noted.holders.extend(held);
                noted.holders.truncate(HOLDERS_MAX);
                let horizons = self.state.ledger().ok().flatten().map(|ledger| ledger.horizons);
                let horizon = horizons.and_then(|mut horizons| horizons.remove(&open.outgoing.id));
                noted.leases_until = horizon.and_then(|h| h.served_until.max(h.unrecorded_until));
            }
        }
        let written = serde_json::to_vec(&noted).map_err(std::io::Error::other);
        if let Err(error) = written.and_then(|bytes| disk::replace(&path, &bytes)) {
            tracing::warn!(%error, "what a receipt is to say could not be noted");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Env};

    /// Says of everything what is not the usual.
    #[derive(Debug)]
    struct Contrary;

    impl Observer for Contrary {
        fn advanced(&mut self, _: &Status) {}

        fn waits(&mut self, _: Timestamp, _: &WaitingFor) -> bool {
            false
        }

        fn holds_back(&mut self, _: &Status, _: &Record) -> Option<Timestamp> {
            Some(Timestamp::UNIX_EPOCH)
        }

        fn lets_uses_pass(&self) -> bool {
            true
        }

        fn is_over(&self) -> bool {
            true
        }
    }

    /// Quiet hours, an end that was asked for, a person's leave: all of them come from who watches.
    #[test]
    fn whoever_watches_is_heard_through_it() {
        let state = ProfileState::new(std::path::Path::new("/nonexistent"), "app");
        let settings = Config::default().settings("app", &Env::default()).expect("defaults");
        let mut inner = Contrary;
        let mut witness =
            Witness { inner: &mut inner, state: &state, policy: &settings.policy, step: None };
        let (status, at) = (Status::default(), Timestamp::UNIX_EPOCH);
        assert_eq!(witness.holds_back(&status, &Record::Resumed), Some(at));
        assert!(!witness.waits(at, &WaitingFor::Leases));
        assert!(witness.lets_uses_pass() && witness.is_over());
    }
}
