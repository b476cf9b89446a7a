//! `rotakey`: see `rotakey --help`.

use std::process::ExitCode;

fn main() -> ExitCode {
    rotakey_agent::cli::quick().unwrap_or_else(rotakey_agent::cli::run)
}
