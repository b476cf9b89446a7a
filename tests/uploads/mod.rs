//! Uploads and downloads of any length in every body mode, by a client that signs with `aws-sigv4` and writes the bytes
//! itself: so it can change any of them after they were signed.
#![allow(dead_code, reason = "each test uses its own part")]

pub(crate) mod body;
pub(crate) mod pattern;
pub(crate) mod sign;
pub(crate) mod wire;
