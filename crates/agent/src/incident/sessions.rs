//! Ending the sessions that were made from a key that leaked: they outlive it.
//!
//! AWS ends none of them by itself. What works is a policy that denies everything to temporary credentials issued before
//! now (`aws:TokenIssueTime`, as the console does for roles with `AWSRevokeOlderSessions`). A call signed with a
//! long-term key has no such time, so the condition does not match it.

use std::time::Duration;

use jiff::Timestamp;
use rotakey_core::credential::Credentials;
use rotakey_core::iam::Outcome;
use rotakey_core::time::later;

use super::advice;
use super::evidence::Revocation;
use crate::app::App;
use crate::clock::Clock;
use crate::control::Agent;
use crate::failure::Failed;
use crate::iam::KeyService;
use crate::session::Plan;

/// The inline policy's name.
pub const POLICY: &str = "rotakey-revoke-older-sessions";

/// The policy may go after this: no session of a user is longer (`GetSessionToken`).
pub const LONGEST: Duration = Duration::from_secs(36 * 3600);

/// Until AWS's clock has certainly passed the instant, which is at most a second ahead of it.
const PASSED: Duration = Duration::from_secs(2);

/// The policy's document.
pub fn document(older_than: Timestamp) -> String {
    let time = older_than.strftime("%Y-%m-%dT%H:%M:%SZ");
    format!(
        r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Deny","Action":"*","Resource":"*","Condition":{{"DateLessThan":{{"aws:TokenIssueTime":"{time}"}}}}}}]}}"#
    )
}

/// Attaches the policy to the user, and has new sessions minted. If that is denied, what an administrator has to run.
///
/// # Errors
///
/// If it cannot be told whose key it is, or the ledger cannot be written.
pub async fn revoke<S: KeyService>(
    app: &App,
    service: &S,
    signer: &Credentials,
    user: &str,
    attach: bool,
) -> Result<Revocation, Failed> {
    let asked = app.clock.now().wall;
    // By AWS's clock: the times of issue are its own, in whole seconds.
    let server = match service.list_access_keys(signer, user).await {
        Outcome::Done(list) => list.server_time,
        _ => asked,
    };
    let older_than = Timestamp::from_second(server.as_second() + 1).unwrap_or(server);
    let document = document(older_than);
    let mut admin = roles(app, &document)?;
    if !attach {
        admin.insert(0, advice::put_user_policy(user, POLICY, &document));
        let why_not = Some("nobody asked for it".to_owned());
        return Ok(Revocation { older_than, is_attached: false, why_not, admin });
    }
    let why_not = match service.put_user_policy(signer, user, POLICY, &document).await {
        Outcome::Done(()) => None,
        Outcome::Refused(refusal) => Some(refusal.to_string()),
        Outcome::Unknown(doubt) => Some(doubt.to_string()),
    };
    if why_not.is_some() {
        admin.insert(0, advice::put_user_policy(user, POLICY, &document));
    } else {
        // Ours are from before the instant as well.
        app.clock.sleep_until(later(asked, PASSED)).await;
        renew(app).await?;
    }
    Ok(Revocation { older_than, is_attached: why_not.is_none(), why_not, admin })
}

/// Whoever serves sessions of the profile drops those that it has, and mints new ones.
///
/// # Errors
///
/// If the ledger cannot be written.
pub async fn renew(app: &App) -> Result<(), Failed> {
    let now = app.clock.now().wall;
    app.mfa.forget();
    app.state()?.update_ledger(|slot| {
        if let Some(ledger) = slot {
            ledger.void_sessions(now);
        }
    })?;
    tell_agent(app).await
}

/// Has the agent, if one runs, take up what the ledger says.
///
/// # Errors
///
/// If the profile holds no key.
pub async fn tell_agent(app: &App) -> Result<(), Failed> {
    let (agent, holder) = (Agent::at(app.paths.socket()), app.key_profile()?.to_owned());
    let told = tokio::task::spawn_blocking(move || agent.order(&holder, "take-up", b"")).await;
    if let Ok(Err(failed)) = told {
        // It looks by itself, soon.
        app.printer.say(&format!("warning: {}", failed.message));
    }
    Ok(())
}

/// The calls for the roles that the profile, and those that share its key, take on: only the roles' own accounts can
/// end their sessions.
fn roles(app: &App, document: &str) -> Result<Vec<String>, Failed> {
    let holder = app.key_profile()?;
    let mut calls = Vec::new();
    for profile in std::iter::once(holder).chain(app.config.sharers(holder)) {
        for role in Plan::of(&app.config, &app.env, profile)?.roles {
            let call = advice::put_role_policy(&role.role_arn, POLICY, document);
            if !calls.contains(&call) {
                calls.push(call);
            }
        }
    }
    Ok(calls)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policy_denies_what_is_older_and_can_stand_in_a_shells_quotes() {
        let text = document("2026-11-25T12:00:00Z".parse().expect("a time"));
        let policy: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        let statement = &policy["Statement"][0];
        assert_eq!((&statement["Effect"], &statement["Action"]), (&"Deny".into(), &"*".into()));
        let time = &statement["Condition"]["DateLessThan"]["aws:TokenIssueTime"];
        assert_eq!(time, "2026-11-25T12:00:00Z");
        assert!(!text.contains('\''));
    }
}
