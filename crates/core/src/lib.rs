//! The rotation engine of rotakey.
//!
//! This crate decides and touches nothing: no I/O, no clock, no randomness, no spawning, no logging.
//! Time and ids are arguments; what the world says comes in as an [`Event`](rotation::Event), what is
//! to be done goes out as a [`Command`](rotation::Command).

pub mod chained;
pub mod credential;
pub mod error;
pub mod health;
pub mod iam;
pub mod journal;
pub mod lease;
pub mod policy;
pub mod receipt;
pub mod recovery;
pub mod rotation;
pub mod time;
