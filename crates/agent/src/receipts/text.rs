//! A receipt as a person reads it, 80 columns wide.

use jiff::Timestamp;
use rotakey_core::receipt::{Described, Outcome};

use super::{Written, cis, minutes, of};
use crate::printer::layout::{beside, width};

/// As wide as a page.
const WIDTH: usize = 80;
/// Where values begin.
const COLUMN: usize = 12;

/// Its lines.
#[must_use]
pub fn lines(written: &Written) -> Vec<String> {
    let receipt = &written.receipt;
    let what = match receipt.outcome {
        Outcome::Rotated => "rotated",
        Outcome::Undone => "undone: the previous key is served again",
        Outcome::GivenUp => "given up before anything was published",
    };
    let mut lines = vec![
        format!("receipt of rotation {}: {what}", receipt.rotation),
        row("profile", &written.profile),
        row("user", &receipt.arn),
        row("install", &written.install),
    ];
    if let Some(why) = &receipt.why {
        lines.push(row("because", why));
    }
    let reason = format!("{:?}", receipt.reason).to_lowercase();
    lines.push(row("begun", &format!("{} ({reason})", time(receipt.begun))));
    lines.push(row("ended", &time(receipt.ended)));
    lines.push(row("old key", &key(&receipt.before, receipt.begun)));
    if receipt.after.access_key_id != receipt.before.access_key_id {
        lines.push(row("new key", &key(&receipt.after, receipt.ended)));
    }
    lines.push(String::new());
    for act in &receipt.acts {
        lines.push(format!("  {}  {:<10}  {}", time(act.time), act.act, act.access_key_id));
    }
    lines.push(String::new());
    lines.extend(proof(written));
    lines.push(row(
        "two keys",
        &format!("Active at once for {}", of(minutes(receipt.two_active_seconds), "minute")),
    ));
    for one in cis(receipt).as_array().into_iter().flatten() {
        let met = if one["met"] == true { "met" } else { "not met" };
        let number = one["numbers"]["1.4.0 to 4.0.1"].as_str().unwrap_or_default();
        let title = one["title"].as_str().unwrap_or_default();
        lines.push(row(&format!("CIS {number}"), &format!("{met}: {title}")));
        lines.push(row("", one["because"].as_str().unwrap_or_default()));
    }
    let (first, last) = receipt.lines;
    lines.push(row(
        "journal",
        &format!("lines {first} to {last}, ending in {}", written.journal_digest),
    ));
    lines.iter().flat_map(|line| folded(line)).collect()
}

/// What is too wide goes on below its value.
fn folded(line: &str) -> Vec<String> {
    if width(line) <= WIDTH {
        return vec![line.to_owned()];
    }
    let (name, value) = line.split_at(COLUMN);
    beside(name, COLUMN, value, WIDTH)
}

fn proof(written: &Written) -> Vec<String> {
    let receipt = &written.receipt;
    let mut lines = Vec::new();
    if let Some(at) = receipt.accepted {
        let how = written.noted.as_ref().and_then(|noted| {
            let times = noted.accepted_in_a_row?;
            Some(format!(", {times} times in a row at each of: {}", noted.vantages.join(", ")))
        });
        lines.push(row("accepted", &format!("{}{}", time(at), how.unwrap_or_default())));
    }
    if let Some(at) = receipt.drained {
        lines
            .push(row("drained", &format!("{}: nobody could hold the old key by right", time(at))));
    }
    if let Some(noted) = &written.noted {
        if let Some(until) = noted.leases_until {
            lines.push(row("leases", &format!("the last one ended at {}", time(until))));
        }
        for holder in noted.holders.iter().take(10) {
            let exe = holder.exe.as_deref().unwrap_or("a program that could not be told");
            lines.push(row(
                "held by",
                &format!("{exe} ({}) until {}", holder.source, time(holder.until)),
            ));
        }
        if noted.holders.len() > 10 {
            lines.push(row("", &format!("and {} more", noted.holders.len() - 10)));
        }
    }
    if let Some(at) = receipt.refused {
        lines.push(row(
            "refused",
            &format!("{}: a call with the old key, after it was set Inactive", time(at)),
        ));
    }
    lines
}

fn row(name: &str, value: &str) -> String {
    format!("  {name:<9} {value}")
}

fn time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%SZ").to_string()
}

fn key(key: &Described, at: Timestamp) -> String {
    match (key.created, key.days_old(at)) {
        (Some(created), Some(days)) => {
            format!(
                "{}, created {} ({} old)",
                key.access_key_id,
                created.strftime("%Y-%m-%d"),
                of(days, "day")
            )
        }
        _ => format!("{}, of unknown age", key.access_key_id),
    }
}
