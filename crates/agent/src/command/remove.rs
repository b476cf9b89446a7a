//! `remove`: a profile is given up. IAM is not touched.

use crate::app::App;
use crate::clock::Clock;
use crate::config::edit;
use crate::control::Agent;
use crate::failure::{Exit, Failed};
use crate::serving::holders::Holder;
use crate::session::mfa::seed_id;
use crate::shared_files::rotakey_line;
use crate::store::disk;

/// Runs it.
pub fn run(app: &App, yes: bool) -> Result<(), Failed> {
    let name = &app.profile;
    let settings = app.config.settings(name, &app.env)?;
    let has_device = settings.session.mfa.is_some_and(|device| device.profile == *name);
    if app.key_profile()? != name {
        if has_device {
            app.keystore()?.delete(&seed_id(name))?;
        }
        edit::remove_profile(&app.paths.config, name)?;
        Agent::at(app.paths.socket()).reload(&app.paths.config);
        app.printer.say(&format!("{name} is removed; the key it shared stays"));
        say_line(app);
        return Ok(());
    }
    let sharers: Vec<_> = app.config.sharers(name).collect();
    if !sharers.is_empty() {
        let message = format!("the key of {name} is used by {}", sharers.join(", "));
        return Err(Failed::new(Exit::Usage, message).hint("remove those first"));
    }
    let state = app.state()?;
    let (_engine, journal) = state.lock()?;
    let status = journal.status();
    if let Some(open) = &status.rotation {
        let message = format!("{name} is being rotated (step {})", open.step);
        // What is published cannot be given up any more.
        let or = match open.published.is_none() && open.undone.is_none() {
            true => format!(" or `rotakey abort {name}`"),
            false => String::new(),
        };
        return Err(Failed::new(Exit::Decide, message)
            .hint(format!("`rotakey resume {name} --wait deleted`{or} first")));
    }
    let now = app.clock.now().wall;
    let agent = Agent::at(app.paths.socket());
    let lease = match agent.profile(name)? {
        // It writes horizons ahead, also when nobody asks: what counts is who was given something.
        Some(seen) => held_until(&seen),
        None => state.ledger()?.and_then(|l| l.horizons.get(&l.access_key_id)?.served_until),
    };
    // A key that was taken out of service is of no use to whoever holds it.
    if let Some(until) = lease.filter(|until| *until > now && status.withdrawn.is_none()) {
        let until = super::status::when(until, now);
        let message = format!("a program may hold the key of {name} until {until}");
        return Err(Failed::new(Exit::Decide, message)
            .hint(format!("wait until then; `rotakey status {name}` says who")));
    }
    if let Some(current) = &status.current {
        let keystore = app.keystore()?;
        let only =
            format!("the only copy of the secret of {} is in {}", current.id, keystore.describe());
        if !yes && !app.printer.confirm(&format!("{only}. Remove it?")) {
            let message = format!("{name} is not removed: {only}");
            return Err(Failed::new(Exit::Decide, message)
                .hint(format!("`rotakey remove {name} --yes` destroys it")));
        }
        keystore.delete(&current.id)?;
        // The configuration may not name the device any more.
        keystore.delete(&seed_id(name))?;
    }
    // The history is kept, out of the way.
    let removed = app.paths.state.join(".removed");
    let target = removed.join(format!("{name}.{}", now.as_second()));
    disk::create_private_dir(&removed)
        .and_then(|()| disk::rename_dir(state.dir(), &target))
        .map_err(|error| {
            Failed::new(
                Exit::Failed,
                format!("cannot move {} away: {error}", state.dir().display()),
            )
        })?;
    app.audited("remove", None, "the profile, and the secret of its key from the keystore");
    edit::remove_profile(&app.paths.config, name)?;
    Agent::at(app.paths.socket()).reload(&app.paths.config);
    app.printer.say(&format!("{name} is removed; IAM was not touched"));
    say_line(app);
    Ok(())
}

/// Programs of the profile would go on asking us.
fn say_line(app: &App) {
    let name = &app.profile;
    if let Some((path, line)) = rotakey_line(&app.env, name) {
        app.printer.say(&format!(
            "line {line} of {} still gets {name}'s credentials from rotakey: take it out",
            path.display()
        ));
    }
}

/// Until when somebody holds a key of the profile, as the agent says.
fn held_until(seen: &serde_json::Value) -> Option<jiff::Timestamp> {
    let holders: Vec<Holder> = serde_json::from_value(seen["holders"].clone()).unwrap_or_default();
    holders.into_iter().map(|holder| holder.until).max()
}
