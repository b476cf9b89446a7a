//! The ways in which AWS SDKs ask for credentials.

pub mod http;
pub mod process;
