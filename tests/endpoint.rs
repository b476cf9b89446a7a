//! The endpoint over real sockets: what it answers, to whom, and what it turns away.
//!
//! The clients are raw sockets, so that nothing of the server's own parsing stands between. A second user is needed, so
//! these tests run as root.
#![allow(missing_docs, unreachable_pub, clippy::unwrap_used, dead_code, reason = "a test")]
#![allow(clippy::disallowed_methods, reason = "a test measures time and reads files")]

#[path = "endpoint/client.rs"]
mod client;
#[path = "endpoint/container.rs"]
mod container;
#[path = "endpoint/imds.rs"]
mod imds;
#[path = "endpoint/process.rs"]
mod process;
#[path = "endpoint/world.rs"]
mod world;
