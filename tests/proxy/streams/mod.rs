//! Event streams, both directions at once: from real clients and from one that does wrong, to a server that verifies each
//! message with the real key.

mod client;
mod faults;
mod head;
mod inside;
mod keys;
mod pieces;
mod sdk;
mod services;
mod upstream;

use self::upstream::Upstream;
use super::calls::PROXY;
use crate::support::World;
use crate::support::agent::Agent;

/// A world whose profile goes to this server for all but IAM and STS, and what is said of it besides.
fn configured(world: &World, upstream: &Upstream, more: &str) {
    let iam = &world.url;
    let profile = format!(
        "[profile.app]\nuser = \"app\"\nregion = \"eu-west-1\"\nendpoint_url = \"{}\"\n\
         endpoint_url_iam = \"{iam}\"\nendpoint_url_sts = \"{iam}\"\nunsafe_durations = true\nsoak = \"1s\"\n\
         probe = {{ successes = 2, spacing = \"100ms\", deadline = \"8s\" }}\n{more}",
        upstream.url
    );
    world.configure(&format!("{PROXY}{profile}"));
}

/// A world with an agent, and a server without TLS that knows the world's key.
fn streaming(more: &str) -> (World, Upstream, Agent) {
    let world = World::added();
    let upstream = Upstream::start(&world.id, &world.secret, None);
    configured(&world, &upstream, more);
    let agent = world.agent();
    (world, upstream, agent)
}
