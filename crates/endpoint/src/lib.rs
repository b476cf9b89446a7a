//! The endpoint of rotakey: hands credentials to programs on this machine.
//!
//! It knows credentials, generations and leases. Why a generation follows another is not its business.

pub mod protocol;
pub mod publish;
