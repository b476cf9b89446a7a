//! The agent, from outside: it serves by every source, rotates by itself, and starts, reloads and ends in order.
#![allow(missing_docs, clippy::unwrap_used, clippy::disallowed_methods, reason = "a test")]

mod support;

#[path = "agent/exec.rs"]
mod exec;
#[path = "agent/life.rs"]
mod life;
#[path = "agent/rotating.rs"]
mod rotating;
#[path = "agent/serving.rs"]
mod serving;

use std::time::{Duration, Instant};

use support::World;
use support::agent::ANYWHERE;

/// A world whose profile `app` has its key, and that the agent is to serve by all sources.
fn world(profile: &str) -> World {
    let world = World::added();
    world.configure_agent(ANYWHERE, &format!("imds = true\n{profile}"));
    world
}

/// Waits until something holds; the test fails if it never does.
fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !holds() {
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}
