//! Nothing else gets in: the real agent against other users, browsers, floods, and bytes that are no requests.
//!
//! Whatever comes, the owner's programs are answered, and no secret is said, logged or left on disk.
#![allow(missing_docs, unreachable_pub, clippy::unwrap_used, reason = "a test")]
#![allow(clippy::disallowed_methods, clippy::print_stdout, reason = "a test")]

mod support;

#[path = "intruders/browser.rs"]
mod browser;
#[path = "intruders/floods.rs"]
mod floods;
#[path = "intruders/lures.rs"]
mod lures;
#[path = "intruders/requests.rs"]
mod requests;
#[path = "intruders/siege.rs"]
mod siege;
#[path = "intruders/users.rs"]
mod users;
