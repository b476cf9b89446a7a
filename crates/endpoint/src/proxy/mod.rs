//! The re-signing proxy: programs sign with a placeholder, and what goes to AWS is signed with the key.

pub mod upstream;
