//! What a run came to: words, a hint, and an exit code.

use rotakey_core::journal::Open;
use rotakey_core::rotation::preflight::describe;
use rotakey_core::rotation::{Ending, Finding, WaitingFor};

use crate::app::App;
use crate::command::incident;
use crate::command::status;
use crate::config::duration;
use crate::control::Agent;
use crate::driver::Stop;
use crate::engine::Milestone;
use crate::engine::Run;
use crate::failure::{Exit, Failed};
use crate::incident::advice;
use crate::telling;
use crate::wording::rfc3339;

/// What a run came to, to whoever asked for it.
pub(in crate::command) fn stopped(app: &App, run: Run, wait: Milestone) -> Result<(), Failed> {
    let profile = &app.profile;
    match run.stop {
        Stop::Waiting(WaitingFor::Straggler(at, service)) => {
            let message = format!(
                "{profile}: held: the old key is still used from outside (last seen {}, {service})",
                rfc3339(at)
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
    let (next, left) = match wait {
        Milestone::Published => {
            ("drains, deactivates and deletes", "is still to be drained, deactivated and deleted")
        }
        _ => ("deletes, after its soak,", "is still to be deleted, after its soak"),
    };
    let agent = Agent::at(app.paths.socket()).profile(profile).ok().flatten();
    let is_alone = agent.is_none();
    app.printer.say(&match is_alone {
        true => format!("{profile}: {id} {left}"),
        false => format!("{profile}: the agent {next} {id}"),
    });
    let soak = duration::format(app.settings()?.policy.soak);
    let (what, until) = status::waits(app, agent)?;
    app.printer.say(&match (wait, until) {
        (Milestone::Published, Some(at)) => {
            format!("{profile}: deactivated {at} at the earliest, deleted {soak} later")
        }
        (_, Some(at)) => format!("{profile}: deleted {at} at the earliest"),
        (_, None) => format!("{profile}: it waits for {what}"),
    });
    if open.can_undo() && open.undone.is_none() && !open.is_cut_off() {
        app.printer.say(&format!("{profile}: until then, `rotakey undo {profile}` goes back"));
    }
    if is_alone {
        app.printer.say(&format!(
            "{profile}: no agent runs: go on with `rotakey resume {profile} --wait deleted`"
        ));
    }
    Ok(())
}

pub(super) fn without_mfa(profile: &str, why: &str) -> Failed {
    Failed::new(Exit::Decide, format!("{profile}: it waits for an MFA code: {why}")).hint(format!(
        "`rotakey mfa {profile}` gives one to the agent, which goes on with it; or set mfa_process, or keep the device's seed with `rotakey mfa {profile} --totp-seed-stdin`, then `rotakey resume {profile}`"
    ))
}

pub(super) fn ended(app: &App, ending: Ending) -> Result<(), Failed> {
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
        Ending::Abandoned(why) => {
            Err(Failed::new(Exit::Failed, format!("{profile}: given up: {why}"))
                .hint("the old key is served as before, and nothing is left behind; try again"))
        }
        Ending::Stuck(why) => Err(Failed::new(Exit::Decide, format!("{profile}: stuck: {why}"))
            .hint(telling::choices(profile))),
        Ending::Failed(failure) => {
            let mut failed = Failed::from(failure);
            failed.message = format!("{profile}: {}", failed.message);
            Err(failed)
        }
    }
}

/// Something stands in the way; nothing, if the list is empty.
pub(super) fn blocked(app: &App, findings: Vec<Finding>) -> Result<(), Failed> {
    let Some(first) = findings.first() else {
        return Ok(());
    };
    let decide =
        findings.iter().any(|f| matches!(f, Finding::Stranger(_) | Finding::SecondInstall(_)));
    let exit = if decide { Exit::Decide } else { Exit::Refused };
    let message = findings.iter().map(describe).collect::<Vec<_>>().join("; ");
    let hint = match first {
        Finding::Stranger(ids) => {
            let user =
                app.status().ok().and_then(|status| status.enrolment).map(|whose| whose.user);
            let delete = ids.first().map(|id| advice::delete(&user.unwrap_or_default(), id));
            format!(
                "IAM allows two keys. Either delete {0} (`{2}`), if nobody needs it, or hand it over and give the other one up (`rotakey remove {1}`, then `rotakey add {1} --access-key-id {0}`)",
                ids.first().map(ToString::to_string).unwrap_or_default(),
                app.profile,
                delete.unwrap_or_default()
            )
        }
        Finding::SecondInstall(tag) => format!(
            "rotate there; or, if that installation is gone, remove the tag {tag} from the user (aws iam untag-user)"
        ),
        Finding::Missing(_) => "attach the policy of docs/iam-policies.md to the user".to_owned(),
        Finding::Quarantined(why) => incident::quarantined(app, why),
        Finding::OtherUser(_) => {
            "the profile was added for another user: add that key under another name".to_owned()
        }
        Finding::KeyUnusable(_) | Finding::Warning(_) => {
            "look at the user's keys as an admin: `rotakey keys --user NAME`".to_owned()
        }
    };
    Err(Failed::new(exit, format!("{}: {message}; nothing was changed", app.profile)).hint(hint))
}
