//! The parts of the re-signing proxy: programs sign with a placeholder key that is worthless elsewhere, and what they send
//! is signed anew with the real one.
//!
//! ```text
//! head ──► screen ──► verify::admit ──► (buffer, if the hash is not given) ──► Admitted::verify ──► Verified
//!                                                                                                     │
//!                                              upstream ◄── payload::Outgoing ◄── Signed ◄── sign::sign
//! ```
//!
//! Nothing here connects, waits or reads a clock. A [`Verified`](verify::Verified) cannot be made without a signature that
//! was right, and nothing is signed without one.

pub mod canonical;
mod claim;
pub mod date;
pub mod key;
pub mod payload;
pub mod refusal;
pub mod render;
mod screen;
pub mod sign;
pub mod upstream;
pub mod uri;
pub mod verify;
mod version2;
