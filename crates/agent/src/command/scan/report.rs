//! What a scan found, told to people and to programs. Never a secret, and nothing that stands around an id.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::process::InProcess;
use super::walk::Found;
use super::wanted::Wanted;
use crate::wording::rfc3339;

/// One copy of an id.
pub(super) struct Copy<'a> {
    wanted: &'a Wanted,
    at: At,
}

enum At {
    File {
        path: PathBuf,
        kind: &'static str,
        line: usize,
        secret_line: Option<usize>,
        base64: bool,
    },
    Process(InProcess),
}

/// All copies: those of keys on their way out first, then by place.
pub(super) fn copies(
    wanted: &[Wanted],
    files: Vec<Found>,
    processes: Vec<InProcess>,
) -> Vec<Copy<'_>> {
    let mut copies: Vec<Copy<'_>> = processes
        .into_iter()
        .map(|found| Copy { wanted: &wanted[found.wanted], at: At::Process(found) })
        .collect();
    for found in files {
        copies.extend(found.hits.iter().map(|hit| Copy {
            wanted: &wanted[hit.wanted],
            at: At::File {
                path: found.path.clone(),
                kind: found.kind,
                line: hit.line,
                secret_line: hit.secret_line,
                base64: hit.base64,
            },
        }));
    }
    copies.sort_by_cached_key(|copy| {
        let place = match &copy.at {
            At::File { path, line, .. } => (path.clone(), *line),
            At::Process(found) => (PathBuf::new(), found.program.pid as usize),
        };
        (copy.wanted.stage, place)
    });
    copies
}

impl Copy<'_> {
    /// One or two lines.
    pub(super) fn text(&self) -> String {
        let (key, at) = (self.wanted, &self.at);
        let (place, secret) = match at {
            At::File { path, kind, line, secret_line, base64 } => {
                let base64 = if *base64 { ", in Base64" } else { "" };
                let secret =
                    secret_line.map(|line| format!("a secret seems to stand in line {line}"));
                (format!("{}:{line}  {kind}{base64}", printable(&path.to_string_lossy())), secret)
            }
            At::Process(found) => {
                let exe = found.program.exe.as_deref().unwrap_or("?");
                let place = match &found.variable {
                    Some(name) => format!("variable {}", printable(name)),
                    None => format!("argument {}", found.argument.unwrap_or_default()),
                };
                let secret = found.secret.as_ref();
                let secret =
                    secret.map(|name| format!("a secret seems to stand in {}", printable(name)));
                (format!("pid {} ({})  {place}", found.program.pid, printable(exe)), secret)
            }
        };
        let whose = key.profile.as_ref().map(|name| format!("{name}, ")).unwrap_or_default();
        let mut text = format!("{place}  {} ({whose}{})", key.id, key.stage.name());
        let notes: Vec<&str> =
            [secret.as_deref(), Some(key.fate.as_str())].into_iter().flatten().collect();
        let notes = notes.into_iter().filter(|note| !note.is_empty()).collect::<Vec<_>>();
        if !notes.is_empty() {
            text.push_str("\n    ");
            text.push_str(&notes.join("; "));
        }
        text
    }

    /// One object.
    pub(super) fn json(&self) -> Value {
        let key = self.wanted;
        let mut value = json!({
            "type": "copy",
            "access_key_id": key.id,
            "profile": key.profile,
            "stage": key.stage.name(),
            "breaks_at": key.breaks_at.map(rfc3339),
            "fate": key.fate,
        });
        let place = match &self.at {
            At::File { path, kind, line, secret_line, base64 } => json!({
                "place": "file",
                "path": path.to_string_lossy(),
                "line": line,
                "kind": kind,
                "base64": base64,
                "secret_beside": secret_line.is_some(),
                "secret_line": secret_line,
            }),
            At::Process(found) => json!({
                "place": if found.variable.is_some() { "environment" } else { "arguments" },
                "pid": found.program.pid,
                "program": found.program.exe,
                "variable": found.variable,
                "argument": found.argument,
                "secret_beside": found.secret.is_some(),
                "secret_variable": found.secret,
            }),
        };
        if let (Some(all), Value::Object(place)) = (value.as_object_mut(), place) {
            all.extend(place);
        }
        value
    }
}

/// A name as a terminal may be shown it.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}
