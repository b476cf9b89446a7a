//! What a person is told of an incident, and what is left for him to do.

use rotakey_core::credential::AccessKeyId;
use rotakey_core::rotation::Finding;

use crate::app::App;
use crate::driver::quarantine::POLICY;
use crate::incident::evidence::{Evidence, Used};
use crate::incident::{advice, quarantine, sessions};
use crate::printer::layout::{beside, width};
use crate::wording::rfc3339;

/// Where the texts of the summary begin.
const COLUMN: usize = 14;

fn user(app: &App) -> String {
    let whose = app.status().ok().and_then(|status| status.enrolment);
    whose.map(|whose| whose.user).unwrap_or_default()
}

/// How a key is stopped without rotakey.
pub(super) fn admin_hint(app: &App, leaked: &AccessKeyId) -> String {
    format!(
        "stop it now, without a replacement: `rotakey rotate {} --compromised --deactivate-now`, or as an administrator `{}`",
        app.profile,
        advice::deactivate(&user(app), leaked)
    )
}

/// The choices of whoever has no room for a replacement.
pub(super) fn blocked_hint(app: &App, findings: &[Finding], leaked: &AccessKeyId) -> String {
    let strangers: Vec<_> = findings
        .iter()
        .filter_map(|finding| match finding {
            Finding::Stranger(ids) => Some(ids),
            _ => None,
        })
        .flatten()
        .map(|id| format!("`{}`", advice::delete(&user(app), id)))
        .collect();
    let room = match strangers.is_empty() {
        true => String::new(),
        false => format!(
            "make room, if nobody needs the other key, by {}, and run this again; or ",
            strangers.join(" or ")
        ),
    };
    format!("{room}{}", admin_hint(app, leaked))
}

/// What an administrator has to do about a quarantine. `why` are AWS's words.
pub(super) fn quarantined(app: &App, why: &str) -> String {
    let Ok(status) = app.status() else { return String::new() };
    let (Some(whose), Some(key)) = (status.enrolment, status.current) else {
        return String::new();
    };
    let is_of_name = |c: char| c.is_ascii_alphanumeric();
    let version = why.split(POLICY).nth(1).unwrap_or_default();
    let version: String = version.chars().take_while(|c| is_of_name(*c)).collect();
    quarantine::hint(&whose.user, &whose.arn, &format!("{POLICY}{version}"), &key.id)
}

/// The evidence, for people.
pub(super) fn summary(evidence: &Evidence) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = |what: &str, text: String| lines.push(format!("{what:COLUMN$}{text}"));
    let leaked = &evidence.compromised.access_key_id;
    line("leaked", format!("{leaked} of {} (account {})", evidence.user, evidence.account_id));
    line("said", rfc3339(evidence.said));
    line("refused", evidence.refused_since.map_or("not seen yet".to_owned(), rfc3339));
    match &evidence.replacement {
        Some(key) => line("replaced by", key.access_key_id.to_string()),
        None => line("replaced by", "nothing: nobody is served".to_owned()),
    }
    line("last used", evidence.last_used.as_ref().map_or("not asked".to_owned(), last_used));
    for holder in &evidence.holders {
        let who = holder.exe.as_deref().unwrap_or("an unknown program");
        let pid = holder.pid.map_or(String::new(), |pid| format!(" (pid {pid})"));
        line(
            "held by",
            format!("{who}{pid}, by {}, until {}", holder.source, rfc3339(holder.until)),
        );
    }
    if let Some(revocation) = &evidence.sessions {
        let before = rfc3339(revocation.older_than);
        match &revocation.why_not {
            None => {
                line(
                    "sessions",
                    format!("those from before {before} are refused ({})", sessions::POLICY),
                );
                let hours = sessions::LONGEST.as_secs() / 3600;
                line(
                    "then",
                    format!(
                        "after {hours} hours: {}",
                        advice::delete_user_policy(&evidence.user, sessions::POLICY)
                    ),
                );
            }
            Some(why) => line("sessions", format!("NOT revoked: {why}")),
        }
    }
    for command in &evidence.next {
        line("next", command.clone());
    }
    lines
}

/// A line of the summary on a terminal. One with a command stays whole, so that it can be copied.
pub(super) fn folded(line: &str, columns: Option<usize>) -> Vec<String> {
    let has_command = ["next", "then"].iter().any(|word| line.starts_with(word));
    match columns {
        Some(columns) if !has_command && width(line) > columns => {
            let (word, text) = line.split_at(COLUMN);
            beside(word, COLUMN, text, columns)
        }
        _ => vec![line.to_owned()],
    }
}

fn last_used(used: &Used) -> String {
    match (used.at, &used.unknown) {
        (_, Some(why)) => format!("unknown: {why}"),
        (None, None) => "never, as IAM has it".to_owned(),
        (Some(at), None) => format!(
            "{} ({}, {}), as IAM has it: it lags by hours",
            rfc3339(at),
            used.service.as_deref().unwrap_or("?"),
            used.region.as_deref().unwrap_or("?")
        ),
    }
}
