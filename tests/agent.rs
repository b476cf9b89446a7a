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

use support::agent::ANYWHERE;
use support::{World, eventually};

/// A world whose profile `app` has its key, and that the agent is to serve by all sources.
fn world(profile: &str) -> World {
    let world = World::added();
    world.configure_agent(ANYWHERE, &format!("imds = true\n{profile}"));
    world
}
