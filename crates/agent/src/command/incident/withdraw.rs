//! `rotate --compromised --deactivate-now`: the key is set Inactive with nothing in its place.
//!
//! It sets itself Inactive. That cannot be undone by rotakey, as no key of the user is left to sign with. So the journal
//! and the ledger say it first: nobody is served, and whoever asks is told why.

use std::time::Duration;

use rotakey_core::credential::{AccessKeyId, KeyStatus};
use rotakey_core::iam::{Outcome, RefusalClass};
use rotakey_core::journal::{Entry, Record};
use rotakey_core::time::later;

use super::{App, IncidentArgs, audit, finish, look_before, merge, parts, told};
use crate::cli::failure::{Exit, Failed, refused};
use crate::clock::Clock;
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
        let message = format!("{}: a rotation is open (step {})", app.profile, open.step);
        return Err(Failed::new(Exit::Decide, message).hint(format!(
            "`rotakey rotate {0} --compromised` goes on with it and stops {1}; or, before it is published, `rotakey abort {0}`",
            app.profile, open.outgoing.id
        )));
    }
    let state = app.state()?;
    let (_engine, mut journal) = state.lock()?;
    let id = journal.status().current.as_ref().map(|key| key.id.clone());
    let id = id.ok_or_else(|| Failed::new(Exit::Usage, "the profile has no key"))?;
    if journal.status().withdrawn.as_ref().is_some_and(|withdrawn| withdrawn.disabled.is_some()) {
        return Err(super::is_withdrawn(app, journal.status()));
    }
    let before = look_before(app, &id).await;
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
    let (service, key, user) = parts(app)?;
    let done = disable(app, &service, &key, &user, &id).await;
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
        evidence.next.extend(revocation.admin.iter().cloned());
        evidence.sessions = Some(revocation);
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

fn record(app: &App, journal: &mut Journal, record: Record) -> Result<(), Failed> {
    let entry = Entry { time: app.clock.now().wall, rotation: None, record };
    Ok(journal.append(&entry)?)
}

/// Sets the key Inactive, signed by itself, and sees it refused.
async fn disable(
    app: &App,
    service: &impl KeyService,
    key: &rotakey_core::credential::Credentials,
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
        let keystore = app.keystore()?;
        let signer = super::mfa::iam_signer_at_hand(app, &settings, keystore.as_ref(), id);
        let signer = match signer {
            Some(signer) => signer,
            None => super::mfa::iam_signer(app, &settings, keystore.as_ref()).await?,
        };
        match service.update_access_key(&signer, user, id, KeyStatus::Inactive).await {
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
