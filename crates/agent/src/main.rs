//! `rotakey`: see `rotakey --help`.

use std::process::ExitCode;

fn main() -> ExitCode {
    rotakey_agent::cli::run()
}
