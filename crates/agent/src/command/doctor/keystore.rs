//! The keystore: an item is written, read back and deleted. A locked one says so; nobody is asked to unlock it.

use super::check::Check;
use crate::app::App;
use crate::failure::{Exit, Failed};
use crate::store::keystore;

/// Whose probe it is: no profile can have this name, so that a rotation's own probe is another item.
const PROBER: &str = " doctor";

/// Tries it.
pub(super) fn check(app: &App) -> Check {
    let tried = app.keystore().and_then(|store| {
        keystore::probe(store.as_ref(), PROBER)?;
        Ok(store.describe())
    });
    match tried {
        Ok(what) => Check::ok("keystore", format!("{what} keeps, gives back and deletes")),
        Err(failed) => bad(failed),
    }
}

fn bad(failed: Failed) -> Check {
    let check = Check::bad("keystore", failed.message).hint(failed.hint.unwrap_or_default());
    if failed.exit == Exit::Unreachable { check.unreachable() } else { check }
}
