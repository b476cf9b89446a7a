//! `credential-process`: what is served, for an SDK.

use std::time::Duration;

use rotakey_endpoint::protocol::process;

use super::App;
use crate::cli::failure::{Exit, Failed};
use crate::config::Serve;
use crate::serve::{self, Handed, NotHanded};
use crate::session::{MfaSessions, Minter, Plan};
use crate::store::keystore::Keystore;

/// SDKs wait for some seconds only.
const LIMIT: Duration = Duration::from_millis(4500);

/// Runs it.
pub fn run(app: &App) -> Result<(), Failed> {
    let keystore = app.keystore()?;
    let handed = match app.config.settings(&app.profile, &app.env)?.serve {
        Serve::Key => {
            let lease = app.settings()?.policy.lease;
            serve::hand_out(&app.state()?, keystore.as_ref(), &app.clock, lease)
        }
        Serve::Session | Serve::Role => minted(app, keystore.as_ref())?,
    };
    let Handed { snapshot, expiration } = match handed {
        Ok(handed) => handed,
        Err(NotHanded::NotHeld(id)) => {
            return super::credentials(keystore.as_ref(), id).map(drop);
        }
        Err(error) => return Err(not_handed(app, error)),
    };
    let answer = process::answer(&snapshot, expiration, None);
    app.printer
        .data_whole(&answer)
        .map_err(|error| Failed::new(Exit::Failed, format!("cannot write the credential: {error}")))
}

/// A session of its own for this one call: nothing but the keystore may keep a secret, so there is no cache.
fn minted(app: &App, keystore: &dyn Keystore) -> Result<Result<Handed, NotHanded>, Failed> {
    let state = app.state()?;
    let settings = app.settings()?;
    let plan = Plan::of(&app.config, &app.env, &app.profile)?;
    let (service, mfa) = (app.service(&settings), MfaSessions::default());
    let (clock, patience) = (&app.clock, Duration::ZERO);
    let minter = Minter { service: &service, keystore, clock, mfa: &mfa, patience };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failed::new(Exit::Failed, format!("cannot start: {error}")))?;
    let handed = serve::hand_out_minted(&state, &minter, &plan, settings.policy.lease);
    let handed = runtime.block_on(async { tokio::time::timeout(LIMIT, handed).await });
    handed.map_err(|_| {
        let message = format!("no session for {} within {} ms", app.profile, LIMIT.as_millis());
        Failed::new(Exit::Failed, message)
            .hint("check the network and mfa_process; an agent has its sessions ready before they are asked for")
    })
}

fn not_handed(app: &App, error: NotHanded) -> Failed {
    match error {
        NotHanded::State(error) => error.into(),
        NotHanded::Keystore(error) => error.into(),
        NotHanded::NotMinted(error) => error.into(),
        NotHanded::NoKey => Failed::new(Exit::Usage, format!("profile {} has no key", app.profile))
            .hint(format!("`rotakey add {}` takes one over", app.profile)),
        error => Failed::new(Exit::Failed, error.to_string()).hint("try again"),
    }
}
