//! `rotate --compromised`: a key leaked. It is replaced and refused at once, and what is known is written down.

mod told;
mod withdraw;

use std::collections::BTreeMap;
use std::path::Path;

use rotakey_core::credential::{AccessKeyId, Credentials};
use rotakey_core::iam::Outcome;
use rotakey_core::journal::{Open, Status, Step};
use rotakey_core::rotation::{Ending, Finding, Goal, WaitingFor};

use super::mfa;
use super::rotate::{self, Terms};
use crate::app::App;
use crate::clock::Clock;
use crate::driver::Stop;
use crate::engine::Milestone;
use crate::failure::{Exit, Failed};
use crate::iam::KeyService;
use crate::iam::aws::AwsKeyService;
use crate::incident::evidence::{self, Before, Evidence, Used};
use crate::incident::sessions;
use crate::news::{Kind, News};

/// The arguments of `rotate` for a key that leaked.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct IncidentArgs {
    /// The key leaked: replace it, and have it refused at once
    #[arg(long, conflicts_with_all = ["all", "dry_run"])]
    pub compromised: bool,
    /// Which key leaked, to be sure
    #[arg(long, value_name = "ID")]
    pub access_key_id: Option<AccessKeyId>,
    /// There is no room for another key: take this one out of service without a replacement
    #[arg(long, requires = "compromised")]
    pub deactivate_now: bool,
    /// Have AWS refuse the user's sessions from before now
    #[arg(long, requires = "compromised", conflicts_with = "no_revoke_sessions")]
    pub revoke_sessions: bool,
    /// Do not ask about sessions
    #[arg(long, requires = "compromised")]
    pub no_revoke_sessions: bool,
}

/// Runs it.
pub async fn run(app: &App, args: &IncidentArgs, wait: Milestone) -> Result<(), Failed> {
    let status = app.status()?;
    let leaked = status.at_risk().map(|key| key.id.clone());
    let leaked = leaked.ok_or_else(|| Failed::new(Exit::Usage, "the profile has no key"))?;
    if args.deactivate_now {
        check_named(args, &[leaked])?;
        return withdraw::run(app, args).await;
    }
    if status.withdrawn.is_some() {
        return Err(is_withdrawn(app, &status));
    }
    let current = status.current.as_ref().map(|key| key.id.clone());
    let mut choices = vec![leaked.clone()];
    if let Some(open) = &status.rotation {
        choices.push(open.outgoing.id.clone());
        let comes_back = open.incoming.as_ref().filter(|_| open.undone.is_some());
        choices.extend(comes_back.map(|key| key.id.clone()));
    }
    choices.extend(current.clone());
    choices = choices.iter().fold(Vec::new(), |mut once, id| {
        if !once.contains(id) {
            once.push(id.clone());
        }
        once
    });
    check_named(args, &choices)?;
    if let Some(open) = &status.rotation {
        if open.undone.is_some() && args.access_key_id.is_none() {
            return Err(which(app, &choices));
        }
        let named_is_current = args.access_key_id.is_some() && args.access_key_id == current;
        if open.step >= Step::Soak && open.is_cut_off() && !named_is_current {
            if is_concluded(app, args, &open.outgoing.id)? {
                return Err(is_done(app, open));
            }
            return conclude(app, args, Before::default()).await;
        }
    }
    let meant = args.access_key_id.clone().unwrap_or_else(|| leaked.clone());
    let is_inactive = |open: &Open| open.step >= Step::Soak && open.outgoing.id == meant;
    // It is the newer one of two: the older one is cut off first, and makes room for the replacement.
    let is_newer = meant != leaked && !status.rotation.as_ref().is_some_and(is_inactive);
    let mut seen = BTreeMap::new();
    if is_newer {
        seen.insert(leaked.clone(), look_before(app, &leaked).await);
    }
    let before = look_before(app, &meant).await;
    seen.insert(meant.clone(), before.clone());
    keep_before(app, &seen);
    if is_newer {
        replace(app, wait, &leaked, None).await?;
    }
    replace(app, wait, &meant, Some(&meant)).await?;
    conclude(app, args, before).await
}

/// A crash from here on costs nothing of it. That it cannot be written is no reason to let the key be.
fn keep_before(app: &App, seen: &BTreeMap<AccessKeyId, Before>) {
    let state = app.state().map_err(|failed| failed.message);
    let kept = state
        .and_then(|state| evidence::keep_before(&state, seen).map_err(|error| error.to_string()));
    if let Err(why) = kept {
        app.printer.say(&format!("warning: what is known of the key is not written: {why}"));
    }
}

/// During an undo, neither of the two is the obvious one.
fn which(app: &App, choices: &[AccessKeyId]) -> Failed {
    let ids: Vec<_> = choices.iter().map(AccessKeyId::as_str).collect();
    let message = format!("{}: which key leaked? The last rotation is undone", app.profile);
    Failed::new(Exit::Usage, message)
        .hint(format!("`--access-key-id` names it: {}; nothing was changed", ids.join(" or ")))
}

/// Whether nothing is left to be done about a key that was cut off.
fn is_concluded(app: &App, args: &IncidentArgs, leaked: &AccessKeyId) -> Result<bool, Failed> {
    let evidence = evidence_so_far(app)?;
    let evidence = evidence.filter(|evidence| evidence.compromised.access_key_id == *leaked);
    Ok(!args.revoke_sessions
        && evidence.is_some_and(|evidence| evidence.sessions.is_some() && !evidence.revoking))
}

fn evidence_so_far(app: &App) -> Result<Option<Evidence>, Failed> {
    let evidence = evidence::change(app, &app.state()?, |_| {});
    // One that cannot be written says nothing of what was done.
    Ok(evidence.ok().flatten().map(|(_, evidence)| evidence))
}

fn check_named(args: &IncidentArgs, choices: &[AccessKeyId]) -> Result<(), Failed> {
    match &args.access_key_id {
        Some(named) if !choices.contains(named) => {
            let known: Vec<_> = choices.iter().map(AccessKeyId::as_str).collect();
            let message = format!("{named} is not a key that this profile uses");
            Err(Failed::new(Exit::Usage, message)
                .hint(format!("it uses {}; nothing was changed", known.join(" and "))))
        }
        _ => Ok(()),
    }
}

/// Replaces a key, until it is seen refused.
///
/// `meant` is what has to be so under the lock as well; none if whichever stands in the way may go.
async fn replace(
    app: &App,
    wait: Milestone,
    leaked: &AccessKeyId,
    meant: Option<&AccessKeyId>,
) -> Result<(), Failed> {
    let wait = wait.max(Milestone::Deactivated);
    let terms = Terms { leaked: meant, ..Terms::default() };
    let run = rotate::attempt(app, Goal::COMPROMISED, wait, terms).await?;
    let Some(run) = run else { return Ok(()) };
    match &run.stop {
        Stop::Ending(Ending::Blocked(findings)) => Err(blocked(app, findings, leaked)),
        Stop::Waiting(waiting_for @ WaitingFor::Orphan) => {
            let message = format!(
                "{}: {leaked} is still active: there is no room for another key until {waiting_for}",
                app.profile
            );
            Err(Failed::new(Exit::Decide, message).hint(told::admin_hint(app, leaked)))
        }
        Stop::Ending(Ending::Failed(_) | Ending::Stuck(_) | Ending::Abandoned(_)) => {
            let is_dead =
                run.status.rotation.as_ref().is_some_and(|open| open.deactivated.is_some());
            rotate::stopped(app, run, wait).map_err(|mut failed| {
                if !is_dead {
                    failed.message = format!("{}; {leaked} may still be active", failed.message);
                    let hint = failed.hint.take().unwrap_or_default();
                    failed.hint = Some(format!("{hint}; or {}", told::admin_hint(app, leaked)));
                }
                failed
            })
        }
        _ => rotate::stopped(app, run, wait),
    }
}

/// Something stands in the way of a replacement.
fn blocked(app: &App, findings: &[Finding], leaked: &AccessKeyId) -> Failed {
    use rotakey_core::rotation::preflight::describe;
    let quarantine = findings.iter().find_map(|finding| match finding {
        Finding::Quarantined(why) => Some(why),
        _ => None,
    });
    let why = findings.iter().map(describe).collect::<Vec<_>>().join("; ");
    let message =
        format!("{}: {why}; nothing was changed, and {leaked} is still active", app.profile);
    if let Some(why) = quarantine {
        return Failed::new(Exit::Refused, message).hint(quarantined(app, why));
    }
    let decide = |f: &Finding| matches!(f, Finding::Stranger(_) | Finding::SecondInstall(_));
    let exit = if findings.iter().any(decide) { Exit::Decide } else { Exit::Refused };
    Failed::new(exit, message).hint(told::blocked_hint(app, findings, leaked))
}

/// What an administrator has to do about a quarantine. `why` are AWS's words.
pub fn quarantined(app: &App, why: &str) -> String {
    told::quarantined(app, why)
}

/// How a profile whose key was taken out of service gets another one.
pub fn replace_by_hand(profile: &str) -> String {
    format!(
        "have an administrator make room and a new key, then `rotakey remove {profile} --yes` and `rotakey add {profile}`"
    )
}

/// The key was taken out of service.
pub fn is_withdrawn(app: &App, status: &Status) -> Failed {
    let id = status.current.as_ref().map(|key| key.id.to_string()).unwrap_or_default();
    let is_disabled = status.withdrawn.as_ref().is_some_and(|w| w.disabled.is_some());
    let (message, hint) = match is_disabled {
        true => (format!("{id} leaked, and is out of service"), replace_by_hand(&app.profile)),
        false => (
            format!("{id} leaked, and was not seen refused yet"),
            format!("`rotakey rotate {} --compromised --deactivate-now` goes on", app.profile),
        ),
    };
    Failed::new(Exit::Decide, format!("{}: {message}", app.profile)).hint(hint)
}

fn is_done(app: &App, open: &Open) -> Failed {
    let (old, new) = (&open.outgoing.id, &open.survivor().id);
    let message = format!("{}: {old} leaked, and is Inactive already", app.profile);
    Failed::new(Exit::Decide, message).hint(format!(
        "with `--revoke-sessions` it ends the sessions of before, too; if {new}, which is served now, leaked as well: `rotakey rotate {} --compromised --access-key-id {new}`",
        app.profile
    ))
}

/// What is known before anything is touched: IAM's last use says more now than when everybody is refused.
async fn look_before(app: &App, leaked: &AccessKeyId) -> Before {
    let now = app.clock.now().wall;
    let used = async {
        let settings = app.settings().map_err(|failed| failed.message)?;
        let keystore = app.keystore().map_err(|failed| failed.message)?;
        let current = app.current(keystore.as_ref()).map_err(|failed| failed.message)?;
        let id = current.access_key_id;
        let signer = app.iam_signer_at_hand(&settings, keystore.as_ref(), &id);
        let signer = signer.ok_or("it takes an MFA code")?;
        match app.service(&settings).access_key_last_used(&signer, leaked).await {
            Outcome::Done(used) => Ok(used),
            Outcome::Refused(refusal) => Err(refusal.to_string()),
            Outcome::Unknown(doubt) => Err(doubt.to_string()),
        }
    };
    let used = Used::of(now, used.await);
    let mut before = match app.state() {
        Ok(state) => evidence::before(&state, leaked, now),
        Err(_) => Before::default(),
    };
    before.last_used = Some(used);
    before
}

/// The leaked key is refused: what about its sessions, and what is to be kept?
async fn conclude(app: &App, args: &IncidentArgs, before: Before) -> Result<(), Failed> {
    let settings = app.settings()?;
    let keystore = app.keystore()?;
    let service = app.service(&settings);
    let status = app.status()?;
    let user = status.enrolment.map(|whose| whose.user).unwrap_or_default();
    let state = app.state()?;
    // An earlier run was ended between the policy and the new sessions.
    let is_pending = evidence_so_far(app)?.is_some_and(|evidence| evidence.revoking);
    let attach = (is_pending && !args.no_revoke_sessions) || wants_revocation(app, args, &user);
    let signer = signer(app, &settings, keystore.as_ref()).await?;
    if attach {
        // What cannot be written stops nothing.
        let _ = evidence::change(app, &state, |evidence| evidence.revoking = true);
    } else if is_pending {
        sessions::renew(app).await?;
    }
    let revocation = sessions::revoke(app, &service, &signer, &user, attach).await?;
    if revocation.is_attached {
        audit(app, "revoke-sessions", None, &format!("older than {}", revocation.older_than));
    }
    let calls = service.calls().take();
    let written = evidence::change(app, &state, |evidence| {
        evidence.calls.extend(calls);
        evidence.revoked(revocation);
        merge(evidence, before);
    });
    finish(app, written)
}

/// What was seen before the key was touched counts more than what is left now.
fn merge(evidence: &mut Evidence, before: Before) {
    if !before.holders.is_empty() {
        evidence.holders = before.holders;
    }
    evidence.horizon = before.horizon.or(evidence.horizon);
    evidence.last_used = before.last_used.or(evidence.last_used.take());
}

/// Tells whoever should hear of it, and prints what is in the evidence.
fn finish(
    app: &App,
    written: std::io::Result<Option<(std::path::PathBuf, Evidence)>>,
) -> Result<(), Failed> {
    let unwritten = |why: String| {
        Failed::new(Exit::Failed, format!("{}: the evidence is not written: {why}", app.profile))
            .hint("the key is refused all the same; `rotakey history` has the course of it")
    };
    let (path, evidence) = written
        .map_err(|error| unwritten(error.to_string()))?
        .ok_or_else(|| unwritten("the journal tells of no incident".to_owned()))?;
    let leaked = evidence.compromised.access_key_id.clone();
    let detail = format!("evidence {}", path.display());
    audit(app, "incident", Some(&leaked), &detail);
    app.announcer.tell(&News {
        time: app.clock.now().wall,
        profile: evidence.profile.clone(),
        kind: Kind::Compromised,
        rotation: evidence.rotation.clone().map(rotakey_core::journal::RotationId),
        access_key_id: Some(leaked.clone()),
        message: format!("{}: {leaked} leaked, and is refused by now", evidence.profile),
        hint: Some(format!("the evidence, and what is left to do: {}", path.display())),
    });
    let columns = app.printer.data_columns();
    for line in told::summary(&evidence).iter().flat_map(|line| told::folded(line, columns)) {
        app.printer.data(&line);
    }
    app.printer.data(&format!("evidence      {}", shown(&path)));
    Ok(())
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

fn audit(app: &App, act: &str, id: Option<&AccessKeyId>, detail: &str) {
    if let Err(error) = app.audit().record(act, &app.profile, id, detail) {
        app.printer.say(&format!("warning: the audit trail is not written: {error}"));
    }
}

/// As said on the command line, or by a person at a terminal.
fn wants_revocation(app: &App, args: &IncidentArgs, user: &str) -> bool {
    if args.revoke_sessions || args.no_revoke_sessions {
        return args.revoke_sessions;
    }
    app.printer.confirm(&format!(
        "Sessions made from the leaked key go on working until their end. Have AWS refuse all sessions of {user} from before now?"
    ))
}

/// What signs calls to IAM from now on.
async fn signer(
    app: &App,
    settings: &crate::config::ProfileSettings,
    keystore: &dyn crate::store::keystore::Keystore,
) -> Result<Credentials, Failed> {
    let current = app.current(keystore)?.access_key_id;
    match app.iam_signer_at_hand(settings, keystore, &current) {
        Some(signer) => Ok(signer),
        None => mfa::iam_signer(app, settings, keystore).await,
    }
}

/// The service of a profile, its own key and its user.
fn parts(app: &App) -> Result<(AwsKeyService, Credentials, String), Failed> {
    let settings = app.settings()?;
    let keystore = app.keystore()?;
    let user = app.status()?.enrolment.map(|whose| whose.user).unwrap_or_default();
    Ok((app.service(&settings), app.current(keystore.as_ref())?, user))
}
