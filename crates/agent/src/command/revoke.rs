//! `revoke`: a new token for a profile's container endpoint; the old one is worth nothing from then on.

use super::App;
use crate::cli::failure::Failed;
use crate::control::Agent;
use crate::serving::token;

/// Runs it.
pub fn run(app: &App) -> Result<(), Failed> {
    let profile = &app.profile;
    app.key_profile()?;
    token::make(&app.paths.state, profile)?;
    app.audited("revoke", None, "a new token for the container endpoint");
    let is_told = Agent::at(app.paths.socket()).order(profile, "token", b"")?;
    let who = if is_told { "the agent refuses the old one" } else { "no agent runs" };
    let path = token::path(&app.paths.state, profile);
    app.printer.say(&format!("{profile}: a new token is in {}; {who}", path.display()));
    app.printer.say("Programs that were started with the old one have to be started again.");
    Ok(())
}
