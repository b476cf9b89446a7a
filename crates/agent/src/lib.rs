//! The agent of rotakey: the only crate that touches the world.

pub mod iam;
pub mod store;
#[cfg(feature = "demo")]
pub mod simulator;
