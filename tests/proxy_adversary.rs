//! The re-signing proxy, attacked from outside: the real agent, bytes by hand, and a server that records what reaches it.
//!
//! Whatever comes: it is refused with the right code, nothing of it is sent on that AWS could act on, no answer, log or metric
//! holds the real key, and a right request directly afterwards is answered.
#![allow(missing_docs, unreachable_pub, dead_code, clippy::unwrap_used, reason = "a test")]
#![allow(clippy::disallowed_methods, clippy::print_stdout, reason = "a test")]

mod support;

#[path = "proxy_adversary/bodies.rs"]
mod bodies;
#[path = "signing/client.rs"]
mod client;
#[path = "proxy_adversary/field.rs"]
mod field;
#[path = "proxy_adversary/floods.rs"]
mod floods;
#[path = "signing/framed.rs"]
mod framed;
#[path = "proxy_adversary/heads.rs"]
mod heads;
#[path = "intruders/siege.rs"]
mod siege;
#[path = "proxy_adversary/upstream.rs"]
mod upstream;
#[path = "proxy_adversary/users.rs"]
mod users;
