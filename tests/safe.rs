//! No SDK client signs with a superseded key once `safety` says that none can.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test")]

mod model_clients;
#[path = "safe/table.rs"]
mod table;
