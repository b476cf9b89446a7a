//! One run of the engine for a profile: all that its orders touch, put together.

use clap::ValueEnum;
use rotakey_core::credential::AccessKeyId;
use rotakey_core::journal::{Entry, Open, Record, RotationId, Status, Step};
use rotakey_core::policy::OnStraggler;
use rotakey_core::rotation::{Goal, Rotation, Task};

use crate::app::{App, random_hex};
use crate::clock::Clock;
use crate::driver::{Driver, Observer, Stop};
use crate::failure::{Exit, Failed};
use crate::incident::{evidence, sessions};
use crate::receipts::Receipts;
use crate::receipts::witness::Witness;
use crate::session::Signing;
use crate::sources::Sources;
use crate::store::keystore::Keystore;
use crate::store::profile::{Journal, ProfileState};
use crate::telling::Told;

/// How far a command goes before it returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Milestone {
    /// Every source serves the new key
    Published,
    /// The old key is Inactive
    Deactivated,
    /// The old key is gone
    Deleted,
}

/// What a run came to.
#[derive(Debug)]
pub struct Run {
    /// Why it came back.
    pub stop: Stop,
    /// What the journal amounts to now.
    pub status: Status,
}

/// Runs the engine, until it ends, or `wait` is reached, or `observer` does not want to wait. Whoever runs it more than
/// once has one keystore for it: each new one asks for its passphrase, and derives its key, anew.
pub async fn run(
    app: &App,
    keystore: &dyn Keystore,
    goal: Goal,
    wait: Option<Milestone>,
    observer: &mut impl Observer,
) -> Result<Run, Failed> {
    run_for(app, keystore, goal, wait, observer, None).await
}

/// The same; if a key that leaked is to be replaced, this one is meant, and no other. What a person saw before the lock
/// was taken may be over by then.
pub async fn run_for(
    app: &App,
    keystore: &dyn Keystore,
    goal: Goal,
    wait: Option<Milestone>,
    observer: &mut impl Observer,
    leaked: Option<&AccessKeyId>,
) -> Result<Run, Failed> {
    let holder = app.key_profile()?;
    let mut settings = app.settings()?;
    let state = app.state()?;
    let (_engine, journal) = state.lock()?;
    // One that cannot be used would stop the rotation half-way.
    state.ledger()?;
    if let Some(leaked) = leaked
        && journal.status().at_risk().is_none_or(|key| key.id != *leaked)
    {
        return went_before(app, journal, leaked).await;
    }
    // Whoever heard of it and goes on has decided.
    if observer.lets_uses_pass()
        && goal == Goal::Resume
        && let Some(told) = Told::straggler(app, journal.status())
    {
        settings.policy.on_straggler = OnStraggler::Pass(told);
    }
    let service = app.service(&settings);
    let endpoint = Sources::of(app, holder);
    let tag = app.install_tag()?;
    let task = Task {
        policy: settings.policy.clone(),
        rotation: RotationId(random_hex()?),
        tag: tag.clone(),
        goal: goal.clone(),
    };
    let started = app.clock.now().wall;
    // What has to end before a leaked key is replaced reaches no milestone of its replacement.
    let is_first = |open: &Open| goal == Goal::COMPROMISED && open.step >= Step::Soak;
    let first = journal.status().rotation.as_ref().filter(|open| is_first(open));
    let first = first.map(|open| open.id.clone());
    // A milestone that lies behind us is reached already.
    if let (Some(wait), Some(open), Goal::Rotate(_) | Goal::Resume) =
        (wait, &journal.status().rotation, &goal)
        && open.stuck.is_none()
        && first.is_none()
        && reached(open, wait)
    {
        return Ok(Run { stop: Stop::Reached, status: journal.status().clone() });
    }
    let status = journal.status().clone();
    let mut rotation = Rotation::new(task, status);
    let mut driver = Driver {
        service: &service,
        keystore,
        state: &state,
        journal,
        endpoint: &endpoint,
        clock: &app.clock,
        policy: &settings.policy,
        tag: &tag,
        mfa: settings.session.mfa.as_ref().map(|device| Signing {
            sessions: &app.mfa,
            device,
            duration: settings.session.duration,
        }),
    };
    let goes_to = wait.unwrap_or(Milestone::Deleted);
    let until = |status: &Status| {
        let open = status.rotation.as_ref().filter(|open| first.as_ref() != Some(&open.id));
        open.is_some_and(|open| reached(open, goes_to))
    };
    let mut witness =
        Witness { inner: observer, state: &state, policy: &settings.policy, step: None };
    let stop = driver.drive(&mut rotation, until, &mut witness).await;
    // While the lock is held: nobody else writes these.
    evidence::keep(app, &state, started, service.calls().take());
    let open = rotation.status().rotation.as_ref().map(|open| &open.id);
    // What had to end first has ended, even though its successor has begun.
    if open.is_none() || (first.is_some() && open != first.as_ref()) {
        give_receipt(app, &state, &tag);
    }
    Ok(Run { stop, status: rotation.status().clone() })
}

/// The key that leaked was set Inactive in the meantime, as the outgoing key of a rotation: the served one stays. That it
/// leaked is recorded, so that only force brings it back.
async fn went_before(app: &App, mut journal: Journal, leaked: &AccessKeyId) -> Result<Run, Failed> {
    let profile = &app.profile;
    let open = journal.status().rotation.clone();
    let open = open.filter(|open| open.outgoing.id == *leaked && open.deactivated.is_some());
    let Some(open) = open.filter(|open| open.is_cut_off() || open.may_have_leaked()) else {
        let message = format!("{profile}: {leaked} is not in use any more; nothing was changed");
        return Err(Failed::new(Exit::Decide, message)
            .hint(format!("`rotakey status {profile}` says which key is served")));
    };
    if let Some(why) = &open.stuck {
        let message = format!("{profile}: {leaked} is Inactive; the rotation is stuck: {why}");
        return Err(Failed::new(Exit::Decide, message)
            .hint(format!("`rotakey resume {profile}`, then run this again")));
    }
    if !open.is_cut_off() {
        // Sessions that were made with it go on where nobody ends them.
        sessions::renew(app).await?;
        let record = Record::Compromised { access_key_id: leaked.clone() };
        let time = app.clock.now().wall;
        journal.append(&Entry { time, rotation: Some(open.id.clone()), record })?;
    }
    let served = &open.survivor().id;
    app.printer.say(&format!("{profile}: {leaked} is Inactive already; {served} is left as it is"));
    Ok(Run { stop: Stop::Reached, status: journal.status().clone() })
}

/// Writes the receipt of a rotation that has ended, and of those that a crash left without. The lock is held.
fn give_receipt(app: &App, state: &ProfileState, tag: &str) {
    let now = app.clock.now().wall;
    if let Err(error) = Receipts::of(state).write_missing(&app.audit(), tag, now) {
        let profile = state.profile();
        tracing::error!(profile, %error, "the receipt cannot be written; the next rotation does it");
    }
}

/// Whether a rotation has come as far as that.
pub fn reached(open: &Open, wait: Milestone) -> bool {
    match wait {
        Milestone::Published => open.published.is_some(),
        Milestone::Deactivated => open.deactivated.is_some(),
        Milestone::Deleted => false,
    }
}
