//! The endpoint of rotakey: hands credentials to programs on this machine.
//!
//! It knows credentials, generations and leases. Why a generation follows another is not its business.

pub mod answer;
pub mod caller;
pub mod connection;
mod door;
pub mod drain;
mod guard;
mod house;
pub mod imds;
pub mod lease;
mod pace;
pub mod protocol;
pub mod proxy;
pub mod publish;
pub mod route;
pub mod server;
pub mod table;
