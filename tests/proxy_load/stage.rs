//! The user, the server that is late with keys, and the agent.

use std::cell::RefCell;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use super::support::activator::Activator;
use super::support::agent::Agent;
use super::support::{Run, World};
use super::uploads::sign::Signer;

/// S3 and DynamoDB do not know a key at all for so long after it was published, then now and then, then always. IAM and STS
/// know it at once, so that it is published meanwhile.
const UNKNOWN: Duration = Duration::from_millis(1500);
const FLAPPING: Duration = Duration::from_millis(2500);

/// Longer than a rotation takes on a busy machine.
const ROTATED_WITHIN: Duration = Duration::from_secs(180);

enum Running {
    Own(Agent),
    Held(Activator),
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
        let port = if is_held { free_port() } else { 0 };
        let agent =
            format!("[agent]\nsources = [\"proxy\"]\nproxy_listen = \"127.0.0.1:{port}\"\n");
        world.configure_agent(&agent, "");
        let agent = match is_held {
            true => Running::Held(Activator::start(&world, port)),
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
            Running::Held(held) => held.order("restart"),
        }
    }

    /// One rotation, to its end.
    pub(crate) fn rotate(&self) {
        let before = self.world.keys();
        let since = Instant::now();
        let wait = |until: &dyn Fn() -> bool| {
            while !until() {
                assert!(since.elapsed() < ROTATED_WITHIN, "{:?}", self.world.status());
                std::thread::sleep(Duration::from_millis(50));
            }
        };
        loop {
            let rotation = RefCell::new(self.world.spawn(&["rotate", "--wait", "published"]));
            let has_ended = || rotation.borrow_mut().try_wait().expect("ours").is_some();
            wait(&|| self.world.keys().len() == 2 || has_ended());
            if self.world.keys().len() == 2 {
                self.know("visible_after_at");
            }
            let run = Run::from(rotation.into_inner().wait_with_output().expect("it ends"));
            if run.code == 0 {
                break;
            }
            // While the agent is away nothing is begun; whoever wants it asks again.
            let is_away = matches!(self.agent, Running::Held(_)) && self.world.keys() == before;
            assert!(is_away && since.elapsed() < ROTATED_WITHIN, "{run:?}");
        }
        std::thread::sleep(UNKNOWN);
        self.know("flaps_until_at");
        std::thread::sleep(FLAPPING);
        self.know("nothing");
        // The agent goes on with what a person leaves.
        wait(&|| self.world.keys().len() == 1);
        assert_ne!(self.world.keys(), before);
        while self.world.step().is_some() {
            assert!(since.elapsed() < ROTATED_WITHIN, "{:?}", self.world.status());
            std::thread::sleep(Duration::from_millis(300));
        }
    }

    /// How the server takes keys that are younger than the older of two: not at all (`visible_after_at`), now and then
    /// (`flaps_until_at`), or as all others.
    fn know(&self, younger: &str) {
        let keys = self.world.control(json!({"op": "keys", "user": "app"}));
        let created = keys["keys"][0]["created"].as_str().expect("a time");
        let age = Timestamp::now().duration_since(created.parse().expect("a time"));
        // Times are told in whole seconds: it is a second younger, perhaps.
        let age = (age.as_millis() - 1100).max(0);
        let mut set = json!({"visible_after_at": {}, "flaps_until_at": {}});
        if set.get(younger).is_some() {
            set[younger] = json!({"s3": age, "dynamodb": age});
        }
        self.world.control(json!({"op": "behaviour", "set": set}));
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
