//! `rotakey` alone: says what to do next, by how things stand.

use serde_json::Value;

use super::status::{self, Headline, Standing};
use crate::app::App;
use crate::cis::AGE_DAYS;
use crate::config::Env;
use crate::control::Agent;
use crate::failure::Failed;
use crate::printer::layout::wrap;
use crate::shared_files::{self, Document, Kind, Places};
use crate::wording::counted;

/// How wide it is made where no terminal says.
const WIDTH: usize = 80;
/// Narrower than this, an explanation stands below its command.
const BESIDE_MIN: usize = 24;

/// Something to do: the command, and what it does.
type Advice = (String, String);

/// What there is to say.
#[derive(Default)]
struct Told {
    /// What is under way by itself.
    news: Vec<String>,
    /// What a person can do, the most urgent first.
    advice: Vec<Advice>,
}

impl Told {
    fn advise(&mut self, command: impl Into<String>, why: impl Into<String>) {
        self.advice.push((command.into(), why.into()));
    }
}

/// Runs it.
pub fn run(app: &App) -> Result<(), Failed> {
    let agent = Agent::at(app.paths.socket()).status();
    let told = told(app, &agent)?;
    let profiles = app.config.profile_names().count();
    let agent = match &agent {
        Ok(Some(agent)) => format!("the agent runs (pid {})", agent["pid"]),
        Ok(None) => "no agent runs".to_owned(),
        Err(failed) => failed.message.clone(),
    };
    let width = app.printer.data_columns().unwrap_or(WIDTH);
    let mut lines = vec![format!("{}, {agent}", counted(profiles, "profile"))];
    lines.extend(told.news.iter().flat_map(|news| wrap(news, width)));
    if told.advice.is_empty() {
        lines.push("nothing to do; `rotakey status` shows the rest".to_owned());
    }
    lines.extend(laid_out(&told.advice, width));
    lines.push("all commands: `rotakey --help`".to_owned());
    lines.iter().for_each(|line| app.printer.data(line));
    Ok(())
}

/// The commands one below the other, each whole, and beside or below it what it does.
fn laid_out(advice: &[Advice], width: usize) -> Vec<String> {
    let longest = advice.iter().map(|(command, _)| command.len()).max().unwrap_or_default();
    let beside = width.saturating_sub(6 + longest + 2);
    let mut lines = Vec::new();
    for (n, (command, why)) in advice.iter().enumerate() {
        let word = if n == 0 { "next" } else { "then" };
        if beside >= BESIDE_MIN {
            for (at, part) in wrap(why, beside).iter().enumerate() {
                let (word, command) = if at == 0 { (word, command.as_str()) } else { ("", "") };
                lines.push(format!("{word:4}  {command:longest$}  {part}"));
            }
        } else {
            lines.push(format!("{word}  {command}"));
            let below = wrap(why, width.saturating_sub(8));
            lines.extend(below.iter().map(|part| format!("        {part}")));
        }
    }
    lines
}

fn told(app: &App, agent: &Result<Option<Value>, Failed>) -> Result<Told, Failed> {
    let mut told = Told::default();
    if app.config.profile_names().next().is_none() {
        match has_plain_keys(&app.env) {
            false => told.advise("rotakey add default", "takes a key over"),
            true => told.advise("rotakey import --all --dry-run", "shows which keys it would take"),
        }
        told.advise("rotakey doctor", "proves that programs find it");
        #[cfg(feature = "demo")]
        told.advise("rotakey demo", "shows a rotation first, without AWS");
        return Ok(told);
    }
    let seen = agent.as_ref().ok().and_then(Option::as_ref);
    for name in app.managed()? {
        match status::standing(&app.for_profile(&name), seen) {
            Ok(standing) => of_profile(&mut told, &name, &standing),
            Err(_) => told.advise(format!("rotakey status {name}"), "it cannot be read: says why"),
        }
    }
    match agent {
        Ok(None) => {
            told.advise("rotakey agent", "serves programs, rotates unattended");
            told.advise("rotakey service install", "or this: from every login on");
        }
        Err(_) => told.advise("rotakey doctor", "says what is wrong with the agent"),
        Ok(Some(_)) => {}
    }
    Ok(told)
}

fn of_profile(told: &mut Told, name: &str, standing: &Standing) {
    let look = || format!("rotakey status {name}");
    match standing.headline {
        Headline::Incident => told.advise(look(), "a key leaked: says where to read what is left"),
        Headline::Stuck => told.advise(look(), "a person must decide: names the choices"),
        Headline::Held => told.advise(look(), "says what holds it, and how it goes on"),
        Headline::Failed => told.advise(look(), "says what came of it, and what to do"),
        Headline::Unreadable => told.advise(look(), "it cannot be read: says why"),
        Headline::Empty => told.advise(look(), "it has no key yet: says how it gets one"),
        _ => {}
    }
    let word = standing.headline.word();
    match (standing.headline, &standing.waits_for, &standing.why) {
        (Headline::Stuck | Headline::Failed, _, Some(why)) => {
            told.news.push(format!("{name}: {word}: {why}"));
        }
        (_, Some(what), _) => told.news.push(format!("{name}: {word}; it waits for {what}")),
        _ => {}
    }
    if standing.waits_for.is_some() {
        let what = match standing.headline {
            Headline::Stuck => return,
            Headline::Held => "goes on, once that is over",
            _ => "goes on with its rotation",
        };
        if standing.is_left_alone {
            told.advise(format!("rotakey resume {name} --wait deleted"), what);
        }
        return;
    }
    match (standing.headline, &standing.due_since) {
        (Headline::TooOld, _) => told.advise(
            format!("rotakey rotate {name}"),
            format!("its key is older than the {AGE_DAYS} days of CIS"),
        ),
        (Headline::Failed, _) if standing.is_left_alone => {
            told.advise(format!("rotakey rotate {name}"), "tries again");
        }
        (Headline::Ok, Some(since)) if standing.is_left_alone => {
            told.advise(format!("rotakey rotate {name}"), format!("its key is due since {since}"));
        }
        _ => {}
    }
}

/// Whether a key stands in one of the shared files.
fn has_plain_keys(env: &Env) -> bool {
    let Ok(places) = Places::from_env(env) else { return false };
    [Kind::Credentials, Kind::Config].into_iter().any(|kind| {
        let bytes = shared_files::read(places.path(kind)).ok().flatten().unwrap_or_default();
        let document = Document::parse(&bytes);
        let mut properties = document.sections.iter().flat_map(|section| &section.properties);
        properties.any(|property| property.name == "aws_secret_access_key")
    })
}
