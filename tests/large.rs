//! Bodies of any length through the proxy: memory does not grow with them, every byte arrives, and what was changed on the
//! way is never stored.
//!
//! `ROTAKEY_LARGE_BYTES` says how long they are (default 64 MiB), `ROTAKEY_TEST_BINARY` which rotakey is looked at.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a test"
)]

#[path = "large/changed.rs"]
mod changed;
#[path = "large/receive.rs"]
mod receive;
#[path = "large/server.rs"]
mod server;
mod support;
#[path = "large/transfers.rs"]
mod transfers;
mod uploads;

use support::World;
use support::agent::Agent;

use self::server::{Key, Server};
use self::uploads::sign::Signer;

/// An agent whose proxy stands before a server for large bodies.
struct Stage {
    server: Server,
    agent: Agent,
    /// With the placeholder, to the proxy.
    proxied: Signer,
    /// With the real key, to the server.
    direct: Signer,
    _world: World,
}

impl Stage {
    fn new() -> Self {
        let world = World::added();
        let (id, secret) = (world.id.clone(), world.secret.clone());
        let server = Server::start(Key { id: id.clone(), secret: secret.clone() });
        let agent = "[agent]\nsources = [\"proxy\"]\nproxy_listen = \"127.0.0.1:0\"\n";
        let profile = world.quick_profile("").replace(&world.url, &format!("http://{}", server.at));
        world.configure(&format!("{agent}{profile}"));
        let mut command = world.command();
        // IAM and STS stay where they are.
        command.env("AWS_ENDPOINT_URL_IAM", &world.url).env("AWS_ENDPOINT_URL_STS", &world.url);
        let agent = Agent::start(&world, command);
        let proxied = world.placeholder();
        let direct = Signer { id, secret, host: server.at.to_string() };
        Self { server, agent, proxied, direct, _world: world }
    }
}

impl World {
    /// What a program signs with.
    fn placeholder(&self) -> Signer {
        let run = self.expect(0, &["env", "--source", "proxy", "--format", "json"]);
        let env: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
        let text = |name: &str| env[name].as_str().unwrap().to_owned();
        Signer {
            id: text("AWS_ACCESS_KEY_ID"),
            secret: text("AWS_SECRET_ACCESS_KEY"),
            host: text("AWS_ENDPOINT_URL").trim_start_matches("http://").to_owned(),
        }
    }
}
