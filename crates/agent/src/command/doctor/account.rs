//! The profile's key at AWS, what its user may do, and each source that serves it.

use std::time::Duration;

use jiff::Timestamp;
use rotakey_core::credential::{Credentials, KeyStatus};
use rotakey_core::iam::{KeyList, Outcome, RefusalClass};
use rotakey_core::journal::Status;
use rotakey_core::rotation::preflight::describe;
use rotakey_core::rotation::{Ending, Finding, Goal, WaitingFor};

use super::check::Check;
use super::scene::Scene;
use crate::app::{self, App};
use crate::cis::{AGE_DAYS, days_old, is_too_old};
use crate::clock::Clock;
use crate::config::ProfileSettings;
use crate::driver::{Endpoint, Observer, Stop};
use crate::engine;
use crate::failure::{self, Exit, Failed};
use crate::iam::KeyService;
use crate::sources::Sources;

/// SigV4's window is five minutes at most services (AWS General Reference, "signature expired").
const CLOCK_MAX: Duration = Duration::from_secs(240);
/// A machine that asks a time server is not this far off; the `Date` of an answer has whole seconds, and a way to go.
const CLOCK_WARNING: Duration = Duration::from_secs(20);

/// All of them; those that need the key are left out if the keystore is not open.
pub(super) async fn checks(scene: &Scene<'_>, profile: &str, keystore_is_open: bool) -> Vec<Check> {
    let app = scene.app.for_profile(profile);
    let status = match app.status() {
        Ok(status) => status,
        Err(failed) => return vec![failing("account.key", failed)],
    };
    let mut checks = sources(scene, &app, &status).await;
    checks.extend(super::leftovers::checks(scene, profile));
    checks.push(rotation(profile, &status));
    if !keystore_is_open || app.key_profile().ok() != Some(profile) {
        return checks;
    }
    match at_aws(&app, &status).await {
        Ok(found) => checks.extend(found),
        Err(failed) => checks.push(failing("account.key", failed)),
    }
    checks
}

fn failing(id: &'static str, failed: Failed) -> Check {
    let check = Check::bad(id, failed.message).hint(failed.hint.unwrap_or_default());
    if failed.exit == Exit::Unreachable { check.unreachable() } else { check }
}

/// Fetches through each source, as programs do, and compares with the journal.
async fn sources(scene: &Scene<'_>, app: &App, status: &Status) -> Vec<Check> {
    let mut checks = Vec::new();
    let Ok(holder) = app.key_profile() else { return checks };
    let served = status.rotation.as_ref().map(|open| open.survivor()).or(status.current.as_ref());
    let Some(served) = served else { return checks };
    // With the holder's, those of the profiles that share its key are fetched; each is told with its own.
    let of_this = format!(" of {}", app.profile);
    for (source, got) in Sources::of(app, holder).fetch().await {
        let source = match (source.strip_suffix(&of_this), source.split_once(" of ")) {
            (Some(own), _) => own.to_owned(),
            (None, None) if holder == app.profile => source,
            _ => continue,
        };
        let check = match got {
            Ok(offered) if offered.key == served.id => {
                Check::ok("sources", format!("serves {}", served.id))
            }
            Ok(offered) => {
                let found = format!("serves {}, and the journal says {}", offered.key, served.id);
                Check::bad("sources", found).hint("start the agent again")
            }
            Err(why) => Check::bad("sources", why).hint("its log says more").unreachable(),
        };
        checks.push(check.of(source));
    }
    // Those that are on and were not fetched, as they never worked.
    let seen = scene.says().map(|says| &says["profiles"][&app.profile]["sources"]);
    for source in ["container", "imds"] {
        let Some(seen) = seen.map(|seen| &seen[source]) else { continue };
        if seen["on"] == true && seen["required"] != true {
            let why = seen["trouble"].as_str().unwrap_or("it has no session yet");
            let check = Check::warning("sources", format!("is on, and does not work: {why}"));
            checks.push(check.of(source).hint("or leave it out of sources under [agent]"));
        }
    }
    checks
}

fn rotation(profile: &str, status: &Status) -> Check {
    let Some(open) = &status.rotation else {
        return match &status.last_failure {
            Some(why) => Check::warning("rotation", format!("the last one was taken back: {why}")),
            None => Check::ok("rotation", "no rotation is under way"),
        };
    };
    match &open.stuck {
        Some(why) => Check::bad("rotation", format!("stuck at {}: {why}", open.step))
            .hint(format!("look with `rotakey status {profile}`; then resume, undo or abort")),
        None => Check::ok("rotation", format!("a rotation is under way, at {}", open.step)),
    }
}

async fn at_aws(app: &App, status: &Status) -> Result<Vec<Check>, Failed> {
    let settings = app.settings()?;
    let keystore = app.keystore()?;
    let served = status.rotation.as_ref().map(|open| open.survivor()).or(status.current.as_ref());
    let Some(served) = served else { return Ok(Vec::new()) };
    let signer = app::credentials(keystore.as_ref(), served.id.clone())?;
    let service = app.service(&settings);
    let arn = match service.caller_identity(&signer, &settings.region).await {
        Outcome::Done(identity) => identity.arn,
        Outcome::Refused(refusal) => {
            let id = if refusal.class == RefusalClass::Clock { "clock" } else { "account.key" };
            return Ok(vec![failing(id, failure::refused("sts:GetCallerIdentity", &refusal))]);
        }
        Outcome::Unknown(doubt) => {
            let found = format!("AWS does not answer: {doubt}");
            let check = Check::warning("account.key", found);
            return Ok(vec![check.hint("check the network, and endpoint_url in config.toml")]);
        }
    };
    let mut checks = vec![Check::ok("account.key", format!("AWS takes {} as {arn}", served.id))];
    if settings.session.mfa.is_some() {
        // A code is taken once: none is spent on looking.
        let found = "not looked at: IAM calls of this user take an MFA code";
        let check = Check::ok("account.permissions", found);
        checks.push(check.hint(format!("rotakey rotate {} --dry-run", app.profile)));
        return Ok(checks);
    }
    checks.extend(listed(app, &settings, status, &signer).await);
    checks.push(permissions(app, status).await);
    Ok(checks)
}

/// What the list of the user's keys shows: the clocks, and CIS.
async fn listed(
    app: &App,
    settings: &ProfileSettings,
    status: &Status,
    signer: &Credentials,
) -> Vec<Check> {
    let Some(user) = status.enrolment.as_ref().map(|e| e.user.as_str()) else { return Vec::new() };
    let before = app.clock.now().wall;
    match app.service(settings).list_access_keys(signer, user).await {
        Outcome::Done(list) => {
            let now = app.clock.now().wall;
            vec![clock(before, now, list.server_time), cis(app, status, &list, now)]
        }
        // It is reported as a permission.
        Outcome::Refused(_) => Vec::new(),
        Outcome::Unknown(doubt) => {
            vec![Check::warning("account.cis", format!("IAM does not answer: {doubt}"))]
        }
    }
}

/// The server's time lies between sending and receiving, less a second, as it has whole ones.
fn clock(sent: Timestamp, received: Timestamp, server: Timestamp) -> Check {
    let ahead = sent.duration_since(server).as_secs() - 1;
    let behind = server.duration_since(received).as_secs();
    let off = ahead.max(behind).max(0).unsigned_abs();
    let found = match (off, ahead > behind) {
        (0, _) => return Check::ok("clock", "this machine's clock agrees with AWS's"),
        (_, true) => format!("this machine's clock is {off} s ahead of AWS's"),
        (_, false) => format!("this machine's clock is {off} s behind AWS's"),
    };
    let ntp = "sudo timedatectl set-ntp true";
    match Duration::from_secs(off) {
        off if off >= CLOCK_MAX => Check::bad("clock", found)
            .hint("AWS refuses what is signed more than 5 minutes off")
            .run(ntp),
        off if off >= CLOCK_WARNING => Check::warning("clock", found).run(ntp),
        _ => Check::ok("clock", found),
    }
}

fn cis(app: &App, status: &Status, list: &KeyList, now: Timestamp) -> Check {
    let profile = &app.profile;
    let active: Vec<_> = list.keys.iter().filter(|key| key.status == KeyStatus::Active).collect();
    let days = |at: Timestamp| days_old(at, now);
    if let Some(old) = active.iter().find(|key| is_too_old(key.created, now)) {
        let found = format!(
            "{} is {} days old, of {AGE_DAYS} (CIS 1.14)",
            old.access_key_id,
            days(old.created)
        );
        return Check::bad("account.cis", found).run(format!("rotakey rotate {profile}"));
    }
    let open = status.rotation.is_some();
    if active.len() > 1 && !open {
        let ids: Vec<_> = active.iter().map(|key| key.access_key_id.as_str()).collect();
        let found = format!(
            "two keys are active (CIS 1.13), and no rotation is under way: {}",
            ids.join(", ")
        );
        let check = Check::bad("account.cis", found);
        return check
            .hint("`rotakey keys` shows which is used; the other one is to go, by its owner");
    }
    let age = active.iter().map(|key| days(key.created)).max().unwrap_or(0);
    Check::ok(
        "account.cis",
        format!("the key is {age} days old, of {AGE_DAYS}; {} active", active.len()),
    )
}

/// What a rotation would look at before it begins; nothing is changed.
async fn permissions(app: &App, status: &Status) -> Check {
    if status.rotation.is_some() {
        return Check::ok("account.permissions", "permissions were enough when the rotation began");
    }
    let keystore = match app.keystore() {
        Ok(keystore) => keystore,
        Err(failed) => return failing("account.permissions", failed),
    };
    let run = match engine::run(app, keystore.as_ref(), Goal::Check, None, &mut Impatient).await {
        Ok(run) => run,
        Err(failed) if failed.exit == Exit::Decide => {
            return Check::ok("account.permissions", "not looked at: another process is at work");
        }
        Err(failed) => return failing("account.permissions", failed),
    };
    let findings = match run.stop {
        Stop::Ending(Ending::Checked(findings) | Ending::Blocked(findings)) => findings,
        Stop::Ending(Ending::Failed(failure)) => {
            return failing("account.permissions", Failed::from(failure));
        }
        _ => return Check::warning("account.permissions", "they could not be looked at"),
    };
    let (warnings, bad): (Vec<_>, Vec<_>) = findings.iter().partition(|f| f.is_warning());
    let say = |findings: &[&Finding]| {
        findings.iter().map(|finding| describe(finding)).collect::<Vec<_>>().join("; ")
    };
    if !bad.is_empty() {
        let check = Check::bad("account.permissions", say(&bad));
        return check.hint(format!("`rotakey rotate {} --dry-run` says what to do", app.profile));
    }
    if !warnings.is_empty() {
        let check = Check::warning("account.permissions", say(&warnings));
        return check.hint("docs/iam-policies.md has the policy");
    }
    Check::ok("account.permissions", "all that a rotation needs is allowed")
}

/// Waits for nothing.
struct Impatient;

impl Observer for Impatient {
    fn advanced(&mut self, _: &Status) {}

    fn waits(&mut self, _: Timestamp, _: &WaitingFor) -> bool {
        false
    }
}
