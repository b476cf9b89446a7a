//! `revoke`: a new token for a profile's container endpoint, and new placeholders; the old ones are worth nothing from then
//! on.

use crate::app::App;
use crate::control::Agent;
use crate::failure::Failed;
use crate::serving::{placeholders, token};

/// Runs it.
pub fn run(app: &App) -> Result<(), Failed> {
    let profile = &app.profile;
    app.key_profile()?;
    token::make(&app.paths.state, profile)?;
    let programs = placeholders::renew(&app.paths.state, profile)?;
    app.audited("revoke", None, "a new token for the container endpoint, and new placeholders");
    let agent = Agent::at(app.paths.socket());
    let is_told = agent.order(profile, "token", b"")?;
    agent.order(profile, "placeholders", b"")?;
    let who = if is_told { "the agent refuses the old one" } else { "no agent runs" };
    let path = token::path(&app.paths.state, profile);
    app.printer.say(&format!("{profile}: a new token is in {}; {who}", path.display()));
    if programs > 0 {
        app.printer.say(&format!(
            "{profile}: the placeholders of {programs} programs are worth nothing now"
        ));
    }
    app.printer.say("Programs that were started with the old one have to be started again.");
    Ok(())
}
