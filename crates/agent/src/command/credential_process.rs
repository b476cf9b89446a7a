//! `credential-process`: the served key, for an SDK, from the ledger and the keystore alone.
//!
//! It never waits for a rotation, and it never asks AWS. The horizon is on disk before the answer goes out.

use std::time::Duration;

use jiff::Timestamp;
use rotakey_core::credential::Credentials;
use rotakey_core::lease::Ledger;
use rotakey_core::time::later;
use rotakey_endpoint::protocol::process;
use rotakey_endpoint::publish::{Publisher, Snapshot};

use super::App;
use crate::cli::failure::{Exit, Failed};
use crate::clock::Clock;
use crate::store::profile::ProfileState;

/// A publish may come in between: then the ledger is read again.
const ATTEMPTS_MAX: u32 = 5;

/// Runs it.
pub fn run(app: &App) -> Result<(), Failed> {
    let state = app.state()?;
    let lease = app.settings()?.policy.lease;
    let keystore = app.keystore()?;
    let publisher = Publisher::new();
    let subscriber = publisher.subscribe();
    for _ in 0..ATTEMPTS_MAX {
        let Some(ledger) = state.ledger()? else {
            return Err(Failed::new(Exit::Usage, format!("profile {} has no key", app.profile))
                .hint(format!("`rotakey add {}` takes one over", app.profile)));
        };
        let Some(secret_access_key) = keystore.get(&ledger.access_key_id)? else {
            if state.ledger()?.is_some_and(|newer| newer.generation != ledger.generation) {
                continue;
            }
            return super::credentials(keystore.as_ref(), ledger.access_key_id).map(drop);
        };
        let credentials =
            Credentials { access_key_id: ledger.access_key_id.clone(), secret_access_key };
        let now = app.clock.now();
        let expiration = later(now.wall, lease);
        if !lease_written(app, &state, &ledger, expiration, lease) {
            continue;
        }
        let snapshot = Snapshot { generation: ledger.generation, credentials };
        publisher
            .publish(snapshot)
            .map_err(|stale| Failed::new(Exit::Failed, stale.to_string()))?;
        if let Some(snapshot) = subscriber.latest().as_ref() {
            let answer = process::answer(snapshot, expiration, None);
            return app.printer.data_whole(&answer).map_err(|error| {
                Failed::new(Exit::Failed, format!("cannot write the credential: {error}"))
            });
        }
    }
    Err(Failed::new(Exit::Failed, "the served key kept changing while it was read")
        .hint("try again"))
}

/// Whether an answer may go out: its horizon is on disk, or cannot be, in which case serving goes on.
/// False if another generation is served by now.
fn lease_written(
    app: &App,
    state: &ProfileState,
    ledger: &Ledger,
    expiration: Timestamp,
    lease: Duration,
) -> bool {
    match ledger.covers(ledger.generation, expiration) {
        Err(_) => return false,
        Ok(true) => return true,
        Ok(false) => {}
    }
    let ahead = (lease / 6).min(Duration::from_secs(600)).max(Duration::from_secs(1));
    let now = app.clock.now();
    let written = state.update_ledger(|slot| match slot {
        Some(fresh) => fresh.extend(ledger.generation, &now, lease, ahead).is_ok(),
        None => false,
    });
    match written {
        Ok(current) => current,
        // A full disk must not stop programs. What is not written here is covered when the key is
        // superseded: the horizon is then raised by a whole lease.
        Err(error) => {
            tracing::warn!(%error, "the lease is not recorded");
            true
        }
    }
}
