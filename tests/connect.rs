//! The proxy as `HTTPS_PROXY`, and over TLS: AWS's own hosts, certificates of our own, and servers with certificates of theirs.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::zombie_processes,
    reason = "a test"
)]

mod support;

#[path = "connect/authority.rs"]
mod authority;
#[path = "connect/calls.rs"]
mod calls;
#[path = "connect/elsewhere.rs"]
mod elsewhere;
#[path = "connect/strangers.rs"]
mod strangers;
#[path = "connect/upstream.rs"]
mod upstream;
#[path = "connect/world.rs"]
mod world;
