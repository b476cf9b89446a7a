//! docs/clients.md: which program works with which source. Written from what was run, and from the golden files.

use serde_json::Value;

use super::driver::Sdk;
use super::golden;
use super::program::Program;
use super::sources::{Source, root};

const HEAD: &str = "# Clients

Programs that the tests run against `rotakey agent`, unmodified, with each source that they know. They make requests
to a server that verifies every signature and refuses a deactivated key at once, and each session made from it: before,
during and after a rotation, none of them is refused. This page is made by `make docs-generated`.

Versions are pinned (`tests/requirements.txt`, `tests/clients/js`, `tests/clients/rust`); those of rclone, restic, GDAL,
s3cmd and the AWS CLI v2 are Debian 12's, and run by `make clients` alone.

";

const TABLE: &str =
    "| client | version | process | container | imds |\n| --- | --- | --- | --- | --- |\n";

const REFRESH: &str = "
IMDS is found by `AWS_EC2_METADATA_SERVICE_ENDPOINT=http://127.0.0.1:PORT/`, with the slash: the AWS CLI v2 of Debian
wants it.

## When they ask again

Seen on a shifted clock, with a lease of an hour that ends at E, and a new key at the source from the beginning. The
golden files in `tests/clients/golden` have more, and what is done when the source fails. A program that ends after each
request asks for each.

| client | source | asks again | signs with the old key, last |
| --- | --- | --- | --- |
";

/// The row of one program, all of whose sources worked.
fn row(program: Program) -> String {
    let cell = |source| if program.sources().contains(&source) { "works" } else { "-" };
    let cells = Source::ALL.map(cell).join(" | ");
    format!("| {} | {} | {cells} |\n", program.name(), program.version())
}

/// When an SDK asks again, by its golden file.
fn refresh(sdk: Sdk, source: Source) -> String {
    let golden = golden::load(sdk, source).expect("a golden file");
    let lines: Vec<&str> = golden[golden::CUTOVER_TITLE]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let at = |line: &str| line.split(':').next().unwrap_or_default().to_owned();
    let asks = lines.iter().skip(1).position(|line| line.contains("asked 1")).map(|n| n + 1);
    let last_old = lines.iter().rfind(|line| line.contains("old")).map(|line| at(line));
    let asks =
        asks.map_or("never".to_owned(), |n| format!("{} to {}", at(lines[n - 1]), at(lines[n])));
    let name = Program::Sdk(sdk).name();
    format!("| {name} | {} | {asks} | {} |\n", source.name(), last_old.unwrap_or_default())
}

/// Compares the document with what was run, or writes it.
pub(crate) fn check(programs: &[Program], full: bool) {
    let file = root().join("docs/clients.md");
    let rows: Vec<String> = programs.iter().map(|&program| row(program)).collect();
    let pairs = Sdk::ALL.into_iter().flat_map(|sdk| Source::ALL.map(|source| (sdk, source)));
    let refreshes: Vec<String> = pairs.map(|(sdk, source)| refresh(sdk, source)).collect();
    let whole =
        [HEAD, TABLE, &rows.concat(), REFRESH, &refreshes.concat(), "\n", include_str!("cases.md")]
            .concat();
    if full && std::env::var_os("ROTAKEY_WRITE_DOCS").is_some() {
        std::fs::write(file, whole).expect("writable");
        return;
    }
    let text = std::fs::read_to_string(&file).expect("docs/clients.md");
    let again = "docs/clients.md is not what the tests see: make docs-generated";
    if full {
        assert_eq!(text, whole, "{again}");
    }
    let parts = [HEAD, REFRESH, include_str!("cases.md")];
    for part in rows.iter().chain(&refreshes).map(String::as_str).chain(parts) {
        assert!(text.contains(part), "{again}\n{part}");
    }
}
