//! docs/proxy-clients.md: which program can do what through the proxy. Written from what was run.

use super::client::{ACTS, Way};
use super::matrix::Row;
use super::place::root;

const HEAD: &str = "# Clients of the proxy

Programs that the tests run through the [proxy](proxy.md), unmodified, with a placeholder. Behind it stands a server that
verifies every signature and every signed chunk, by code of its own, and that only ever saw the real key; what it stored is
compared with what was sent, byte for byte. What does not work is tried without the proxy as well, so that it is known whose
limit it is. This page is made by `make docs-generated`; `make test` runs boto3, the AWS CLI v1, JavaScript and curl.

## By `AWS_ENDPOINT_URL`, over http

";

const TAIL: &str = "
Odd keys have spaces, `+`, `%`, `=&?#`, `~-._!*'()`, and letters and pictures of other scripts; `a/../b//c/./d` stands for it
and for `//x`. *multipart* has three parts of 5 MiB, *stream* is a body from a pipe (a file in the SDK for Rust, which signs its
chunks). *ARN in a path* is Lambda's. `-`: the client has no such thing.

The SQS client of the SDK for JavaScript wants `useQueueUrlAsEndpoint: false`: else it goes where the queue's URL leads, which
is to AWS, with the placeholder. boto3 reads a body that cannot be sought into parts by `upload_fileobj`; `put_object` of such
a body wants https. rclone wants the provider Other.
";

const CONNECT: &str = "
## By `HTTPS_PROXY`, over https

To AWS's own hosts, with the bucket before the host's name where the client puts it there (`proxy_connect = true`, and
`rotakey env --source connect`).

";

/// The table's cell, and its footnote.
fn cell(row: &Row, act: &str, notes: &mut Vec<&'static str>) -> String {
    let Some(cell) = row.cells.iter().find(|cell| cell.act == act) else { return "-".to_owned() };
    let Some(limit) = cell.limit else { return "works".to_owned() };
    let note = limit.note();
    let number = notes.iter().position(|known| *known == note).unwrap_or_else(|| {
        notes.push(note);
        notes.len() - 1
    });
    format!("no ({})", number + 1)
}

/// A row of the table.
fn line(row: &Row, notes: &mut Vec<&'static str>) -> String {
    let bodies = row.bodies.iter().copied().collect::<Vec<_>>().join("; ");
    let cells: Vec<String> = ACTS.iter().map(|(act, _)| cell(row, act, notes)).collect();
    let first = match row.way {
        Way::Endpoint => format!("{}, {} {}", row.client.name, row.client.from, row.version),
        Way::Connect => row.client.name.to_owned(),
    };
    format!("| {first} | {bodies} | {} |\n", cells.join(" | "))
}

/// Compares the document with what was run, or writes it.
pub(crate) fn check(rows: &[Row], full: bool) {
    let file = root().join("docs/proxy-clients.md");
    let mut notes = Vec::new();
    let mut lines = |way| -> Vec<String> {
        let own = rows.iter().filter(|row| row.way == way);
        own.map(|row| line(row, &mut notes)).collect()
    };
    let (endpoint, connect) = (lines(Way::Endpoint), lines(Way::Connect));
    let headings: Vec<&str> = ACTS.iter().map(|(_, heading)| *heading).collect();
    let heading = format!("| client | bodies | {} |\n", headings.join(" | "));
    let heading = format!("{heading}|{}\n", " --- |".repeat(ACTS.len() + 2));
    let notes: String =
        notes.iter().enumerate().map(|(n, note)| format!("{}. {note}\n", n + 1)).collect();
    let tables = [&heading, &endpoint.concat(), CONNECT, &heading, &connect.concat()].concat();
    let whole = [HEAD, &tables, "\n", &notes, TAIL].concat();
    if full && std::env::var_os("ROTAKEY_WRITE_DOCS").is_some() {
        std::fs::write(file, whole).expect("writable");
        return;
    }
    let text = std::fs::read_to_string(&file).expect("docs/proxy-clients.md");
    let again = "docs/proxy-clients.md is not what the tests see: make docs-generated";
    if full {
        assert_eq!(text, whole, "{again}");
    }
    // A short run numbers its notes by itself: what they are about is in the code.
    let numbers: Vec<String> =
        endpoint.iter().chain(&connect).map(|line| unnumbered(line)).collect();
    let text = unnumbered(&text);
    for part in numbers.iter().map(String::as_str).chain([HEAD, CONNECT, TAIL, &heading]) {
        assert!(text.contains(&unnumbered(part)), "{again}\n{part}");
    }
}

/// A text without the numbers of its notes.
fn unnumbered(text: &str) -> String {
    (1..=9).fold(text.to_owned(), |text, n| text.replace(&format!("no ({n})"), "no"))
}
