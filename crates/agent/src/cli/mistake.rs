//! A command that cannot be understood, told like any other failure: what is wrong, and a hint.

use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, Error, ErrorKind};
use clap::{Command, CommandFactory};

use super::args::Arguments;
use crate::failure::{Exit, Failed};
use crate::printer::Printer;

/// A word that is so long may be a secret, in the wrong place: it is not repeated.
const SHOWN_MAX: usize = 39;

/// What was given to the program instead of a command: help that was asked for, or a mistake.
pub(super) fn told(error: &Error, words: &[String], printer: &Printer) -> ExitCode {
    if !error.use_stderr() {
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    printer.error(&failed(error, words));
    ExitCode::from(Exit::Usage as u8)
}

/// The same in words. `words` are those of the command line, behind the program's name.
fn failed(error: &Error, words: &[String]) -> Failed {
    let verb = Path::of(words);
    let text = |kind| texts(error, kind).join(" and ");
    let invalid = || text(ContextKind::InvalidArg);
    let message = match error.kind() {
        ErrorKind::InvalidSubcommand => {
            let unknown = shown(&text(ContextKind::InvalidSubcommand));
            format!("there is no command {unknown}")
        }
        ErrorKind::UnknownArgument if invalid().starts_with('-') => {
            format!("`{}` has no option {}", verb.name, shown(&invalid()))
        }
        ErrorKind::UnknownArgument => {
            format!("`{}`: {} is one argument too many", verb.name, shown(&invalid()))
        }
        ErrorKind::InvalidValue if text(ContextKind::InvalidValue).is_empty() => {
            format!("{} needs a value", invalid())
        }
        ErrorKind::InvalidValue | ErrorKind::ValueValidation => {
            format!("{} is no value of {}", shown(&text(ContextKind::InvalidValue)), invalid())
        }
        ErrorKind::MissingRequiredArgument => format!("`{}` needs {}", verb.name, invalid()),
        ErrorKind::ArgumentConflict if text(ContextKind::PriorArg) == invalid() => {
            format!("{} is given twice", invalid())
        }
        ErrorKind::ArgumentConflict => {
            format!("{} and {} exclude each other", invalid(), text(ContextKind::PriorArg))
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand | ErrorKind::MissingSubcommand => {
            format!("`{}` needs a command: {}", verb.name, listed(&verb.below))
        }
        ErrorKind::InvalidUtf8 => "an argument is no text (UTF-8)".to_owned(),
        _ => as_clap_says(error),
    };
    Failed::new(Exit::Usage, message).hint(hint(error, &verb))
}

/// What may have been meant, or what there is; and where the rest stands.
fn hint(error: &Error, verb: &Path) -> String {
    let more = format!("`{} --help` says more", verb.name);
    let meant = |meant: &[String]| format!("did you mean {}? {more}", meant.join(" or "));
    let near = |kind| texts(error, kind);
    match error.kind() {
        ErrorKind::InvalidSubcommand => {
            // The nearest is the last one.
            let near = near(ContextKind::SuggestedSubcommand);
            let near = near.iter().rev().take(2).map(|near| format!("`{} {near}`", verb.name));
            match near.collect::<Vec<_>>().as_slice() {
                [] => format!("`{} --help` lists them", verb.name),
                near => meant(near),
            }
        }
        ErrorKind::UnknownArgument if !near(ContextKind::SuggestedArg).is_empty() => {
            meant(&near(ContextKind::SuggestedArg))
        }
        ErrorKind::InvalidValue if !near(ContextKind::ValidValue).is_empty() => {
            format!("it takes {}; {more}", listed(&near(ContextKind::ValidValue)))
        }
        ErrorKind::ValueValidation => match std::error::Error::source(error) {
            Some(why) => format!("{why}; {more}"),
            None => more,
        },
        ErrorKind::UnknownArgument | ErrorKind::MissingRequiredArgument => {
            let usage = near(ContextKind::Usage).concat();
            match usage.trim().strip_prefix("Usage: ") {
                Some(form) => format!("its form is `{form}`; {more}"),
                None => more,
            }
        }
        _ => more,
    }
}

/// The command that the words lead to, as far as they name one.
struct Path {
    /// `rotakey`, `rotakey service`
    name: String,
    /// The commands below it.
    below: Vec<String>,
}

impl Path {
    fn of(words: &[String]) -> Self {
        let mut command = Arguments::command();
        let mut name = command.get_name().to_owned();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            if word == "--profile" {
                words.next();
            }
            let Some(below) = command.find_subcommand(word) else { continue };
            command = below.clone();
            name = format!("{name} {word}");
        }
        let below = command.get_subcommands().filter(|below| !below.is_hide_set());
        Self { name, below: below.map(Command::get_name).map(str::to_owned).collect() }
    }
}

/// What clap knows of the mistake, each text by itself.
fn texts(error: &Error, kind: ContextKind) -> Vec<String> {
    match error.get(kind) {
        Some(ContextValue::String(text)) => vec![text.clone()],
        Some(ContextValue::Strings(texts)) => texts.clone(),
        Some(ContextValue::StyledStr(text)) => vec![text.to_string()],
        _ => Vec::new(),
    }
}

/// A word of the command line, as it may stand on a terminal.
fn shown(word: &str) -> String {
    match word.chars().count() {
        length if length > SHOWN_MAX => format!("a word of {length} characters"),
        _ if word.starts_with('-') => word.escape_debug().to_string(),
        _ => format!("{word:?}"),
    }
}

/// `a, b or c`
fn listed(names: &[String]) -> String {
    match names {
        [names @ .., last] if !names.is_empty() => format!("{} or {last}", names.join(", ")),
        names => names.concat(),
    }
}

/// The first paragraph, for what is not foreseen here.
fn as_clap_says(error: &Error) -> String {
    let text = error.to_string();
    let first = text.split("\n\n").next().unwrap_or_default();
    let first = first.strip_prefix("error: ").unwrap_or(first);
    first.split_whitespace().collect::<Vec<_>>().join(" ")
}
