//! Whatever is wrong with what it is given, the real binary says what, says what to do, ends with the right
//! code, and leaves the keys and the journal as they were.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a test"
)]

#[path = "bad_input/account.rs"]
mod account;
#[path = "bad_input/keystore.rs"]
mod keystore;
#[path = "bad_input/person.rs"]
mod person;
#[path = "bad_input/scene.rs"]
mod scene;
#[path = "bad_input/state.rs"]
mod state;
mod support;
#[path = "bad_input/volume.rs"]
mod volume;
#[path = "bad_input/words.rs"]
mod words;
