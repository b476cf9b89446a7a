//! The verbs, one file each, or a folder.

pub mod add;
pub mod admin;
pub mod completions;
pub mod credential_process;
#[cfg(feature = "demo")]
pub mod demo;
pub mod doctor;
pub mod enrol;
pub mod env;
pub mod exec;
pub mod export;
pub mod history;
pub mod import;
pub mod incident;
pub mod keys;
pub mod man;
pub mod mfa;
pub mod next;
pub mod presign;
pub mod remove;
pub mod revoke;
pub mod rotate;
pub mod scan;
pub mod service;
pub mod status;
mod through_proxy;
