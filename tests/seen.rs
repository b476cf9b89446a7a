//! To be seen, and to be believed: status, news, logs, metrics, the audit trail and receipts.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a test"
)]

mod support;

#[path = "seen/desktop.rs"]
mod desktop;
#[path = "seen/drawn.rs"]
mod drawn;
#[path = "seen/fleet.rs"]
mod fleet;
#[path = "seen/logs.rs"]
mod logs;
#[path = "seen/metrics.rs"]
mod metrics;
#[path = "seen/prometheus.rs"]
mod prometheus;
#[path = "seen/record.rs"]
mod record;
#[path = "seen/status.rs"]
mod status;
