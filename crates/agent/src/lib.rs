//! The agent of rotakey: the only crate that touches the world.

pub mod cli;
pub mod clock;
pub mod command;
pub mod config;
pub mod driver;
pub mod iam;
pub mod serve;
pub mod session;
#[cfg(feature = "demo")]
pub mod simulator;
pub mod store;
pub mod totp;
