//! `rotate`, `resume`, `undo`, `abort`: one engine run, seen by a person.

use std::io::IsTerminal;

use jiff::Timestamp;
use rotakey_core::credential::{AccessKeyId, Generation};
use rotakey_core::journal::{Open, Reason, Status, Step};
use rotakey_core::rotation::preflight::describe;
use rotakey_core::rotation::{Ending, Finding, Goal, WaitingFor};
use tokio::runtime::Runtime;

use super::App;
use super::status::{self, seconds};
use crate::cli::args::{Milestone, RotateArgs};
use crate::cli::failure::{Exit, Failed};
use crate::cli::printer::Printer;
use crate::clock::{Clock, SystemClock};
use crate::config::duration;
use crate::control::Agent;
use crate::daemon::schedule::Came;
use crate::daemon::telling::{self, Seen, Told};
use crate::driver::{Observer, Stop};
use crate::engine::{self, Run, reached};
use crate::incident::quarantine;
use crate::shared_files::plaintext_copies;

/// An agent that is asked to give way finishes the call to AWS that is under way, which takes 10 seconds at most.
const AGAIN: std::time::Duration = std::time::Duration::from_millis(250);
const TRIES: u32 = 60;

/// `rotate`.
pub async fn rotate(app: &App, args: &RotateArgs) -> Result<(), Failed> {
    if args.incident.compromised {
        return super::incident::run(app, &args.incident, args.wait).await;
    }
    let status = app.status()?;
    if status.withdrawn.is_some() {
        return Err(super::incident::is_withdrawn(app, &status));
    }
    if args.dry_run {
        return dry_run(app).await;
    }
    if let Some(open) = &status.rotation
        && open.step == Step::Soak
        && args.wait < Milestone::Deleted
    {
        return Err(soaking(app, open)?);
    }
    warn_of_copies(app, &status);
    run(app, Goal::Rotate(Reason::Forced), args.wait, false).await
}

/// The agent would not begin: programs that read the key there keep it until it is refused.
fn warn_of_copies(app: &App, status: &Status) {
    let Some(key) = &status.current else { return };
    for copy in plaintext_copies(&app.env, &[&key.id]) {
        app.printer
            .say(&format!("warning: {} is in {copy} as well, where it will be dead", key.id));
        app.printer.say(&format!("hint: `rotakey import --profile {}` takes it out", copy.profile));
    }
}

/// `rotate --all`: one after the other; the first failure is the answer, after all were tried.
pub fn all(
    names: Vec<String>,
    args: &RotateArgs,
    app: impl Fn(String) -> Result<App, Failed>,
    runtime: &Runtime,
) -> Result<(), Failed> {
    let mut failed: Option<Failed> = None;
    for name in names {
        let result = app(name.clone()).and_then(|app| runtime.block_on(rotate(&app, args)));
        if let Err(mut error) = result {
            error.message = format!("{name}: {}", error.message);
            if let Some(earlier) = failed.take() {
                error.message = format!("{}; {}", earlier.message, error.message);
                error.exit = earlier.exit;
            }
            failed = Some(error);
        }
    }
    failed.map_or(Ok(()), Err)
}

/// `resume`. Uses of the old key from outside pass if a person is there who was told of them, or if the command says so:
/// a timer that runs it decides nothing.
pub async fn resume(app: &App, wait: Milestone, despite_use: bool) -> Result<(), Failed> {
    let status = app.status()?;
    if status.withdrawn.as_ref().is_some_and(|withdrawn| withdrawn.disabled.is_none()) {
        return Err(super::incident::is_withdrawn(app, &status));
    }
    if status.rotation.is_none() {
        app.printer.say(&format!("{}: nothing to resume", app.profile));
        return Ok(());
    }
    // It is past what held it only when the old key is deactivated.
    let passes = despite_use || std::io::stdin().is_terminal();
    let wait = match Told::straggler(app, &app.status()?) {
        Some(_) if passes => wait.max(Milestone::Deactivated),
        _ => wait,
    };
    run(app, Goal::Resume, wait, passes).await
}

/// `undo`.
pub async fn undo(app: &App, force: bool) -> Result<(), Failed> {
    match app.status()?.rotation {
        Some(open) if open.is_cut_off() && open.can_undo() && !force => {
            let message = format!("the previous key {} leaked", open.outgoing.id);
            return Err(Failed::new(Exit::Decide, message).hint(format!(
                "`rotakey undo {} --force` makes it active again all the same, for whoever has it",
                app.profile
            )));
        }
        Some(open) if open.can_undo() && !force && quarantine::is_marked(&app.state()?) => {
            let message = format!("AWS says that a key of {} leaked", app.profile);
            return Err(Failed::new(Exit::Decide, message).hint(format!(
                "if it was not {}: `rotakey undo {} --force`",
                open.outgoing.id, app.profile
            )));
        }
        Some(open) if open.can_undo() || open.undone.is_some() => {}
        Some(open) if open.step < Step::Drain => {
            return Err(Failed::new(Exit::Usage, "the new key is not published yet")
                .hint(format!("`rotakey abort {}` gives the rotation up", app.profile)));
        }
        Some(_) => {
            return Err(Failed::new(Exit::Usage, "the old key is deleted: there is no way back")
                .hint("rotate again for another key"));
        }
        None => {
            return Err(Failed::new(Exit::Usage, "there is nothing to undo")
                .hint("undo applies from publish to the end of the soak"));
        }
    }
    let goal = if force { Goal::ForceUndo } else { Goal::Undo };
    run(app, goal, Milestone::Published, false).await
}

/// `abort`.
pub async fn abort(app: &App) -> Result<(), Failed> {
    match app.status()?.rotation {
        None => {
            return Err(Failed::new(Exit::Usage, "there is no rotation to abort")
                .hint("`rotakey status` says what is under way"));
        }
        Some(open) if open.can_undo() || open.published.is_some() || open.undone.is_some() => {
            return Err(Failed::new(Exit::Usage, "the new key is published already")
                .hint(format!("`rotakey undo {}` brings the old one back", app.profile)));
        }
        Some(_) => {}
    }
    run(app, Goal::Abort, Milestone::Deleted, false).await
}

fn soaking(app: &App, open: &Open) -> Result<Failed, Failed> {
    let soak = app.settings()?.policy.soak;
    let until = open.deactivated.map(|at| seconds(rotakey_core::time::later(at, soak)));
    let message = format!(
        "{} is soaking: {} is Inactive and will be deleted after {}",
        app.profile,
        open.outgoing.id,
        until.unwrap_or_default()
    );
    Ok(Failed::new(Exit::Decide, message).hint(format!(
        "`rotakey resume {0} --wait deleted` waits for that, `rotakey undo {0}` goes back",
        app.profile
    )))
}

async fn dry_run(app: &App) -> Result<(), Failed> {
    if let Some(open) = app.status()?.rotation {
        return Err(Failed::new(
            Exit::Decide,
            format!("a rotation is under way (step {})", open.step),
        )
        .hint(format!("`rotakey status {}` says what it waits for", app.profile)));
    }
    let ending = match drive(app, Goal::Check, None, Terms::default()).await?.stop {
        Stop::Ending(ending) => ending,
        Stop::Waiting(WaitingFor::Mfa(why)) => return Err(without_mfa(&app.profile, &why)),
        _ => return Ok(()),
    };
    let Ending::Checked(findings) = ending else { return ended(app, ending) };
    let p = app.settings()?.policy;
    app.printer.data(&format!("plan for {}:", app.profile));
    for line in [
        "create      a second key, its secret kept before anything else".to_owned(),
        format!(
            "verify      {} accepted calls in a row, {} apart, at {}",
            p.successes,
            duration::format(p.spacing),
            p.vantages.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
        ),
        "publish     programs get the new key from then on".to_owned(),
        format!(
            "drain       until every lease of {} on the old key has ended",
            duration::format(p.lease)
        ),
        "deactivate  the old key, and see it refused".to_owned(),
        format!("soak        {}: `rotakey undo` brings it back", duration::format(p.soak)),
        "delete      the old key".to_owned(),
    ] {
        app.printer.data(&format!("  {line}"));
    }
    for finding in findings.iter().filter(|finding| finding.is_warning()) {
        app.printer.data(&format!("warning: {}", describe(finding)));
    }
    blocked(app, findings.into_iter().filter(|f| !f.is_warning()).collect())
}

/// Something stands in the way; nothing, if the list is empty.
fn blocked(app: &App, findings: Vec<Finding>) -> Result<(), Failed> {
    let Some(first) = findings.first() else {
        return Ok(());
    };
    let decide =
        findings.iter().any(|f| matches!(f, Finding::Stranger(_) | Finding::SecondInstall(_)));
    let exit = if decide { Exit::Decide } else { Exit::Refused };
    let message = findings.iter().map(describe).collect::<Vec<_>>().join("; ");
    let hint = match first {
        Finding::Stranger(ids) => format!(
            "IAM allows two keys. Either delete {0} (aws iam delete-access-key --access-key-id {0}), if nobody needs it, or hand it over and give the other one up (rotakey remove {1}; rotakey add {1} --access-key-id {0})",
            ids.first().map(ToString::to_string).unwrap_or_default(),
            app.profile
        ),
        Finding::SecondInstall(tag) => format!(
            "rotate there; or, if that installation is gone, remove the tag {tag} from the user (aws iam untag-user)"
        ),
        Finding::Missing(_) => "attach the policy of docs/iam-policies.md to the user".to_owned(),
        Finding::Quarantined(why) => super::incident::quarantined(app, why),
        Finding::OtherUser(_) => {
            "the profile was added for another user: add that key under another name".to_owned()
        }
        Finding::KeyUnusable(_) | Finding::Warning(_) => {
            "look at the user's keys as an admin: `rotakey keys --user NAME`".to_owned()
        }
    };
    Err(Failed::new(exit, format!("{}: {message}; nothing was changed", app.profile)).hint(hint))
}

async fn run(app: &App, goal: Goal, wait: Milestone, passes_use: bool) -> Result<(), Failed> {
    let terms = Terms { passes_use, ..Terms::default() };
    match attempt(app, goal, wait, terms).await? {
        Some(run) => stopped(app, run, wait),
        None => Ok(()),
    }
}

/// What a person said beside what he asked for.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Terms<'a> {
    /// Uses of the old key from outside may pass.
    pub(super) passes_use: bool,
    /// The key that is meant, if one leaked.
    pub(super) leaked: Option<&'a AccessKeyId>,
}

/// Runs the engine, after whoever else is at work. `None` if another process's rotation came as far as that.
pub(super) async fn attempt(
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
                if !agent.order(app.key_profile()?, "yield", b"")? {
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
async fn drive(
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
    let run = engine::run_for(app, goal, wait, &mut watcher, terms.leaked).await;
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

pub(super) fn stopped(app: &App, run: Run, wait: Milestone) -> Result<(), Failed> {
    let profile = &app.profile;
    match run.stop {
        Stop::Waiting(WaitingFor::Straggler(at, service)) => {
            let message = format!(
                "{profile}: held: the old key is still used from outside (last seen {}, {service})",
                seconds(at)
            );
            Err(Failed::new(Exit::Decide, message).hint(format!(
                "find that program; it goes on when that stops, or by `rotakey resume {profile} --despite-use`"
            )))
        }
        Stop::Waiting(WaitingFor::Mfa(why)) => Err(without_mfa(profile, &why)),
        Stop::Waiting(other) => {
            Err(Failed::new(Exit::Decide, format!("{profile}: it waits for {other}")))
        }
        Stop::Ending(ending) => {
            if let (Ending::Finished, Some(why)) = (&ending, &run.status.last_failure) {
                return Err(Failed::new(Exit::Failed, format!("{profile}: undone: {why}"))
                    .hint("the previous key is served, and is the only one"));
            }
            ended(app, ending)
        }
        Stop::Reached => {
            let Some(open) = &run.status.rotation else { return Ok(()) };
            let served = open.survivor();
            app.printer.say(&format!("{profile}: {} is served", served.id));
            finishes(app, open, wait)
        }
    }
}

/// Says who finishes it, and when at the earliest.
fn finishes(app: &App, open: &Open, wait: Milestone) -> Result<(), Failed> {
    let (profile, id) = (&app.profile, &open.outgoing.id);
    let next = match wait {
        Milestone::Published => "drains, deactivates and deletes",
        _ => "deletes, after its soak,",
    };
    let agent = Agent::at(app.paths.socket()).profile(profile).ok().flatten();
    if agent.is_some() {
        app.printer.say(&format!("{profile}: the agent {next} {id}"));
    } else {
        app.printer.say(&format!("{profile}: `rotakey resume {profile} --wait deleted`"));
        app.printer.say(&format!("{profile}: {next} {id}: no agent runs"));
    }
    let soak = duration::format(app.settings()?.policy.soak);
    let (what, until) = status::waits(app, agent)?;
    app.printer.say(&match (wait, until) {
        (Milestone::Published, Some(at)) => {
            format!("{profile}: deactivated {at} at the earliest, deleted {soak} later")
        }
        (_, Some(at)) => format!("{profile}: deleted {at} at the earliest"),
        (_, None) => format!("{profile}: it waits for {what}"),
    });
    Ok(())
}

fn without_mfa(profile: &str, why: &str) -> Failed {
    Failed::new(Exit::Decide, format!("{profile}: it waits for an MFA code: {why}")).hint(format!(
        "`rotakey mfa {profile}` gives one to the agent, which goes on with it; or set mfa_process, or keep the device's seed with `rotakey mfa {profile} --totp-seed-stdin`, then `rotakey resume {profile}`"
    ))
}

fn ended(app: &App, ending: Ending) -> Result<(), Failed> {
    let profile = &app.profile;
    match ending {
        Ending::Finished => {
            let id = app.status()?.current.map(|key| key.id.to_string()).unwrap_or_default();
            app.printer.say(&format!("{profile}: done; {id} is served, and is the only key"));
            Ok(())
        }
        Ending::Checked(findings) | Ending::Blocked(findings) => blocked(app, findings),
        Ending::Abandoned(why) if why == "a person gave it up" => {
            app.printer.say(&format!("{profile}: given up; nothing is left behind"));
            Ok(())
        }
        Ending::Abandoned(why) => Err(Failed::new(Exit::Failed, format!("{profile}: given up: {why}"))
            .hint("the old key is served as before, and nothing is left behind; try again")),
        Ending::Stuck(why) => Err(Failed::new(Exit::Decide, format!("{profile}: stuck: {why}")).hint(
            format!("look with `rotakey keys`; then `rotakey resume {profile}`, `rotakey undo {profile}` or `rotakey abort {profile}`"),
        )),
        Ending::Failed(failure) => {
            let mut failed = Failed::from(failure);
            failed.message = format!("{profile}: {}", failed.message);
            Err(failed)
        }
    }
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
