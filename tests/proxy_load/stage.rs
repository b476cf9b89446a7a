//! The user, the server that is late with keys, and the agent.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use super::held::Held;
use super::support::World;
use super::support::agent::Agent;
use super::uploads::sign::Signer;

/// S3 knows a key late, then now and then, then always, counted in milliseconds from its creation. IAM and STS know it at
/// once, so that it is published meanwhile.
const S3_KNOWS_MS: (u64, u64) = (2500, 5000);
const DYNAMODB_KNOWS_MS: (u64, u64) = (1500, 3500);

/// Longer than a rotation takes on a busy machine.
const ROTATED_WITHIN: Duration = Duration::from_secs(180);

enum Running {
    Own(Agent),
    Held(Held),
}

pub(crate) struct Stage {
    pub(crate) world: World,
    agent: Running,
    /// What the generator signs with.
    pub(crate) signer: Signer,
    /// How many events of the server were looked at.
    seen: Mutex<u64>,
}

impl Stage {
    pub(crate) fn new(is_held: bool) -> Self {
        let world = World::new();
        world.lighten_keys();
        world.add();
        let at = |ms: fn((u64, u64)) -> u64| json!({"s3": ms(S3_KNOWS_MS), "dynamodb": ms(DYNAMODB_KNOWS_MS)});
        let late = json!({"visible_after_at": at(|ms| ms.0), "flaps_until_at": at(|ms| ms.1)});
        world.control(json!({"op": "behaviour", "set": late}));
        // The first key, too, is given its time.
        std::thread::sleep(Duration::from_millis(S3_KNOWS_MS.1 + 100));
        let port = if is_held { free_port() } else { 0 };
        let agent =
            format!("[agent]\nsources = [\"proxy\"]\nproxy_listen = \"127.0.0.1:{port}\"\n");
        world.configure_agent(&agent, "");
        let agent = match is_held {
            true => Running::Held(Held::start(&world, port)),
            false => Running::Own(world.agent()),
        };
        let signer = placeholder(&world);
        let stage = Self { world, agent, signer, seen: Mutex::new(0) };
        stage.refused_since();
        stage
    }

    /// Reloads the agent, or restarts it.
    pub(crate) fn disturb(&self) {
        match &self.agent {
            Running::Own(agent) => {
                kill_process(Pid::from_child(&agent.child), Signal::HUP).expect("it lives");
            }
            Running::Held(held) => held.restart(),
        }
    }

    /// One rotation, to its end.
    pub(crate) fn rotate(&self) {
        let before = self.world.keys();
        let wait = match self.agent {
            Running::Own(_) => "deleted",
            // Who is waited for may end meanwhile. It goes on with what a person leaves.
            Running::Held(_) => "published",
        };
        self.world.expect(0, &["rotate", "--wait", wait]);
        let since = Instant::now();
        let is_over = || self.world.keys().len() == 1 && self.world.keys() != before;
        while !is_over() {
            assert!(since.elapsed() < ROTATED_WITHIN, "{:?}", self.world.status());
            std::thread::sleep(Duration::from_millis(100));
        }
        while self.world.step().is_some() {
            assert!(since.elapsed() < ROTATED_WITHIN, "{:?}", self.world.status());
            std::thread::sleep(Duration::from_millis(300));
        }
    }

    /// How many requests the server has refused, as it did not know their key, since it was asked last.
    pub(crate) fn refused_since(&self) -> u64 {
        const CODES: [&str; 3] =
            ["InvalidAccessKeyId", "InvalidClientTokenId", "UnrecognizedClientException"];
        let mut seen = self.seen.lock().unwrap();
        let log = self.world.control(json!({"op": "log", "from": *seen}));
        *seen = log["next"].as_u64().expect("a number");
        let events = log["events"].as_array().expect("a list").iter();
        let is_refused = |event: &&Value| CODES.contains(&event["outcome"].as_str().unwrap_or(""));
        events.filter(is_refused).count() as u64
    }
}

/// What a program signs with, as `rotakey env` tells it.
fn placeholder(world: &World) -> Signer {
    let run = world.expect(0, &["env", "--source", "proxy", "--format", "json"]);
    let env: Value = serde_json::from_str(&run.stdout).expect("JSON");
    let text = |name: &str| env[name].as_str().expect(name).to_owned();
    Signer {
        id: text("AWS_ACCESS_KEY_ID"),
        secret: text("AWS_SECRET_ACCESS_KEY"),
        host: text("AWS_ENDPOINT_URL").trim_start_matches("http://").to_owned(),
    }
}

/// A port that nobody listens at just now.
fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("bound").port()
}
