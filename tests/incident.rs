//! A key leaked, from outside: it is replaced and refused at once, its sessions end, and what is known is written down.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a test"
)]

mod support;

#[path = "incident/evidence.rs"]
mod evidence;
#[path = "incident/killed.rs"]
mod killed;
#[path = "incident/meant.rs"]
mod meant;
#[path = "incident/quarantine.rs"]
mod quarantine;
#[path = "incident/replacing.rs"]
mod replacing;
#[path = "incident/sessions.rs"]
mod sessions;
#[path = "incident/undo.rs"]
mod undo;
#[path = "incident/withdrawing.rs"]
mod withdrawing;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::agent::ANYWHERE;
use support::{Run, World, eventually};

/// Refused within seconds, also on a machine that does much else.
const SECONDS: Duration = Duration::from_secs(15);

/// Leases and a soak of an hour: whoever waited for them would not be there in seconds.
fn hourly(world: &World, more: &str) -> String {
    world
        .quick_profile(more)
        .replace("lease = \"1s\"", "lease = \"1h\"")
        .replace("soak = \"1s\"", "soak = \"1h\"")
}

/// A world with a profile `app`, and leases and a soak of a second.
fn quick_world() -> World {
    let world = World::new();
    world.lighten_keys();
    world.add();
    world
}

/// The same, with a key that a program holds for an hour.
fn world() -> World {
    let world = quick_world();
    world.configure(&hourly(&world, ""));
    world.served();
    world
}

/// The same, for an agent with all its sources.
fn world_with_agent() -> World {
    let world = world();
    world.configure(&format!("{ANYWHERE}{}", hourly(&world, "imds = true\n")));
    world
}

/// Runs a command, and says after how long IAM had refused a key.
fn until_refused(world: &World, key: &str, args: &[&str]) -> (Run, Duration) {
    let started = Instant::now();
    let ended = Arc::new(AtomicBool::new(false));
    std::thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            loop {
                if !world.accepts(key) {
                    return Some(started.elapsed());
                }
                if ended.load(Ordering::Relaxed) {
                    return None;
                }
                std::thread::sleep(Duration::from_millis(10));
            }
        });
        let run = world.rotakey(args);
        ended.store(true, Ordering::Relaxed);
        let took = watcher.join().unwrap();
        let took = took.unwrap_or_else(|| panic!("{key} is accepted: {run:?}"));
        println!("{args:?}: refused after {} ms", took.as_millis());
        (run, took)
    })
}

/// The evidence that a command printed the path of.
fn evidence_of(run: &Run) -> (String, Value) {
    let line = run.stdout.lines().find_map(|line| line.strip_prefix("evidence "));
    let path = line.unwrap_or_else(|| panic!("no evidence: {run:?}")).trim().to_owned();
    let text = std::fs::read_to_string(&path).unwrap();
    let evidence = serde_json::from_str(&text).unwrap();
    (path, evidence)
}

/// The secrets of all keys and sessions that there ever were.
fn secrets(world: &World) -> Vec<String> {
    let simulator = world.simulator.lock().unwrap();
    let ids: Vec<String> = simulator
        .log()
        .flat_map(|event| [event.signer.clone(), event.target.clone()])
        .flatten()
        .collect();
    ids.iter().filter_map(|id| simulator.secret_of(id).map(str::to_owned)).collect()
}

fn foreign(world: &World) -> String {
    let key = world.control(json!({"op": "create-key", "user": "app"}));
    key["access_key_id"].as_str().unwrap().to_owned()
}
