//! `rotate --compromised --deactivate-now`: the key is set Inactive with nothing in its place.
//!
//! It sets itself Inactive. That cannot be undone by rotakey, as no key of the user is left to sign with. So the journal
//! and the ledger say it first: nobody is served, and whoever asks is told why.

use std::time::Duration;

use rotakey_core::credential::{AccessKeyId, Credentials, KeyStatus};
use rotakey_core::iam::{Outcome, RefusalClass};
use rotakey_core::journal::{Entry, Open, Record, Status, Step};
use rotakey_core::time::later;

use super::{App, IncidentArgs, audit, finish, look_before, merge, parts, told};
use crate::clock::Clock;
use crate::command::export;
use crate::driver::quarantine::POLICY;
use crate::failure::{Exit, Failed, refused};
use crate::iam::KeyService;
use crate::incident::evidence::{self, Revocation};
use crate::incident::sessions::{self, tell_agent};
use crate::store::profile::Journal;

/// How often IAM is asked to do it, if its answers are lost.
const TRIES: u32 = 5;

/// Runs it, or goes on with it.
pub(super) async fn run(app: &App, _: &IncidentArgs) -> Result<(), Failed> {
    let status = app.status()?;
    if let Some(open) = &status.rotation {
        return Err(is_open(app, open));
    }
    let state = app.state()?;
    let (_engine, mut journal) = export::lock(app, &state, app.key_profile()?).await?;
    if let Some(open) = &journal.status().rotation {
        return Err(is_open(app, open));
    }
    let id = journal.status().current.as_ref().map(|key| key.id.clone());
    let id = id.ok_or_else(|| Failed::new(Exit::Usage, "the profile has no key"))?;
    if journal.status().withdrawn.as_ref().is_some_and(|withdrawn| withdrawn.disabled.is_some()) {
        return Err(super::is_withdrawn(app, journal.status()));
    }
    // Whatever is missing is told while everybody is served still.
    let (service, key, user) = parts(app)?;
    let signer = super::signer(app, &app.settings()?, app.keystore()?.as_ref()).await?;
    refuse_under_quarantine(app, &service, &signer, journal.status()).await?;
    let before = look_before(app, &id).await;
    super::keep_before(app, &[(id.clone(), before.clone())].into());
    if journal.status().withdrawn.is_none() {
        record(app, &mut journal, Record::Withdrawn { access_key_id: id.clone() })?;
    }
    let now = app.clock.now().wall;
    state.update_ledger(|slot| {
        if let Some(ledger) = slot {
            ledger.withdrawn.get_or_insert(now);
            ledger.void_sessions(now);
        }
    })?;
    tell_agent(app).await?;
    let done = disable(app, &service, (&signer, &key), &user, &id).await;
    if done.is_ok() {
        record(app, &mut journal, Record::Disabled { access_key_id: id.clone() })?;
    }
    // Who signs is refused from now on: only an administrator can end the sessions.
    let older_than = later(app.clock.now().wall, Duration::from_secs(1));
    let document = sessions::document(older_than);
    let admin = vec![crate::incident::advice::put_user_policy(&user, sessions::POLICY, &document)];
    let why_not = Some("no key of the user is left to ask for it".to_owned());
    let revocation = Revocation { older_than, is_attached: false, why_not, admin };
    let calls = service.calls().take();
    let written = evidence::change(app, &state, |evidence| {
        evidence.calls.extend(calls);
        evidence.revoked(revocation);
        merge(evidence, before);
    });
    done?;
    audit(app, "deactivate-now", Some(&id), "no replacement");
    finish(app, written)?;
    app.printer.say(&format!(
        "{}: {id} is refused, and nobody is served; {}",
        app.profile,
        super::replace_by_hand(&app.profile)
    ));
    Ok(())
}

/// What applies instead while a rotation is open.
fn is_open(app: &App, open: &Open) -> Failed {
    let (profile, old) = (&app.profile, &open.outgoing.id);
    let served = &open.survivor().id;
    let message = format!("{profile}: a rotation is open (step {})", open.step);
    let replaces = format!("`rotakey rotate {profile} --compromised");
    let hint = if open.step >= Step::Soak {
        format!(
            "{replaces} --access-key-id {served}` deletes {old}, which is Inactive, and replaces {served} in its room"
        )
    } else if open.undone.is_some() {
        format!("{replaces} --access-key-id ID` goes on with it and stops that key")
    } else if open.published.is_some() {
        format!("{replaces}` goes on with it and stops {old}")
    } else {
        format!("{replaces}` goes on with it and stops {old}; or first `rotakey abort {profile}`")
    };
    Failed::new(Exit::Decide, message).hint(hint)
}

/// The key may not set itself Inactive then. Nobody is to be without a key for nothing.
async fn refuse_under_quarantine(
    app: &App,
    service: &impl KeyService,
    signer: &Credentials,
    status: &Status,
) -> Result<(), Failed> {
    let user = status.enrolment.as_ref().map_or("", |whose| &whose.user);
    let Outcome::Done(policies) = service.attached_policies(signer, user).await else {
        return Ok(());
    };
    let Some(policy) = policies.iter().find(|name| name.starts_with(POLICY)) else {
        return Ok(());
    };
    let message = format!(
        "{}: {user} is under quarantine ({policy}): the key cannot set itself Inactive; nothing was changed",
        app.profile
    );
    Err(Failed::new(Exit::Refused, message).hint(told::quarantined(app, policy)))
}

fn record(app: &App, journal: &mut Journal, record: Record) -> Result<(), Failed> {
    let entry = Entry { time: app.clock.now().wall, rotation: None, record };
    Ok(journal.append(&entry)?)
}

/// Sets the key Inactive, signed by itself, and sees it refused.
async fn disable(
    app: &App,
    service: &impl KeyService,
    (signer, key): (&Credentials, &Credentials),
    user: &str,
    id: &AccessKeyId,
) -> Result<(), Failed> {
    let settings = app.settings()?;
    let policy = &settings.policy;
    let still = |why: String| {
        Failed::new(Exit::Failed, format!("{}: {id} may still be active: {why}", app.profile))
            .hint(told::admin_hint(app, id))
    };
    let mut last = String::new();
    for _ in 0..TRIES {
        match service.update_access_key(signer, user, id, KeyStatus::Inactive).await {
            Outcome::Done(()) => break,
            // It was done, and the answer was lost.
            Outcome::Refused(refusal) if refusal.class == RefusalClass::KeyUnknown => break,
            Outcome::Refused(refusal) if !refusal.class.is_transient() => {
                let mut failed = refused("iam:UpdateAccessKey", &refusal);
                failed.message =
                    format!("{}: {id} is still active: {}", app.profile, failed.message);
                let by_admin = crate::incident::advice::deactivate(user, id);
                failed.hint =
                    Some(format!("nobody is served any more; as an administrator `{by_admin}`"));
                return Err(failed);
            }
            Outcome::Refused(refusal) => last = refusal.to_string(),
            Outcome::Unknown(doubt) => last = doubt.to_string(),
        }
        app.clock.sleep_until(later(app.clock.now().wall, policy.spacing)).await;
    }
    let deadline = later(app.clock.now().wall, policy.deadline);
    loop {
        match service.caller_identity(key, policy.home_region()).await {
            Outcome::Refused(refusal) if refusal.class == RefusalClass::KeyUnknown => return Ok(()),
            Outcome::Refused(refusal) => last = refusal.to_string(),
            Outcome::Unknown(doubt) => last = doubt.to_string(),
            Outcome::Done(_) => "AWS accepts it".clone_into(&mut last),
        }
        if app.clock.now().wall >= deadline {
            return Err(still(last));
        }
        app.clock.sleep_until(later(app.clock.now().wall, policy.spacing)).await;
    }
}
