//! `rotate --dry-run`: what would be done, and what stands in the way.

use rotakey_core::rotation::preflight::describe;
use rotakey_core::rotation::{Ending, Goal, WaitingFor};

use super::attempt::{Terms, drive};
use super::outcome::{blocked, ended, without_mfa};
use crate::app::App;
use crate::config::duration;
use crate::driver::Stop;
use crate::failure::{Exit, Failed};

/// The plan.
pub(super) async fn show(app: &App) -> Result<(), Failed> {
    if let Some(open) = app.status()?.rotation {
        return Err(Failed::new(
            Exit::Decide,
            format!("{} is being rotated already (step {})", app.profile, open.step),
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
    blocked(app, findings.into_iter().filter(|f| !f.is_warning()).collect())?;
    app.printer.say(&format!("nothing is missing: `rotakey rotate {}` does it", app.profile));
    Ok(())
}
