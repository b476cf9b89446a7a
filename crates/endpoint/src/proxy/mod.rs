//! The re-signing proxy: programs sign with a placeholder key that is worthless elsewhere, and what they send
//! is signed anew with the real one.
//!
//! ```text
//! head ──► screen ──► verify::admit ──► (buffer, if the hash is not given) ──► Admitted::verify ──► Verified
//!                                                                                                     │
//!                                              upstream ◄── payload::Outgoing ◄── Signed ◄── sign::sign
//! ```
//!
//! [`listener`] lets programs in, [`Proxy`] leads their requests through these parts, [`upstream`] says where they go. The
//! parts themselves connect to nothing, do not wait, and read no clock. A [`Verified`](verify::Verified) cannot be made without a signature that
//! was right, and nothing is signed without one.

pub mod canonical;
mod checks;
mod claim;
mod clock;
pub mod connect;
pub mod date;
mod error_body;
mod forward;
mod grammar;
pub mod grants;
pub mod key;
pub mod keys;
pub mod listener;
mod names;
mod operations;
pub mod payload;
mod pool;
mod preferred;
pub mod presign;
mod presigned;
mod redact;
pub mod refusal;
pub mod render;
pub mod roots;
mod screen;
pub mod seal;
mod sessions;
pub mod sign;
mod told;
pub mod upstream;
pub mod uri;
pub mod verify;
mod version2;

pub use self::forward::Proxy;
