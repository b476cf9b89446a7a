//! The real agent, alone or on sockets that stay open while it is killed, and where it serves clients.
#![allow(dead_code, reason = "each test uses its own part")]

use std::time::{Duration, Instant};

use super::sources::{Place, aws_config};
use super::support::World;
use super::support::activator::Activator;
use super::support::agent;

/// How long the leases are. Long enough that no client is too slow for it on a busy machine; short enough that
/// a rotation takes seconds.
pub(crate) const LEASE_SECONDS: u64 = 4;

/// A running agent, and where it serves.
pub(crate) struct Agent {
    running: Option<Running>,
    pub(crate) place: Place,
}

enum Running {
    Own(agent::Agent),
    Held(Activator),
}

/// A user at a simulator that refuses deactivated keys at once, and the sessions that were made from them.
pub(crate) fn world() -> World {
    let world = World::with(serde_json::json!({
        "last_used_granularity": 1000, "sessions_die_with_key": true,
    }));
    world.lighten_keys();
    world.add();
    world
}

/// The profile of the tests of clients.
fn configure(world: &World, port: u16, lease: &str) {
    let profile = world
        .quick_profile("imds = true\n")
        .replace("lease = \"1s\"", &format!("lease = \"{lease}\""))
        .replace("soak = \"1s\"", "soak = \"2s\"");
    world.configure(&format!("[agent]\nlisten = \"127.0.0.1:{port}\"\n{profile}"));
}

impl Agent {
    /// Starts it on a port of its own choice.
    pub(crate) fn start(world: &World) -> Self {
        Self::start_at(world, 0)
    }

    /// Starts it with leases of this length.
    pub(crate) fn start_with(world: &World, lease: &str) -> Self {
        configure(world, 0, lease);
        Self::start_configured(world)
    }

    /// Gives it another configuration, with leases of this length.
    pub(crate) fn reconfigure(&self, world: &World, lease: &str) {
        self.own().reload_after(|| configure(world, 0, lease));
    }

    /// Starts it on this port.
    pub(crate) fn start_at(world: &World, port: u16) -> Self {
        configure(world, port, &format!("{LEASE_SECONDS}s"));
        Self::start_configured(world)
    }

    fn start_configured(world: &World) -> Self {
        let agent = world.agent();
        let place = place(world, &agent.listen().to_string());
        Self { running: Some(Running::Own(agent)), place }
    }

    /// Starts it on sockets that a parent holds open.
    pub(crate) fn start_activated(world: &World) -> Self {
        configure(world, 0, &format!("{LEASE_SECONDS}s"));
        let held = Activator::start(world, 0);
        let place = place(world, &format!("127.0.0.1:{}", held.port));
        Self { running: Some(Running::Held(held)), place }
    }

    fn own(&self) -> &agent::Agent {
        match &self.running {
            Some(Running::Own(agent)) => agent,
            _ => panic!("it is on sockets that somebody else holds"),
        }
    }

    /// Signals the agent, which is on sockets of its own.
    pub(crate) fn signal(&self, name: &str) {
        self.own().signal(name);
    }

    /// Kills it, on sockets of its own.
    pub(crate) fn kill(mut self) {
        if let Some(Running::Own(agent)) = self.running.take() {
            agent.kill();
        }
    }

    /// Gives whoever holds the sockets an order: `kill`, `down` or `up`.
    pub(crate) fn order(&self, order: &str) {
        match &self.running {
            Some(Running::Held(held)) => held.order(order),
            _ => panic!("it is on sockets of its own"),
        }
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let Some(Running::Own(agent)) = self.running.take() else { return };
        match std::thread::panicking() {
            // It may have been stopped, and then would not end in order.
            true => println!("{}", agent.crash("KILL").1),
            false => drop(agent.stop()),
        }
    }
}

/// What clients need to know of an agent at this address.
fn place(world: &World, http: &str) -> Place {
    let home = world.home.path();
    let token_file = world.state().join("token");
    // Programs have no ROTAKEY_HOME: the line says where it is. A client's own clock is not ours.
    let program = home.join("credential-process");
    let script = format!(
        "#!/bin/sh\nunset LD_PRELOAD\nROTAKEY_HOME='{}' exec '{}' credential-process --profile app\n",
        home.display(),
        env!("CARGO_BIN_EXE_rotakey")
    );
    world.write("credential-process", &script);
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    std::fs::set_permissions(&program, mode).expect("ours");
    world.write("aws-config", &aws_config(&program.display().to_string()));
    let since = Instant::now();
    while !token_file.exists() && since.elapsed() < Duration::from_secs(10) {
        std::thread::sleep(Duration::from_millis(10));
    }
    Place {
        api: world.url.clone(),
        http: format!("http://{http}"),
        token: std::fs::read_to_string(&token_file).expect("a token of the container endpoint"),
        token_file,
        config: home.join("aws-config"),
        home: home.to_owned(),
        imds_attempts: 1,
    }
}
