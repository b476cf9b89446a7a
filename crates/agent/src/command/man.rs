//! `man`: manual pages, from the one definition of the command line.

use std::path::PathBuf;

use clap::{Args, Command, CommandFactory};
use clap_mangen::Man;

use crate::cli::args::Arguments;
use crate::failure::{Exit, Failed};
use crate::printer::Printer;
use crate::store::disk;

/// The arguments of `man`.
#[derive(Debug, Args)]
pub struct ManArgs {
    /// The page of this verb, such as `rotate` or `service install` [default: that of rotakey as a whole]
    pub verb: Vec<String>,
    /// Write all pages into this folder instead
    #[arg(long, value_name = "DIR", conflicts_with = "verb")]
    pub dir: Option<PathBuf>,
}

/// Runs it.
pub fn run(args: &ManArgs, printer: &Printer) -> Result<(), Failed> {
    let mut whole = Arguments::command().disable_help_subcommand(true);
    whole.build();
    let Some(dir) = &args.dir else {
        let page = args.verb.iter().try_fold(&whole, |at, verb| at.find_subcommand(verb));
        let page = page.ok_or_else(|| {
            Failed::new(Exit::Usage, format!("there is no verb {}", args.verb.join(" ")))
                .hint("`rotakey --help` lists them")
        })?;
        let text = render(page)?.1;
        printer
            .data_whole(&String::from_utf8_lossy(&text))
            .map_err(|error| Failed::new(Exit::Failed, format!("cannot write: {error}")))?;
        if printer.data_columns().is_some() {
            let verb = args.verb.iter().map(|verb| format!(" {verb}")).collect::<String>();
            printer.say(&format!("hint: that is for man to read: `rotakey man{verb} | man -l -`"));
        }
        return Ok(());
    };
    let mut written = 0;
    let mut left = vec![&whole];
    while let Some(command) = left.pop() {
        let (name, text) = render(command)?;
        let path = dir.join(name);
        disk::write_shared(&path, &text).map_err(|error| {
            Failed::new(Exit::Failed, format!("cannot write {}: {error}", path.display()))
                .hint("make the folder first, and writable")
        })?;
        written += 1;
        left.extend(command.get_subcommands().filter(|verb| !verb.is_hide_set()));
    }
    printer.say(&format!("wrote {written} pages to {}", dir.display()));
    Ok(())
}

/// The name of a page's file, and its text.
fn render(command: &Command) -> Result<(String, Vec<u8>), Failed> {
    let man = Man::new(command.clone());
    let mut text = Vec::new();
    man.render(&mut text)
        .map_err(|error| Failed::new(Exit::Failed, format!("cannot make the page: {error}")))?;
    Ok((man.get_filename(), text))
}
