//! The agent of rotakey: the only crate that touches the world.

pub mod audit;
pub mod chains;
pub mod cli;
pub mod clock;
pub mod command;
pub mod config;
pub mod control;
pub mod daemon;
pub mod driver;
pub mod engine;
pub mod iam;
pub mod incident;
pub mod local_http;
pub mod metrics;
pub mod news;
pub mod proc;
pub mod receipts;
pub mod serve;
pub mod serving;
pub mod session;
pub mod shared_files;
#[cfg(feature = "demo")]
pub mod simulator;
pub mod sources;
pub mod store;
pub mod totp;
