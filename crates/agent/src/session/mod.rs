//! Sessions and roles: what is served instead of the bare key.
//!
//! [`Plan`] says which calls lead there, [`Minter`] makes them, [`Keeper`] says when. The daemon has one keeper
//! for each profile that it serves sessions of:
//!
//! ```text
//! publish(generation) ──► Keeper ── next(now) ──► Mint(generation) ──► Minter ──► minted | failed ──► Keeper
//! ```
//!
//! Everything here is in memory, and nothing of it is ever written: a session is as good as its key.

mod keeper;
pub mod mfa;
mod mint;
mod plan;
#[cfg(test)]
pub(crate) mod tests;

pub use keeper::{Keeper, Next};
pub use mfa::{MfaSessions, NoCode, Signing};
pub use mint::{Minted, Minter, NotMinted, RoleCache};
pub use plan::Plan;
