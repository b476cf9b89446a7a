//! `export`: the way out. The key is printed for whoever is to have it from then on; rotakey no longer knows who holds it.

use std::io::IsTerminal;
use std::time::Duration;

use clap::Args;
use rotakey_core::journal::{Entry, Record};
use rotakey_core::time::later;
use zeroize::Zeroizing;

use crate::app::App;
use crate::clock::Clock;
use crate::control::Agent;
use crate::failure::{Exit, Failed};
use crate::store::durable::Lock;
use crate::store::profile::{Journal, ProfileState, StateError};

/// The arguments.
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// The profile
    pub name: Option<String>,
    /// Print it although standard output is no terminal
    #[arg(long)]
    pub to_stdout: bool,
}

/// An agent that is asked to give way finishes the call to AWS that is under way, which takes 10 seconds at most.
const PATIENCE: Duration = Duration::from_secs(15);
const AGAIN: Duration = Duration::from_millis(250);

/// Runs it.
pub async fn run(app: &App, args: &ExportArgs) -> Result<(), Failed> {
    let holder = app.key_profile()?;
    if !args.to_stdout && !std::io::stdout().is_terminal() {
        return Err(Failed::new(Exit::Usage, "standard output is no terminal, and this prints a secret")
            .hint("run it in a terminal, or say --to-stdout if the program or file that gets it is meant to"));
    }
    let state = app.state()?;
    app.status()?;
    // What is served does not change while the lock is held.
    let (_engine, mut journal) = lock(app, &state, holder).await?;
    let keystore = app.keystore()?;
    let key = app.current(keystore.as_ref())?;
    let id = &key.access_key_id;
    // Both before the secret: if either cannot be written, nothing goes out.
    let how = if args.to_stdout { "to standard output" } else { "to a terminal" };
    app.audit().record("export", holder, Some(id), how).map_err(|error| {
        Failed::new(Exit::Failed, format!("cannot write the audit trail: {error}"))
            .hint("make the state folder writable for you; nothing was exported")
    })?;
    let record = Record::Exported { access_key_id: id.clone() };
    journal.append(&Entry { time: app.clock.now().wall, rotation: None, record })?;
    let text = Zeroizing::new(format!(
        "[{}]\naws_access_key_id = {id}\naws_secret_access_key = {}\n",
        app.profile,
        key.secret_access_key.expose()
    ));
    app.printer
        .data_whole(&text)
        .map_err(|error| Failed::new(Exit::Failed, format!("cannot write: {error}")))?;
    app.printer.say(&format!(
        "{id} is out of rotakey's hands as well: the next rotation waits for `observe` before it deactivates it"
    ));
    Ok(())
}

/// The agent gives way to a person.
pub(super) async fn lock(
    app: &App,
    state: &ProfileState,
    holder: &str,
) -> Result<(Lock, Journal), Failed> {
    let agent = Agent::at(app.paths.socket());
    let until = later(app.clock.now().wall, PATIENCE);
    loop {
        match state.lock() {
            Err(StateError::Busy { .. })
                if app.clock.now().wall < until && agent.order(holder, "yield", b"")? =>
            {
                app.clock.sleep_until(later(app.clock.now().wall, AGAIN)).await;
            }
            locked => return Ok(locked?),
        }
    }
}
