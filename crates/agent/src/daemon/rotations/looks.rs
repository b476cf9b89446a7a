//! What is looked at before a rotation is begun, and between two: whether AWS is there, and whether what is served works.

use rotakey_core::credential::Credentials;
use rotakey_core::journal::Status;

use super::Rotations;
use crate::daemon::reach::{health, reach};
use crate::daemon::schedule::Health;
use crate::driver::Came;
use crate::shared_files::{Copy, plaintext_copies};

impl Rotations {
    /// Whether AWS is there, by the key that is served.
    pub(super) async fn reach(&self, status: &Status) -> Result<(), Came> {
        // What the keystore does not hold, the engine will say better.
        let Some((served, user)) = self.served(status) else { return Ok(()) };
        let Ok(settings) = self.app.settings() else { return Ok(()) };
        reach(&self.app.service(&settings), &self.app.clock, &served, &user).await
    }

    /// A copy that programs may go on reading when the key in it is gone. A person may rotate it all the same.
    pub(super) fn copy_of_served(&self, status: &Status) -> Option<Copy> {
        let served = status.current.as_ref()?;
        plaintext_copies(&self.app.env, &[&served.id]).into_iter().next()
    }

    pub(super) async fn try_served(&self, status: &Status) -> Health {
        let Some((served, user)) = self.served(status) else { return Health::Unknown };
        let Ok(settings) = self.app.settings() else { return Health::Unknown };
        let service = self.app.service(&settings);
        health(&service, &settings.policy.vantages, &served, &user).await
    }

    fn served(&self, status: &Status) -> Option<(Credentials, String)> {
        let id = status.current.as_ref()?.id.clone();
        let secret = self.keystore.get(&id).ok()??;
        Some((Credentials::long_term(id, secret), status.enrolment.as_ref()?.user.clone()))
    }
}
