//! `import` and `export` by the real binary, on files as people have them; botocore and the AWS CLI read them before
//! and after.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a test"
)]

#[path = "import/corpus.rs"]
mod corpus;
#[path = "import/export.rs"]
mod export;
#[path = "import/killed.rs"]
mod killed;
#[path = "import/refusals.rs"]
mod refusals;
#[path = "import/stage.rs"]
mod stage;
mod support;
#[path = "import/taking.rs"]
mod taking;
