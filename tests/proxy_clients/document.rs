//! docs/proxy-clients.md: which program can do what through the proxy. Written from what was run.

use super::client::{ACTS, Limit};
use super::matrix::Row;
use super::place::root;

const HEAD: &str = "# Clients of the proxy

Programs that the tests run through the [proxy](proxy.md), unmodified, with a placeholder. Behind it stands a server that
verifies every signature and every signed chunk, by code of its own, and that only ever saw the real key; what it stored is
compared with what was sent, byte for byte. What does not work is tried without the proxy as well, so that it is known whose
limit it is. This page is made by `make docs-generated`; `make test` runs boto3, the AWS CLI v1, JavaScript and curl.

";

const TAIL: &str = "
Odd keys have spaces, `+`, `%`, `=&?#`, `~-._!*'()`, and letters and pictures of other scripts; `a/../b//c/./d` stands for it
and for `//x`. *multipart* has three parts of 5 MiB, *stream* is a body from a pipe (a file in the SDK for Rust, which signs its
chunks). *ARN in a path* is Lambda's. `-`: the client has no such thing.

The SQS client of the SDK for JavaScript wants `useQueueUrlAsEndpoint: false`: else it goes where the queue's URL leads, which
is to AWS, with the placeholder. boto3 reads a body that cannot be sought into parts by `upload_fileobj`; `put_object` of such
a body wants https. rclone wants the provider Other.
";

/// The table's cell, and its footnote.
fn cell(row: &Row, act: &str, notes: &mut Vec<&'static str>) -> String {
    let Some(cell) = row.cells.iter().find(|cell| cell.act == act) else { return "-".to_owned() };
    let note = match cell.limit {
        None => return "works".to_owned(),
        Some(Limit::Own(note) | Limit::Proxy(note)) => note,
    };
    let number = notes.iter().position(|known| *known == note).unwrap_or_else(|| {
        notes.push(note);
        notes.len() - 1
    });
    format!("no ({})", number + 1)
}

/// The lines of the table, and the footnotes.
fn table(rows: &[Row]) -> (Vec<String>, Vec<&'static str>) {
    let mut notes = Vec::new();
    let line = |row: &Row| {
        let bodies = row.bodies.iter().copied().collect::<Vec<_>>().join("; ");
        let cells: Vec<String> = ACTS.iter().map(|(act, _)| cell(row, act, &mut notes)).collect();
        let client = &row.client;
        let first = format!("| {} | {}, {} | {bodies} |", client.name, row.version, client.from);
        format!("{first} {} |\n", cells.join(" | "))
    };
    (rows.iter().map(line).collect(), notes)
}

/// Compares the document with what was run, or writes it.
pub(crate) fn check(rows: &[Row], full: bool) {
    let file = root().join("docs/proxy-clients.md");
    let (lines, notes) = table(rows);
    let headings: Vec<&str> = ACTS.iter().map(|(_, heading)| *heading).collect();
    let heading = format!("| client | version | bodies | {} |\n", headings.join(" | "));
    let rule = format!("|{}\n", " --- |".repeat(ACTS.len() + 3));
    let notes: String =
        notes.iter().enumerate().map(|(n, note)| format!("{}. {note}\n", n + 1)).collect();
    let whole = [HEAD, &heading, &rule, &lines.concat(), "\n", &notes, TAIL].concat();
    if full && std::env::var_os("ROTAKEY_WRITE_DOCS").is_some() {
        std::fs::write(file, whole).expect("writable");
        return;
    }
    let text = std::fs::read_to_string(&file).expect("docs/proxy-clients.md");
    let again = "docs/proxy-clients.md is not what the tests see: make docs-generated";
    if full {
        assert_eq!(text, whole, "{again}");
    }
    for part in lines.iter().map(String::as_str).chain([HEAD, TAIL, &heading]) {
        assert!(text.contains(part), "{again}\n{part}");
    }
}
