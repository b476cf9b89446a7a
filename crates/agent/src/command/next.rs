//! `rotakey` alone: says what to do next, by how things stand.

use rotakey_core::journal::Step;

use super::App;
use crate::cli::failure::Failed;
use crate::config::Env;
use crate::control::Agent;
use crate::shared_files::{self, Document, Kind, Places};

/// Something to do: the command, and what it does.
type Advice = (String, String);

/// Runs it.
pub fn run(app: &App) -> Result<(), Failed> {
    let agent = Agent::at(app.paths.socket()).status();
    let advice = advice(app, &agent)?;
    let profiles = app.config.profile_names().count();
    let agent = match &agent {
        Ok(Some(agent)) => format!("the agent runs (pid {})", agent["pid"]),
        Ok(None) => "no agent runs".to_owned(),
        Err(failed) => failed.message.clone(),
    };
    let what = if profiles == 1 { "profile" } else { "profiles" };
    app.printer.data(&format!("{profiles} {what}, {agent}"));
    if advice.is_empty() {
        app.printer.data("nothing to do; `rotakey status` shows the rest");
    }
    for (n, (command, why)) in advice.iter().enumerate() {
        app.printer.data(&format!("{}  {command:30}  {why}", if n == 0 { "next" } else { "then" }));
    }
    app.printer.data("all commands: `rotakey --help`");
    Ok(())
}

fn advice(
    app: &App,
    agent: &Result<Option<serde_json::Value>, Failed>,
) -> Result<Vec<Advice>, Failed> {
    let say = |command: String, why: &str| (command, why.to_owned());
    let mut advice = Vec::new();
    if app.config.profile_names().next().is_none() {
        match has_plain_keys(&app.env) {
            false => advice.push(say("rotakey add default".to_owned(), "takes a key over")),
            true => {
                let command = "rotakey import --all --dry-run".to_owned();
                advice.push(say(command, "shows which keys it would take"));
            }
        }
        advice.push(say("rotakey doctor".to_owned(), "proves that programs find it"));
        return Ok(advice);
    }
    for name in app.managed()? {
        let app = app.for_profile(&name);
        let (_, status) = app.state()?.read()?;
        let Some(open) = &status.rotation else { continue };
        if open.stuck.is_some() {
            advice.push(say(format!("rotakey status {name}"), "it is stuck: a person must decide"));
        } else if matches!(agent, Ok(None)) {
            let why = match open.step {
                Step::Soak => "the old key is to be deleted after its soak",
                _ => "a rotation was begun, and nobody goes on with it",
            };
            advice.push(say(format!("rotakey resume {name} --wait deleted"), why));
        }
    }
    match agent {
        Ok(None) => {
            advice.push(say("rotakey agent".to_owned(), "serves programs, rotates unattended"));
        }
        Err(_) => {
            advice.push(say("rotakey doctor".to_owned(), "says what is wrong with the agent"))
        }
        Ok(Some(_)) => {}
    }
    Ok(advice)
}

/// Whether a key stands in one of the shared files.
fn has_plain_keys(env: &Env) -> bool {
    let Ok(places) = Places::from_env(env) else { return false };
    [Kind::Credentials, Kind::Config].into_iter().any(|kind| {
        let read = shared_files::read(places.path(kind));
        let bytes = read.ok().flatten().unwrap_or_default();
        let document = Document::parse(&bytes);
        let mut properties = document.sections.iter().flat_map(|section| &section.properties);
        properties.any(|property| property.name == "aws_secret_access_key")
    })
}
