//! Rotations back to back, under constant load: no request is refused, and no answer is of a key that is past.
//!
//! `ROTAKEY_ROTATIONS` says how many (default 3). The server refuses a deactivated key at once, and with it each
//! session that was made from it.
#![allow(
    missing_docs,
    dead_code,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a test, which uses parts of another one"
)]

#[path = "clients/agent.rs"]
mod agent;
#[path = "clients/driver.rs"]
mod driver;
#[path = "clients/matrix.rs"]
mod matrix;
#[path = "clients/program.rs"]
mod program;
#[path = "load/readers.rs"]
mod readers;
#[path = "clients/sources.rs"]
mod sources;
mod support;
#[path = "clients/tool.rs"]
mod tool;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use agent::Agent;
use driver::Sdk;
use matrix::{Tally, current, finish};
use program::{Client, Program};
use readers::{Published, Readings};
use sources::Source;
use support::World;
use tool::Tool;

/// Who makes requests: four kinds of clients, over all sources.
const CLIENTS: [(Program, Source); 7] = [
    (Program::Sdk(Sdk::Boto3), Source::Process),
    (Program::Sdk(Sdk::Boto3), Source::Container),
    (Program::Sdk(Sdk::Js), Source::Container),
    (Program::Sdk(Sdk::Js), Source::Imds),
    (Program::Sdk(Sdk::Rust), Source::Imds),
    (Program::Sdk(Sdk::Rust), Source::Process),
    (Program::Tool(Tool::Aws1), Source::Imds),
];

/// Between two requests of one client.
const PAUSE: Duration = Duration::from_millis(100);

/// From one kill of the agent to the next, in milliseconds: one or two in a row, then long enough for a rotation to
/// go on. An old key stays until the agent has served for twice the lease without a break.
const KILL_AGAIN_MS: std::ops::Range<u64> = 100..1500;
const KILL_LATER_MS: std::ops::Range<u64> = 9000..13_000;

#[derive(Default)]
struct Load {
    tally: Tally,
    readings: Readings,
    published: Published,
    over: AtomicBool,
    kills: AtomicU64,
}

impl Load {
    fn is_on(&self) -> bool {
        !self.over.load(Ordering::Acquire)
    }

    /// Makes requests until it is over.
    fn work(&self, program: Program, source: Source, agent: &Agent, under_way: Sender<()>) {
        let who = format!("{} by {}", program.name(), source.name());
        let mut client = Client::start(program, source, &agent.place);
        self.tally.request(&mut client, &who, "before");
        under_way.send(()).expect("it is waited for");
        drop(under_way);
        while self.is_on() {
            self.tally.request(&mut client, &who, "during");
            std::thread::sleep(PAUSE);
        }
    }

    fn read(&self, world: &World, source: Source, agent: &Agent) {
        while self.is_on() {
            self.readings.read(world, &agent.place, source, &self.published);
            std::thread::sleep(PAUSE / 2);
        }
    }

    fn kill(&self, agent: &Agent) {
        let mut chance = fastrand::Rng::with_seed(1);
        while self.is_on() {
            let pause = if chance.bool() { KILL_AGAIN_MS } else { KILL_LATER_MS };
            std::thread::sleep(Duration::from_millis(chance.u64(pause)));
            self.readings.note_kill();
            agent.order("kill");
            self.readings.note_kill();
            self.kills.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn rotate(&self, world: &World, rotations: u64) {
        self.published.report(current(world));
        for _ in 0..rotations {
            world.expect(0, &["rotate", "--wait", "published"]);
            self.published.report(current(world));
            finish(world);
        }
    }

    fn figures(&self, rotations: u64) -> String {
        format!(
            "{rotations} rotations, {} kills of the agent, {} requests, {} refused, {} answers read, {} stale reads",
            self.kills.load(Ordering::Relaxed),
            self.tally.requests.load(Ordering::Relaxed),
            self.tally.refused.lock().unwrap().len(),
            self.readings.reads.load(Ordering::Relaxed),
            self.readings.stale.lock().unwrap().len(),
        )
    }
}

/// Rotates under load, the agent killed meanwhile or not; the figures of it.
fn rotate_under_load(rotations: u64, is_killed: bool) -> Load {
    let world = agent::world();
    let mut agent = if is_killed { Agent::start_activated(&world) } else { Agent::start(&world) };
    if is_killed {
        // A SIGKILL breaks answers off that are on their way. All clients try again by themselves but botocore, which has to
        // be told so for IMDS.
        agent.place.imds_attempts = 3;
    }
    matrix::furnish(&agent.place);
    let load = Load::default();
    let (under_way, begun) = channel();
    std::thread::scope(|scope| {
        let (load, world, agent) = (&load, &world, &agent);
        for (program, source) in CLIENTS {
            let under_way = under_way.clone();
            scope.spawn(move || load.work(program, source, agent, under_way));
        }
        drop(under_way);
        // One that could not be under way has let go of its end of the channel.
        begun.iter().for_each(drop);
        for source in Source::ALL {
            scope.spawn(move || load.read(world, source, agent));
        }
        if is_killed {
            scope.spawn(move || load.kill(agent));
        }
        let rotated = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            load.rotate(world, rotations);
        }));
        load.over.store(true, Ordering::Release);
        rotated.expect("every rotation goes through");
    });
    load
}

#[test]
fn no_request_is_refused_and_no_answer_is_stale() {
    let rotations = std::env::var("ROTAKEY_ROTATIONS");
    let rotations = rotations.map_or(3, |text| text.parse().expect("a number"));
    let (mut requests, mut kills, mut refused, mut stale) = (0, 0, 0, 0);
    let mut bad = Vec::new();
    for is_killed in [false, true] {
        let load = rotate_under_load(rotations, is_killed);
        let name = if is_killed { "the agent killed at random" } else { "the agent left alone" };
        println!("{name}: {}", load.figures(rotations));
        requests += load.tally.requests.load(Ordering::Relaxed);
        kills += load.kills.load(Ordering::Relaxed);
        refused += load.tally.refused.lock().unwrap().len();
        stale += load.readings.stale.lock().unwrap().len();
        bad.extend(load.tally.refused.into_inner().unwrap());
        bad.extend(load.readings.stale.into_inner().unwrap());
        bad.extend(load.readings.failed.into_inner().unwrap());
    }
    println!(
        "load: {} rotations, half of them with the agent killed {kills} times, {requests} requests, {refused} refused, \
         {stale} stale reads",
        2 * rotations
    );
    assert!(bad.is_empty(), "{bad:#?}");
}
