//! `rotakey service`: what it writes is what systemd takes, and the agent is reached through the sockets that systemd holds.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::zombie_processes,
    reason = "a test"
)]

mod support;

#[path = "service/activation.rs"]
mod activation;
#[path = "service/alone.rs"]
mod alone;
#[path = "service/manager.rs"]
mod manager;
#[path = "service/written.rs"]
mod written;

use std::net::TcpListener;
use std::process::{Command, Output};

/// Runs a program that must be there: these tests are worth nothing without.
fn need(command: &mut Command) -> Output {
    let program = command.get_program().to_owned();
    command.output().unwrap_or_else(|error| {
        panic!("{program:?}: {error}; `make deps` installs what the tests need")
    })
}

/// A port that is free now.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
