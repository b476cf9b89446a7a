//! The endpoint over real sockets: what it answers, to whom, and what it turns away.
//!
//! The clients are raw sockets, so that nothing of the server's own parsing stands between. A second user is needed, so
//! these tests run as root.
#![allow(missing_docs, unreachable_pub, clippy::unwrap_used, reason = "a test")]
#![allow(clippy::disallowed_methods, reason = "a test measures time and reads files")]

#[path = "endpoint/client.rs"]
mod client;
#[path = "endpoint/connections.rs"]
mod connections;
#[path = "endpoint/container.rs"]
mod container;
#[path = "endpoint/crowd.rs"]
mod crowd;
#[path = "endpoint/drain.rs"]
mod drain;
#[path = "endpoint/imds.rs"]
mod imds;
#[path = "endpoint/process.rs"]
mod process;
#[path = "endpoint/requests.rs"]
mod requests;
#[path = "endpoint/strangers.rs"]
mod strangers;
#[path = "endpoint/world.rs"]
mod world;
