//! `doctor`, from outside: what is planted it finds, what it says mends it, and real SDKs do what it says they would.
#![allow(missing_docs, clippy::unwrap_used, clippy::disallowed_methods, reason = "a test")]

mod support;

#[path = "doctor/broken.rs"]
mod broken;
#[allow(dead_code, reason = "of the clients, only what is asked of each")]
#[path = "clients/driver.rs"]
mod driver;
#[path = "doctor/machine.rs"]
mod machine;
#[path = "doctor/next.rs"]
mod next;
#[path = "doctor/patient.rs"]
mod patient;
#[path = "doctor/proxied.rs"]
mod proxied;
#[path = "doctor/shadows.rs"]
mod shadows;
#[allow(dead_code, reason = "of the clients, only what is asked of each")]
#[path = "clients/sources.rs"]
mod sources;
#[path = "doctor/terminal.rs"]
mod terminal;
#[path = "doctor/walk.rs"]
mod walk;
