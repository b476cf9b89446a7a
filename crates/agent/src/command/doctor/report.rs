//! The checks, for a person and for a program.

use serde_json::json;

use super::check::{CHECKS, Check, Verdict};
use crate::printer::Printer;
use crate::printer::layout::wrap;
use crate::wording::counted;

/// How wide text is made where no terminal says.
const WIDTH: usize = 80;
/// Narrower terminals get no narrower lines.
const WIDTH_MIN: usize = 40;
/// Behind a mark.
const INDENT: usize = 11;

/// As one JSON object.
pub(super) fn as_json(checks: &[Check]) -> String {
    let worst = checks.iter().map(|check| check.verdict).max().unwrap_or(Verdict::Ok);
    json!({"version": 1, "verdict": worst, "checks": checks}).to_string()
}

/// As text, by groups. What holds for several SDKs alike is one line. `home` is what is written as `~`.
pub(super) fn print(printer: &Printer, checks: &[Check], home: Option<&str>) {
    let profiles = checks.iter().filter_map(|check| check.profile.as_deref());
    let has_several = profiles.collect::<std::collections::BTreeSet<_>>().len() > 1;
    let short = |text: &str| match home {
        Some(home) if home.len() > 1 => text.replace(&format!("{home}/"), "~/"),
        _ => text.to_owned(),
    };
    let width = printer.data_columns().map_or(WIDTH, |columns| columns.max(WIDTH_MIN));
    let (mut bad, mut warnings) = (0, 0);
    let group_of = |check: &Check| {
        let row = CHECKS.iter().find(|(id, ..)| *id == check.id);
        row.map_or("", |(_, group, _)| group)
    };
    let mut groups: Vec<&str> = Vec::new();
    for group in CHECKS.iter().map(|(_, group, _)| *group) {
        if !groups.contains(&group) {
            groups.push(group);
        }
    }
    for group in groups {
        let of_group: Vec<&Check> = checks.iter().filter(|c| group_of(c) == group).collect();
        if of_group.is_empty() {
            continue;
        }
        printer.data(group);
        for (check, subjects) in together(&of_group) {
            bad += usize::from(check.verdict == Verdict::Bad);
            warnings += usize::from(check.verdict == Verdict::Warning);
            let told = Check {
                profile: check.profile.clone().filter(|_| has_several),
                found: short(&check.found),
                hint: check.hint.as_deref().map(short),
                ..check.clone()
            };
            for line in lines(&told, &subjects, width) {
                printer.data(&line);
            }
        }
    }
    let sum = match (bad, warnings) {
        (0, 0) => "all is well".to_owned(),
        (0, warnings) => format!("nothing bad, {}", counted(warnings, "warning")),
        (bad, 0) => format!("{bad} bad"),
        (bad, warnings) => format!("{bad} bad, {}", counted(warnings, "warning")),
    };
    printer.data(&sum);
}

/// Checks that say the same of several subjects, with those.
fn together<'a>(checks: &[&'a Check]) -> Vec<(&'a Check, Vec<&'a str>)> {
    let mut found: Vec<(&Check, Vec<&str>)> = Vec::new();
    for check in checks {
        let same = found.iter_mut().find(|(first, subjects)| {
            let alike = (first.id, first.verdict) == (check.id, check.verdict);
            alike
                && !subjects.is_empty()
                && (&first.profile, &first.found, &first.hint, &first.command)
                    == (&check.profile, &check.found, &check.hint, &check.command)
        });
        match (same, check.subject.as_deref()) {
            (Some((_, subjects)), Some(subject)) => subjects.push(subject),
            (_, subject) => found.push((check, subject.into_iter().collect())),
        }
    }
    found
}

fn lines(check: &Check, subjects: &[&str], width: usize) -> Vec<String> {
    let mark = match check.verdict {
        Verdict::Ok => "ok",
        Verdict::Warning => "warning",
        Verdict::Bad => "BAD",
    };
    let profile = check.profile.as_ref().map_or(String::new(), |name| format!("{name}: "));
    let subjects = match subjects {
        [] => String::new(),
        some => format!("{}: ", some.join(", ")),
    };
    let mut lines = Vec::new();
    let text = format!("{profile}{subjects}{}", check.found);
    for (n, line) in wrap(&text, width - INDENT).iter().enumerate() {
        let mark = if n == 0 { mark } else { "" };
        lines.push(format!("  {mark:8} {line}"));
    }
    let indent = " ".repeat(INDENT);
    if let Some(hint) = &check.hint {
        let hint = wrap(&format!("hint: {hint}"), width - INDENT);
        lines.extend(hint.iter().map(|line| format!("{indent}{line}")));
    }
    // Whole, so that it can be copied.
    lines.extend(check.command.iter().map(|command| format!("{indent}$ {command}")));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_not_too_wide_and_commands_stay_whole() {
        let long = "word ".repeat(40);
        let check = Check::bad("env.keys", long.trim()).hint(long.trim()).run(long.trim());
        let lines = lines(&check, &["boto3"], WIDTH);
        let (commands, text): (Vec<_>, Vec<_>) =
            lines.iter().partition(|line| line.trim_start().starts_with('$'));
        assert_eq!(commands.len(), 1);
        assert!(text.iter().all(|line| line.chars().count() <= WIDTH), "{text:#?}");
        assert!(text[0].starts_with("  BAD      boto3: word"), "{text:#?}");
        assert!(text.iter().any(|line| line.starts_with("           hint: word")));
    }

    #[test]
    fn what_is_the_same_for_several_is_said_once() {
        let of = |sdk: &str, found: &str| Check::ok("programs", found).of(sdk);
        let checks = [of("a", "x"), of("b", "y"), of("c", "x")];
        let all: Vec<&Check> = checks.iter().collect();
        let found: Vec<_> = together(&all).into_iter().map(|(_, subjects)| subjects).collect();
        assert_eq!(found, [vec!["a", "c"], vec!["b"]]);
    }
}
