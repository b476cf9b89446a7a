//! A run of the engine that gives a person's command its turn, and tells him what happens.

use jiff::Timestamp;
use rotakey_core::credential::{AccessKeyId, Generation};
use rotakey_core::journal::{Reason, Status, Step};
use rotakey_core::rotation::{Goal, WaitingFor};

use crate::app::App;
use crate::clock::{Clock, SystemClock};
use crate::config::duration;
use crate::control::Agent;
use crate::driver::{Came, Observer};
use crate::engine::{self, Milestone, Run, reached};
use crate::failure::{Exit, Failed};
use crate::printer::Printer;
use crate::telling::{self, Seen};

/// An agent that is asked to give way finishes the call to AWS that is under way, which takes 10 seconds at most.
const AGAIN: std::time::Duration = std::time::Duration::from_millis(250);
const TRIES: u32 = 60;

/// What a person said beside what he asked for.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::command) struct Terms<'a> {
    /// Uses of the old key from outside may pass.
    pub(in crate::command) passes_use: bool,
    /// The key that is meant, if one leaked.
    pub(in crate::command) leaked: Option<&'a AccessKeyId>,
}

/// Runs the engine, after whoever else is at work. `None` if another process's rotation came as far as that.
pub(in crate::command) async fn attempt(
    app: &App,
    goal: Goal,
    wait: Milestone,
    terms: Terms<'_>,
) -> Result<Option<Run>, Failed> {
    // Of a leaked key, no source that is broken decides.
    if goal != Goal::Abort && goal != Goal::COMPROMISED {
        // One that is there and does not answer could not show what it serves, and the rotation would be taken back.
        Agent::at(app.paths.socket()).status()?;
    }
    let status = app.state()?.read()?.1;
    let before = status.generation;
    let asked = match &goal {
        Goal::Undo => "undo",
        Goal::Abort => "abort",
        Goal::Resume => "resume",
        _ => "rotate",
    };
    app.audited(asked, status.current.as_ref().map(|key| &key.id), "asked for by a command");
    let mut patience = TRIES;
    loop {
        match drive(app, goal.clone(), Some(wait), terms).await {
            Ok(run) => return Ok(Some(run)),
            Err(error)
                if error.exit == Exit::Decide
                    && matches!(goal, Goal::Rotate(Reason::Forced | Reason::Scheduled)) =>
            {
                // Another process rotates this profile: its rotation is as good as ours.
                if !join(app, wait, before).await? {
                    continue;
                }
                return Ok(None);
            }
            // The agent gives way to a person.
            Err(error) if error.exit == Exit::Decide && patience > 0 => {
                let agent = Agent::at(app.paths.socket());
                let gives_way = match agent.order(app.key_profile()?, "yield", b"") {
                    // It stands still with the lock in its hands: whoever has a leaked key is told which process to end.
                    Err(_) if goal == Goal::COMPROMISED => false,
                    answered => answered?,
                };
                if !gives_way {
                    return Err(held_up(app, &goal, error));
                }
                patience -= 1;
                let soon = rotakey_core::time::later(app.clock.now().wall, AGAIN);
                app.clock.sleep_until(soon).await;
            }
            Err(error) => return Err(held_up(app, &goal, error)),
        }
    }
}

/// A key leaked, and another command, which gives way to nobody, is at work.
fn held_up(app: &App, goal: &Goal, mut failed: Failed) -> Failed {
    let pid = app.state().ok().and_then(|state| state.engine());
    if *goal == Goal::COMPROMISED
        && failed.exit == Exit::Decide
        && let Some(pid) = pid
    {
        failed.hint = Some(format!(
            "end it, `kill {pid}`, and run this again: that is safe, as the journal has where it was, and this goes on from there"
        ));
    }
    failed
}

/// Watches another process's rotation, begun when `before` was the generation. False if it went away before the
/// milestone, or never began one.
async fn join(app: &App, wait: Milestone, before: Generation) -> Result<bool, Failed> {
    let state = app.state()?;
    app.printer.say(&format!("{}: another process rotates it; waiting for that", app.profile));
    let mut is_begun = false;
    loop {
        let (_, status) = state.read()?;
        is_begun |= status.rotation.is_some() || status.generation != before;
        let is_over = status.rotation.as_ref().map_or(is_begun, |open| reached(open, wait));
        if is_over {
            app.printer.say(&format!("{}: done by the other process", app.profile));
            return Ok(true);
        }
        if state.engine().is_none() {
            return Ok(false);
        }
        app.clock
            .sleep_until(rotakey_core::time::later(
                app.clock.now().wall,
                std::time::Duration::from_millis(300),
            ))
            .await;
    }
}

/// Runs the engine, and tells a person what happens. Afterwards the agent, if one runs, goes on with what is left.
pub(super) async fn drive(
    app: &App,
    goal: Goal,
    wait: Option<Milestone>,
    terms: Terms<'_>,
) -> Result<Run, Failed> {
    let profile = app.key_profile()?;
    let hurries = goal == Goal::COMPROMISED;
    let (printer, clock) = (&app.printer, &app.clock);
    let mut watcher =
        Watcher { profile, printer, step: None, clock, hurries, passes: terms.passes_use };
    let before = app.status()?;
    let is_check = goal == Goal::Check;
    let keystore = app.keystore()?;
    let run = engine::run_for(app, keystore.as_ref(), goal, wait, &mut watcher, terms.leaked).await;
    app.printer.progress_done();
    if let Ok(Run { stop, status }) = &run
        && !is_check
    {
        let now = app.clock.now().wall;
        let came = Came::of(stop.clone(), None, now);
        telling::tell(
            app,
            &Seen { profile, now, before: &before, after: status, came: &came, failures: 0 },
        );
        // It is printed, at each run: whoever asked has heard of it.
        telling::heard(app, profile, status, &came);
    }
    if matches!(&run, Err(failed) if failed.exit == Exit::Decide) {
        // Somebody else is at work, and needs no waking.
        return run;
    }
    let agent = Agent::at(app.paths.socket());
    let profile = profile.to_owned();
    let woken = tokio::task::spawn_blocking(move || agent.order(&profile, "wake", b"")).await;
    if let Ok(Err(failed)) = woken {
        app.printer.say(&format!("warning: {}", failed.message));
    }
    run
}

/// Tells a person what happens.
struct Watcher<'a> {
    profile: &'a str,
    printer: &'a Printer,
    step: Option<Step>,
    clock: &'a SystemClock,
    /// A key leaked: nothing that takes an hour is waited for.
    hurries: bool,
    /// Uses from outside that were told pass.
    passes: bool,
}

impl Observer for Watcher<'_> {
    fn advanced(&mut self, status: &Status) {
        let step = status.rotation.as_ref().map(|open| open.step);
        if let Some(step) = step
            && self.step != Some(step)
        {
            self.printer.progress_done();
            self.printer.say(&format!("{}: {step}", self.profile));
        }
        self.step = step;
    }

    fn lets_uses_pass(&self) -> bool {
        self.passes
    }

    fn waits(&mut self, until: Timestamp, waiting_for: &WaitingFor) -> bool {
        if let WaitingFor::Straggler(..) | WaitingFor::Mfa(_) = waiting_for {
            return false;
        }
        if self.hurries && *waiting_for == WaitingFor::Orphan {
            return false;
        }
        let left = until.duration_since(self.clock.now().wall);
        let left = std::time::Duration::try_from(left).unwrap_or_default();
        let line =
            format!("{}: waiting {} for {waiting_for}", self.profile, duration::format(left));
        if left.as_secs() >= 30 {
            self.printer.progress_done();
            self.printer.say(&line);
        } else {
            self.printer.progress(&line);
        }
        true
    }
}
