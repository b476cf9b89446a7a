//! Commands as text: which there are in a line, and whether the command line's one definition takes them.

use std::collections::BTreeSet;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Command, CommandFactory};
use rotakey_agent::cli::args::Arguments;

/// What a line of a block begins with if it is a command. Others are output, or files.
const PROGRAMS: [&str; 20] = [
    "rotakey",
    "aws",
    "make",
    "cargo",
    "bash",
    "sudo",
    "eval",
    "systemctl",
    "loginctl",
    "curl",
    "python3",
    "git",
    "apt",
    "apt-get",
    "dpkg",
    "export",
    "install",
    "aws-vault",
    "crontab",
    "printf",
];

/// Flags that stand alone in running text and are other programs'.
const OTHERS_FLAGS: [&str; 8] = [
    "--locked",
    "--test",
    "--release",
    "--output",
    "--user",
    "--nocapture",
    "--no-session",
    "--network",
];

pub fn begins_a_command(line: &str) -> bool {
    let first = line.split_whitespace().next().unwrap_or_default();
    PROGRAMS.contains(&first)
        || (first.starts_with("AWS_") || first.starts_with("ROTAKEY_")) && first.contains('=')
}

/// The invocations of rotakey in a text: the words behind the program's name, up to what belongs to the shell.
pub fn of_rotakey(text: &str) -> Vec<Vec<String>> {
    let text = text.trim().trim_start_matches("$ ");
    let text = text.split("   #").next().unwrap_or_default();
    // What stands in `$(...)` is a command of its own.
    if let Some((before, rest)) = text.split_once("$(")
        && let Some((inner, after)) = rest.rsplit_once(')')
    {
        let mut found = of_rotakey(inner);
        found.extend(of_rotakey(&format!("{before}it{after}")));
        return found;
    }
    let words = shlex::split(text);
    bare(words.unwrap_or_else(|| text.split_whitespace().map(str::to_owned).collect()))
}

fn bare(words: Vec<String>) -> Vec<Vec<String>> {
    let is_shell = |word: &String| {
        ["|", "||", "&&", ";", "&", ">", ">>", "<", "2>", "2>&1", "#"].contains(&word.as_str())
    };
    let commands = words.split(is_shell);
    let after = |command: &[String]| {
        let at = command.iter().position(|w| w == "rotakey" || w.ends_with("/rotakey"))?;
        // A path that is an argument, as in `ls ~/.config/rotakey`, is no command.
        let before = &command[..at];
        let runs = before.iter().all(|word| {
            word.contains('=') || word.starts_with('-') || RUNNERS.contains(&word.as_str())
        });
        let user =
            before.first().is_some_and(|word| word == "sudo" || word == "credential_process");
        (runs || user).then(|| command[at + 1..].to_vec())
    };
    commands.filter_map(after).collect()
}

/// Programs that run what follows them.
const RUNNERS: [&str; 6] = ["sudo", "env", "exec", "eval", "time", "nice"];

/// Puts it to the definition. In running text something may be left out.
pub fn parse(words: &[String], whole: bool) -> Result<(), String> {
    let words = words.iter().map(|word| word.trim_matches(['[', ']']).to_owned());
    let words = std::iter::once("rotakey".to_owned()).chain(words);
    let Err(error) = Arguments::command().try_get_matches_from(words) else { return Ok(()) };
    let placeholder = || match error.get(ContextKind::InvalidValue) {
        Some(ContextValue::String(value)) => {
            value.contains('…') || value.chars().all(|c| c.is_ascii_uppercase())
        }
        _ => false,
    };
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Ok(()),
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand if !whole => Ok(()),
        ErrorKind::MissingRequiredArgument | ErrorKind::MissingSubcommand if !whole => Ok(()),
        ErrorKind::InvalidValue if !whole && placeholder() => Ok(()),
        _ => Err(error.to_string().lines().next().unwrap_or_default().to_owned()),
    }
}

/// Running text often leaves the program's name out: `undo --force`, or just `--force`.
pub fn fragment(text: &str) -> Result<(), String> {
    let words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
    let command = definition();
    let first = words.first().map(String::as_str).unwrap_or_default();
    if command.find_subcommand(first).is_some() && words.iter().any(|w| w.starts_with("--")) {
        return parse(&words, false);
    }
    let known = flags(&command);
    let alone = |word: &&String| word.starts_with("--") && word.len() > 2;
    match words.iter().take(1).find(alone) {
        Some(flag) if !known.contains(flag.as_str()) && !OTHERS_FLAGS.contains(&flag.as_str()) => {
            Err("no verb of rotakey has this flag".to_owned())
        }
        _ => Ok(()),
    }
}

fn definition() -> Command {
    let mut command = Arguments::command();
    command.build();
    command
}

fn flags(command: &Command) -> BTreeSet<String> {
    let own = command.get_arguments().filter_map(|argument| argument.get_long());
    let mut all: BTreeSet<_> = own.map(|name| format!("--{name}")).collect();
    for verb in command.get_subcommands() {
        all.extend(flags(verb));
    }
    all
}

/// The examples in the help of every verb.
pub fn examples() -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut left = vec![definition()];
    while let Some(command) = left.pop() {
        let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        for line in help.lines() {
            if let Some(at) = line.find("rotakey ") {
                // What stands before it is a word such as `Example:`, or a shell's.
                let from = line[..at].rfind(": ").map_or(0, |colon| colon + 2).min(at);
                found.push((command.get_name().to_owned(), line[from..].to_owned()));
            }
        }
        left.extend(command.get_subcommands().cloned());
    }
    found
}
