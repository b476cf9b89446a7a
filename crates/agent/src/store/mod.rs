//! What is kept: secrets in a keystore, everything else in the state folder.

pub mod disk;
pub mod durable;
pub mod foreign;
pub mod keystore;
pub mod profile;
