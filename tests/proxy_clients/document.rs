//! docs/proxy-clients.md: which program can do what through the proxy. Written from what was run.

use super::client::{ACTS, Client, Limit, Way};
use super::matrix::Row;
use super::place::root;

const HEAD: &str = "# Clients of the proxy

Programs that the tests run through the [proxy](proxy.md) with a placeholder, by options and variables of their own. Behind it stands a server that
verifies every signature and every signed chunk, by code of its own, and that only ever saw the real key; what it stored is
compared with what was sent, byte for byte. What does not work is tried without the proxy as well, so that it is known whose
limit it is. This page is made by `make docs-generated`; `make test` runs boto3, the AWS CLI v1, JavaScript and curl.

## By `AWS_ENDPOINT_URL`, over http

";

const TAIL: &str = "
Odd keys have spaces, `+`, `%`, `=&?#`, `~-._!*'()`, and letters and pictures of other scripts; `a/../b//c/./d` stands for it
and for `//x`. *multipart* is 12 MiB in parts of 5 MiB, *stream* a body from a pipe (with the SDK for Rust, which signs its
chunks, and with curl: from a file). *presigned, V2* is signature version 2, which boto3 and the AWS CLI v1 take for URLs if
they are told nothing else, and which the profile has to allow (`presigned_v2 = true`). *ARN in a path* is Lambda's. `-`: the
client has no such thing.

What programs have to be told:

- SDK for JavaScript: `useQueueUrlAsEndpoint: false` for SQS, else it goes where the queue's URL leads, past the endpoint. It
  does not read `HTTPS_PROXY`: a program gives it an agent that does (`https-proxy-agent`).
- SDK for Rust: an HTTP client with the proxy and the CA; the default one reads neither from the environment.
- minio-py, pyarrow, s3cmd: their endpoint, or the proxy and the CA, by options of their own.
- rclone: by `AWS_ENDPOINT_URL` the provider Other and the endpoint; by `HTTPS_PROXY` no `AWS_CA_BUNDLE`, which it cannot read
  (`SSL_CERT_FILE` is enough).
- boto3: `upload_fileobj` for a body that cannot be sought; `put_object` of such a body wants https.
";

const CONNECT: &str = "
## By `HTTPS_PROXY`, over https

To AWS's own hosts, with the bucket before the host's name where the client puts it there (`proxy_connect = true`, and
`rotakey env --source connect`).

";

/// All footnotes, in the order of the tables.
fn notes() -> Vec<&'static str> {
    let mut notes = Vec::new();
    for way in Way::ALL {
        let limits = Client::ALL
            .into_iter()
            .flat_map(|client| client.acts.iter().filter_map(move |act| client.limit(way, act)));
        for note in limits.map(Limit::note) {
            if !notes.contains(&note) {
                notes.push(note);
            }
        }
    }
    notes
}

/// The table's cell, with the number of its footnote.
fn cell(row: &Row, act: &str) -> String {
    let Some(cell) = row.cells.iter().find(|cell| cell.act == act) else { return "-".to_owned() };
    let Some(limit) = cell.limit else { return "works".to_owned() };
    let number = notes().iter().position(|note| *note == limit.note()).expect("one of them");
    format!("no ({})", number + 1)
}

/// A row of the table.
fn line(row: &Row) -> String {
    let bodies = row.bodies.iter().copied().collect::<Vec<_>>().join("; ");
    let cells: Vec<String> = ACTS.iter().map(|(act, _)| cell(row, act)).collect();
    let first = match row.way {
        Way::Endpoint => format!("{}, {} {}", row.client.name, row.client.from, row.version),
        Way::Connect => row.client.name.to_owned(),
    };
    format!("| {first} | {bodies} | {} |\n", cells.join(" | "))
}

/// Compares the document with what was run, or writes it.
pub(crate) fn check(rows: &[Row], full: bool) {
    let file = root().join("docs/proxy-clients.md");
    let lines =
        |way| -> Vec<String> { rows.iter().filter(|row| row.way == way).map(line).collect() };
    let (endpoint, connect) = (lines(Way::Endpoint), lines(Way::Connect));
    let headings: Vec<&str> = ACTS.iter().map(|(_, heading)| *heading).collect();
    let heading = format!("| client | bodies | {} |\n", headings.join(" | "));
    let heading = format!("{heading}|{}\n", " --- |".repeat(ACTS.len() + 2));
    let notes: String =
        notes().iter().enumerate().map(|(n, note)| format!("{}. {note}\n", n + 1)).collect();
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
    let lines = endpoint.iter().chain(&connect).map(String::as_str);
    for part in lines.chain([HEAD, CONNECT, TAIL, &heading, &notes]) {
        assert!(text.contains(part), "{again}\n{part}");
    }
}
