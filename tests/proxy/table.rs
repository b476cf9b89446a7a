//! The table of AWS's hosts is what its script gives with the botocore that is pinned.

use std::path::Path;
use std::process::Command;

use crate::support::venv;

#[test]
fn the_table_is_what_the_pinned_botocore_gives() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../crates/endpoint");
    let output = Command::new(venv().join("bin/python"))
        .arg(root.join("build-data/upstream.py"))
        .arg("--check")
        .arg(root.join("src/proxy/upstream/table.txt"))
        .output()
        .expect("python runs");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}: make upstream-table");
}
