//! Six profiles, so that a dashboard has something to show: one rotates on and on, one once, one comes of age, one cannot begin,
//! one gives up, and one is stuck.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::{Timestamp, ToSpan};
use serde_json::{Value, json};

use crate::support::World;
use crate::support::agent::{ANYWHERE, Agent, http};

/// Whoever runs this has the placeholder.
const CURL: &str = "exec curl -sS -o /dev/null --user \"$AWS_ACCESS_KEY_ID:$AWS_SECRET_ACCESS_KEY\" \
    --aws-sigv4 aws:amz:us-east-1:s3 -H 'x-amz-content-sha256: UNSIGNED-PAYLOAD' \"$AWS_ENDPOINT_URL/\"";

/// How long the profile that rotates on and on leaves it be.
const PAUSE: Duration = Duration::from_secs(8);

/// A profile's name, the age of its key in days, and what its table has besides.
const PROFILES: [(&str, i64, &str); 6] = [
    ("app", 0, "soak = \"4s\"\nimds = true\n"),
    ("deploy", 29, "soak = \"30s\"\nmax_age = \"31d\"\n"),
    ("batch", 78, "soak = \"1h\"\nmax_age = \"85d\"\n"),
    ("legacy", 97, "soak = \"1h\"\n"),
    ("reports", 33, "soak = \"1h\"\n"),
    ("search", 12, "soak = \"8s\"\n"),
];

/// The profiles, an agent that serves them, and what was done to them so far.
pub(super) struct Fleet {
    world: World,
    pub(super) agent: Arc<Agent>,
    proxy: SocketAddr,
    begun: Instant,
    /// Since when the first one is at rest.
    rests: Instant,
    rotated: Vec<&'static str>,
    round: u32,
}

impl Fleet {
    pub(super) fn start() -> Self {
        let world = World::with(json!({
            "last_used_granularity": 1000, "visible_after": 2500, "server_offset": 350
        }));
        world.lighten_keys();
        for (name, days, _) in PROFILES {
            add(&world, name, days);
        }
        // What fills the quota is nothing that rotakey may touch.
        world.control(json!({"op": "create-key", "user": "legacy"}));
        let tables = PROFILES.map(|(name, _, more)| table(&world, name, more)).concat();
        world.configure(&format!("{ANYWHERE}proxy_listen = \"127.0.0.1:0\"\n{tables}"));
        let agent = Arc::new(world.agent());
        let proxy = agent.status()["proxy_listen"].as_str().unwrap().parse().unwrap();
        let begun = Instant::now();
        Self { world, agent, proxy, begun, rests: begun, rotated: Vec::new(), round: 0 }
    }

    /// What happens in half a second or so: programs ask, and what is due is rotated.
    pub(super) fn live(&mut self) {
        self.round += 1;
        for name in ["app", "app", "deploy", "search"] {
            self.agent.container(name);
        }
        if self.round.is_multiple_of(2) {
            self.agent.imds("app");
            self.world.expect(0, &["exec", "app", "--source", "proxy", "--", "sh", "-c", CURL]);
        }
        if self.round.is_multiple_of(5) {
            self.world.expect(0, &["credential-process", "--profile", "batch"]);
            self.agent.http("GET", "/credentials/app", "Authorization: wrong\r\n");
            http(self.proxy, "GET", "/", "");
        }
        if self.round.is_multiple_of(7) {
            self.agent.http("GET", "/credentials/app", "Origin: http://evil.example\r\n");
            http(self.proxy, "GET", "/", "Origin: http://evil.example\r\n");
        }
        self.rotate();
    }

    fn rotate(&mut self) {
        if self.step("app").is_some() {
            self.rests = Instant::now();
        } else if self.rests.elapsed() > PAUSE {
            self.world.expect(0, &["rotate", "app"]);
        }
        for (name, after) in [("search", 15), ("deploy", 50)] {
            let is_due = self.begun.elapsed() > Duration::from_secs(after);
            if is_due && !self.rotated.contains(&name) {
                self.world.expect(0, &["rotate", name]);
                self.rotated.push(name);
            }
        }
        // Somebody brings a key back that was retired; it stays so until a person has decided.
        if self.step("search").as_deref() == Some("soak") {
            let keys = self.world.control(json!({"op": "keys", "user": "search"}));
            for key in keys["keys"].as_array().unwrap() {
                self.world.control(json!({"op": "set-key-status", "access_key_id": key["access_key_id"], "status": "Active"}));
            }
        }
    }

    fn step(&self, name: &str) -> Option<String> {
        let run = self.world.expect(0, &["status", name, "--json"]);
        let status: Value = serde_json::from_str(&run.stdout).unwrap();
        status["profiles"][0]["rotation"]["step"].as_str().map(str::to_owned)
    }
}

fn add(world: &World, name: &str, days: i64) {
    let created = Timestamp::now() - (days * 24).hours();
    let id = format!("AKIA{:A<16}", name.to_uppercase());
    let secret = format!("{name:0<40}");
    if name != "app" {
        world.control(json!({"op": "create-user", "user": name}));
    } else {
        world.control(json!({"op": "delete-key", "access_key_id": world.id}));
    }
    world.control(
        json!({"op": "import-key", "user": name, "access_key_id": id, "secret_access_key": secret,
        "status": "Active", "created": created}),
    );
    let args =
        ["add", name, "--access-key-id", &id, "--secret-stdin", "--endpoint-url", &world.url];
    let run = world.rotakey_with_stdin(&args, &secret);
    assert_eq!(run.code, 0, "{run:?}");
}

fn table(world: &World, name: &str, more: &str) -> String {
    format!(
        "[profile.{name}]\nuser = \"{name}\"\nendpoint_url = \"{}\"\nunsafe_durations = true\nlease = \"4s\"\n\
         probe = {{ successes = 2, spacing = \"500ms\", deadline = \"{}\" }}\n{more}",
        world.url,
        // Sooner than AWS knows a new key.
        if name == "reports" { "1s" } else { "20s" },
    )
}
