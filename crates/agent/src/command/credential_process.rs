//! `credential-process`: the served key, for an SDK.

use rotakey_endpoint::protocol::process;
use rotakey_endpoint::publish::Publisher;

use super::App;
use crate::cli::failure::{Exit, Failed};
use crate::serve::{self, Handed, NotHanded};

/// Runs it.
pub fn run(app: &App) -> Result<(), Failed> {
    let state = app.state()?;
    let lease = app.settings()?.policy.lease;
    let keystore = app.keystore()?;
    let handed = serve::hand_out(&state, keystore.as_ref(), &app.clock, lease);
    let Handed { snapshot, expiration } = match handed {
        Ok(handed) => handed,
        Err(NotHanded::NotHeld(id)) => {
            return super::credentials(keystore.as_ref(), id).map(drop);
        }
        Err(error) => return Err(not_handed(app, error)),
    };
    let publisher = Publisher::new();
    let subscriber = publisher.subscribe();
    publisher.publish(snapshot).map_err(|stale| Failed::new(Exit::Failed, stale.to_string()))?;
    let Some(snapshot) = &*subscriber.latest() else { return Ok(()) };
    let answer = process::answer(snapshot, expiration, None);
    app.printer
        .data_whole(&answer)
        .map_err(|error| Failed::new(Exit::Failed, format!("cannot write the credential: {error}")))
}

fn not_handed(app: &App, error: NotHanded) -> Failed {
    match error {
        NotHanded::State(error) => error.into(),
        NotHanded::Keystore(error) => error.into(),
        NotHanded::NoKey => Failed::new(Exit::Usage, format!("profile {} has no key", app.profile))
            .hint(format!("`rotakey add {}` takes one over", app.profile)),
        error => Failed::new(Exit::Failed, error.to_string()).hint("try again"),
    }
}
