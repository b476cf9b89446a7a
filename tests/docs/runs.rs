//! Runs the commands of a document, block by block, in the order in which they stand.

use super::markdown::{Document, root};
use super::stage::{Stage, Words};

/// What no test runs, wherever it stands: these change the machine, or are suites of their own. Their targets, tests and
/// paths are looked at by `names`, and the rotakey that sudo would run by `commands`.
const NOT_HERE: [&str; 11] = [
    "make",
    "cargo",
    "bash",
    "sudo",
    "systemctl",
    "loginctl",
    "apt",
    "apt-get",
    "dpkg",
    "git",
    "crontab",
];

/// Whether a mark can be understood.
pub fn check_mark(mark: &str) -> Result<(), String> {
    if let Some(words) = run_words(mark) {
        return Words::parse(words).map(drop);
    }
    let reason = mark.strip_prefix("not run:").ok_or(format!("{mark}: neither run nor not run"))?;
    if reason.trim().len() < 10 {
        return Err("say why it is not run".to_owned());
    }
    for word in reason.split_whitespace() {
        let word = word.trim_end_matches([',', ';', '.', ')']).trim_start_matches('(');
        let is_file = word.starts_with("tests/") || word.starts_with(".ci/");
        if is_file && !root().join(word).exists() {
            return Err(format!("{word}: there is no such file"));
        }
    }
    Ok(())
}

/// The words of a mark that says that it is run.
fn run_words(mark: &str) -> Option<&str> {
    match mark {
        "run" => Some(""),
        _ => mark.strip_prefix("run:"),
    }
}

/// How many commands were run, and what is wrong.
pub fn run(document: &Document) -> (usize, Vec<String>) {
    let mut stage: Option<Stage> = None;
    let (mut count, mut complaints) = (0, Vec::new());
    for block in &document.blocks {
        let Some(words) = block.mark.as_deref().and_then(run_words) else { continue };
        let at = |line: usize| format!("{}:{line}", document.name);
        let words = match Words::parse(words) {
            Ok(words) => words,
            Err(why) => {
                complaints.push(format!("{}: {why}", at(block.line)));
                continue;
            }
        };
        if words.fresh.is_some() || stage.is_none() {
            drop(stage.take());
            stage = Some(Stage::new(&words));
        }
        let stage = stage.as_mut().unwrap();
        stage.take(&words);
        let commands = block.commands();
        let mut here = 0;
        if block.language == "python" {
            here += 1;
            complaints
                .extend(stage.python(&block.text).map(|why| format!("{}: {why}", at(block.line))));
        }
        for (n, (line, command)) in commands.iter().enumerate() {
            let is_last = n + 1 == commands.len();
            let matches = |of: Option<usize>| of.map_or(is_last, |number| number == n + 1);
            let exit = words.exits.iter().find(|(of, _)| matches(*of)).map_or(0, |(_, exit)| *exit);
            match run_one(stage, command, exit) {
                None => {}
                Some(Ok(())) => here += 1,
                Some(Err(why)) => complaints.push(format!("{}: {command}\n    {why}", at(*line))),
            }
        }
        if here == 0 && complaints.is_empty() {
            complaints.push(format!("{}: nothing of it is run here", at(block.line)));
        }
        count += here;
    }
    (count, complaints)
}

/// Runs a line; `None` if no test runs it.
fn run_one(stage: &mut Stage, command: &str, exit: i32) -> Option<Result<(), String>> {
    let first = command.split_whitespace().next().unwrap_or_default();
    if NOT_HERE.contains(&first) {
        return None;
    }
    let command = command.split("   #").next().unwrap_or_default().trim();
    // tests/service.rs installs the units under a real user manager; here the agent that they would start is started.
    let mut line = stage.filled(command);
    if command == "rotakey service install" {
        line.push_str(" --print");
        stage.start_agent();
    }
    if command == "rotakey agent" {
        stage.start_agent();
        return Some(Ok(()));
    }
    let run = if line.contains("--watch") { stage.watch(&line) } else { stage.shell(&line) };
    let fits = run.code == exit && !run.stderr.contains("panicked");
    if std::env::var_os("ROTAKEY_DOCS").is_some() {
        println!("$ {line}\n{}{}", run.stdout, run.stderr);
    }
    Some(match fits {
        true => Ok(()),
        false => Err(format!("exit code {}, not {exit}: {}{}", run.code, run.stdout, run.stderr)),
    })
}
