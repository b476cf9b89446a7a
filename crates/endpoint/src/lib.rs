//! The endpoint of rotakey: hands credentials to programs on this machine.
//!
//! It knows credentials, generations and leases. Why a generation follows another is not its business.

pub mod lease;
pub mod protocol;
pub mod publish;
pub mod table;
