//! Times, counts and records in words: the same ones wherever they are read.

pub mod records;

use jiff::Timestamp;

/// A time as written in data: RFC 3339, UTC, whole seconds.
pub fn rfc3339(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// `1 user`, `7 users`.
#[must_use]
pub fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}
