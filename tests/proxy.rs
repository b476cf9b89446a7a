//! Programs that hold no key at all: the re-signing proxy, from outside, by real clients.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::zombie_processes,
    reason = "a test"
)]

mod support;

#[path = "proxy/calls.rs"]
mod calls;
#[path = "support/event_stream.rs"]
mod event_stream;
#[path = "proxy/life.rs"]
mod life;
#[path = "proxy/strangers.rs"]
mod strangers;
#[path = "proxy/streams/mod.rs"]
mod streams;
#[path = "proxy/table.rs"]
mod table;
#[path = "proxy/told.rs"]
mod told;
