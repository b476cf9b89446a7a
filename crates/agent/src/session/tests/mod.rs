//! Sessions on a clock that stands still until it is moved.

mod keeper;
#[cfg(feature = "demo")]
mod minting;
#[cfg(feature = "demo")]
mod serving;
#[cfg(feature = "demo")]
pub(crate) mod world;
