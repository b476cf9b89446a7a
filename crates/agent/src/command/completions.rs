//! `completions`: what a shell completes, from the definition of the arguments.

use clap::CommandFactory;

use crate::cli::args::Arguments;
use crate::failure::{Exit, Failed};
use crate::printer::Printer;

/// Runs it.
pub fn run(shell: clap_complete::Shell, printer: &Printer) -> Result<(), Failed> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "rotakey", &mut script);
    printer
        .data_whole(&String::from_utf8_lossy(&script))
        .map_err(|error| Failed::new(Exit::Failed, format!("cannot write: {error}")))
}
