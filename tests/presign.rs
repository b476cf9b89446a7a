//! What programs get through the proxy that stands for real credentials: sessions, and URLs; and real URLs for others.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::zombie_processes,
    reason = "a test"
)]

mod support;

#[path = "presign/restarts.rs"]
mod restarts;
#[path = "presign/sessions.rs"]
mod sessions;
#[path = "presign/stage.rs"]
mod stage;
#[path = "presign/urls.rs"]
mod urls;
#[path = "presign/version2.rs"]
mod version2;
