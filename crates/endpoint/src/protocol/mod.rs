//! The ways in which AWS SDKs ask for credentials.

pub mod process;
