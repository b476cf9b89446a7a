//! `status`: who am I, which keys, what is under way, what does it wait for and until when.

mod bar;
mod headline;
mod json;
mod style;
mod text;
mod view;
mod waits;
mod watch;

use clap::Args;
use jiff::Timestamp;
use serde_json::{Value, json};

pub(super) use self::headline::Headline;
use self::style::Style;
use self::view::View;
use crate::app::App;
use crate::control::Agent;
use crate::failure::Failed;
use crate::news::recent;

/// A time to come, for a person: `14:32 (in 40 min)`.
pub fn when(at: Timestamp, now: Timestamp) -> String {
    let near = style::near(at, now);
    style::ahead(at, now).map_or_else(|| near.clone(), |ahead| format!("{near} ({ahead})"))
}

/// The arguments of `status`.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// The profile; all of them if none is named
    pub name: Option<String>,
    /// As one JSON object
    #[arg(long)]
    pub json: bool,
    /// Show it anew when something changes, until Ctrl-C; with --json, one object a line
    #[arg(long)]
    pub watch: bool,
}

/// What is to be shown.
struct Seen {
    agent: Option<Value>,
    /// Why the agent does not answer.
    trouble: Option<String>,
    profiles: Vec<View>,
    unreadable: Vec<(String, Failed)>,
}

/// Runs it, for one profile or for all.
pub fn run(app: &App, profile: Option<String>, args: &StatusArgs) -> Result<(), Failed> {
    let named = args.name.clone().or(profile);
    let named = named.or_else(|| app.env.get("AWS_PROFILE").map(str::to_owned));
    if args.watch {
        return watch::run(app, named.as_deref(), args.json);
    }
    let seen = look(app, named.as_deref())?;
    if args.json {
        app.printer.data(&seen.json().to_string());
        return Ok(());
    }
    if seen.profiles.is_empty() && seen.unreadable.is_empty() {
        app.printer.say("no profiles yet: `rotakey add default` takes a key over");
    }
    for line in seen.text(&Style::of(&app.env)) {
        app.printer.data(&line);
    }
    Ok(())
}

/// Looks at everything there is to be seen.
fn look(app: &App, named: Option<&str>) -> Result<Seen, Failed> {
    let names: Vec<String> = match named {
        Some(name) => vec![name.to_owned()],
        None => app.config.profile_names().map(str::to_owned).collect(),
    };
    // An agent that does not answer must not keep a person from seeing the rest.
    let (agent, trouble) = match Agent::at(app.paths.socket()).status() {
        Ok(agent) => (agent, None),
        Err(failed) => (None, Some(failed.message)),
    };
    let news = recent(&app.paths.state.join("news.jsonl"));
    let (mut profiles, mut unreadable) = (Vec::new(), Vec::new());
    for name in &names {
        let seen = agent.as_ref().map(|agent| agent["profiles"][name].clone());
        match View::of(&app.for_profile(name), seen, &news) {
            Ok(view) => profiles.push(view),
            // One that cannot be read must not hide the others.
            Err(failed) if names.len() > 1 => unreadable.push((name.clone(), failed)),
            Err(failed) => return Err(failed),
        }
    }
    Ok(Seen { agent, trouble, profiles, unreadable })
}

/// What the open rotation waits for, as `status` has it, and when its step is over at the earliest. `agent` is what the
/// agent says of the profile.
pub(super) fn waits(app: &App, agent: Option<Value>) -> Result<(String, Option<String>), Failed> {
    let view = View::of(app, agent, &[])?;
    let wait = view.status.rotation.as_ref().map(|open| view.wait(open));
    let until = wait.as_ref().and_then(|wait| wait.over.or(wait.until));
    let until = until.map(|until| view.at(until));
    Ok((wait.map(|wait| wait.what).unwrap_or_default(), until))
}

/// How a profile is, as far as `rotakey` alone goes by it.
pub(super) struct Standing {
    /// In a word.
    pub(super) headline: Headline,
    /// Why its rotation is stuck, or the last one came to nothing.
    pub(super) why: Option<String>,
    /// What its rotation waits for, and until when; `None` if there is none.
    pub(super) waits_for: Option<String>,
    /// Since when it is to be rotated, if it is.
    pub(super) due_since: Option<String>,
    /// Nobody goes on with it by himself.
    pub(super) is_left_alone: bool,
}

/// How a profile is. `agent` is what the agent says of all of them.
pub(super) fn standing(app: &App, agent: Option<&Value>) -> Result<Standing, Failed> {
    let seen = agent.map(|agent| agent["profiles"][&app.profile].clone());
    let view = View::of(app, seen, &recent(&app.paths.state.join("news.jsonl")))?;
    let waits_for = view.status.rotation.as_ref().map(|open| {
        let wait = view.wait(open);
        let until = wait.until.map(|until| format!(", until {}", view.at(until)));
        format!("{}{}", wait.what, until.unwrap_or_default())
    });
    let due = view.next_rotation().filter(|due| *due <= view.now.wall);
    let stuck = view.status.rotation.as_ref().and_then(|open| open.stuck.clone());
    Ok(Standing {
        headline: Headline::of(&view),
        why: stuck.or_else(|| view.last_failure()),
        waits_for,
        due_since: due.map(|due| when(due, view.now.wall)),
        is_left_alone: view.is_left_alone(),
    })
}

impl Seen {
    fn json(&self) -> Value {
        let broken = self.unreadable.iter().map(|(name, failed)| {
            json!({"profile": name, "last_error": failed.message, "warnings": [failed.message]})
        });
        let profiles: Vec<_> = self.profiles.iter().map(View::json).chain(broken).collect();
        let agent = match &self.agent {
            Some(agent) => json!({
                "running": true,
                "pid": agent["pid"],
                "since": agent["since"],
                "listen": agent["listen"],
            }),
            None => json!({"running": false, "pid": null, "since": null, "trouble": self.trouble}),
        };
        json!({"version": 1, "agent": agent, "profiles": profiles})
    }

    fn text(&self, style: &Style) -> Vec<String> {
        let mut lines = Vec::new();
        let is_empty = self.profiles.is_empty() && self.unreadable.is_empty();
        match (&self.agent, &self.trouble) {
            (Some(agent), _) => {
                let since = agent["since"].as_str().and_then(|at| at.parse().ok());
                let since = since.map(|at: Timestamp| style::local(at)).unwrap_or_default();
                lines.extend(style.top("agent", &format!("pid {} since {since}", agent["pid"])));
            }
            (None, Some(why)) => lines.extend(style.top("agent", why)),
            (None, None) if is_empty => {}
            (None, None) => {
                lines.extend(style.top(
                    "agent",
                    "not running: `rotakey agent` starts it, `rotakey service install` keeps it",
                ));
            }
        }
        for view in &self.profiles {
            lines.push(String::new());
            lines.extend(view.text(style));
        }
        for (name, failed) in &self.unreadable {
            lines.push(String::new());
            lines.push(style.headline(name, headline::Headline::Unreadable));
            lines.extend(style.row("error", &failed.message));
            lines.extend(style.row("hint", failed.hint.as_deref().unwrap_or_default()));
        }
        lines
    }
}
