//! `keys`: the access keys of IAM users, as IAM has them. Steps 1 and 2 of rotating by hand.

use jiff::Timestamp;
use rotakey_core::credential::{Credentials, KeyStatus};
use rotakey_core::iam::{LastUsed, ListedKey, Outcome};
use serde_json::json;

use super::status::seconds;
use super::{App, expect};
use crate::cli::args::KeysArgs;
use crate::cli::failure::Failed;
use crate::clock::Clock;
use crate::iam::KeyService;
use crate::iam::aws::AwsKeyService;

/// Runs it.
pub async fn run(app: &App, args: &KeysArgs) -> Result<(), Failed> {
    let settings = app.settings()?;
    let keystore = app.keystore()?;
    let signer = super::mfa::iam_signer(app, &settings, keystore.as_ref()).await?;
    let service = app.service(&settings);
    let own = app.status()?.enrolment.map(|e| e.user).unwrap_or_default();
    let users = if args.all_users {
        expect("iam:ListUsers", service.list_users(&signer).await)?
    } else {
        vec![args.user.clone().unwrap_or(own)]
    };
    if !args.json {
        app.printer.data(&format!(
            "{:24}  {:20}  {:8}  {:>8}  {:24}  CIS",
            "USER", "ACCESS KEY ID", "STATUS", "AGE", "LAST USED"
        ));
    }
    let now = app.clock.now().wall;
    for (n, user) in users.iter().enumerate() {
        if users.len() > 1 {
            app.printer.progress(&format!("{}/{} {user}", n + 1, users.len()));
        }
        let rows = rows(&service, &signer, user).await?;
        let active = rows.iter().filter(|(key, _)| key.status == KeyStatus::Active).count();
        for (key, used) in &rows {
            app.printer.progress_done();
            app.printer.data(&if args.json {
                as_json(user, key, used, active, now)
            } else {
                as_text(user, key, used, active, now)
            });
        }
    }
    app.printer.progress_done();
    Ok(())
}

type Row = (ListedKey, Result<Option<LastUsed>, String>);

async fn rows(
    service: &AwsKeyService,
    signer: &Credentials,
    user: &str,
) -> Result<Vec<Row>, Failed> {
    let list = expect("iam:ListAccessKeys", service.list_access_keys(signer, user).await)?;
    let mut rows = Vec::new();
    for key in list.keys {
        let used = match service.access_key_last_used(signer, &key.access_key_id).await {
            Outcome::Done(used) => Ok(used),
            Outcome::Refused(refusal) => Err(refusal.code),
            Outcome::Unknown(doubt) => Err(doubt.reason),
        };
        rows.push((key, used));
    }
    Ok(rows)
}

/// What CIS AWS Foundations (v3.0 1.12 to 1.14) finds wrong with an active key.
fn findings(
    key: &ListedKey,
    used: &Result<Option<LastUsed>, String>,
    active: usize,
    now: Timestamp,
) -> Vec<&'static str> {
    if key.status == KeyStatus::Inactive {
        return Vec::new();
    }
    let days = |at: Timestamp| now.duration_since(at).as_secs() / 86_400;
    let mut found = Vec::new();
    let idle_since = match used {
        Ok(Some(used)) => Some(used.at),
        Ok(None) => Some(key.created),
        Err(_) => None,
    };
    if idle_since.is_some_and(|at| days(at) >= 45) {
        found.push("1.12 unused for 45 days");
    }
    if active > 1 {
        found.push("1.13 two active keys");
    }
    if days(key.created) > 90 {
        found.push("1.14 older than 90 days");
    }
    found
}

fn as_json(
    user: &str,
    key: &ListedKey,
    used: &Result<Option<LastUsed>, String>,
    active: usize,
    now: Timestamp,
) -> String {
    let last_used = used.as_ref().ok().and_then(Option::as_ref).map(
        |used| json!({"at": seconds(used.at), "service": used.service, "region": used.region}),
    );
    json!({
        "user": user,
        "access_key_id": key.access_key_id.as_str(),
        "status": key.status.to_string(),
        "created": seconds(key.created),
        "age_seconds": now.duration_since(key.created).as_secs(),
        "last_used": last_used,
        "cis": findings(key, used, active, now),
    })
    .to_string()
}

fn as_text(
    user: &str,
    key: &ListedKey,
    used: &Result<Option<LastUsed>, String>,
    active: usize,
    now: Timestamp,
) -> String {
    let age = format!("{}d", now.duration_since(key.created).as_secs() / 86_400);
    let last = match used {
        Ok(Some(used)) => format!("{} {}", seconds(used.at), used.service),
        Ok(None) => "never".to_owned(),
        Err(why) => format!("? ({why})"),
    };
    let found = findings(key, used, active, now);
    let verdict = if found.is_empty() { "ok".to_owned() } else { found.join("; ") };
    format!("{user:24}  {:20}  {:8}  {age:>8}  {last:24}  {verdict}", key.access_key_id, key.status)
}
