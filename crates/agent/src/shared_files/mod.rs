//! The AWS shared files: `~/.aws/credentials` and `~/.aws/config`.

pub mod document;
