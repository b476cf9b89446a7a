//! The documents say what is true: their commands run, their flags and files exist, their examples are read by the real
//! parsers, their links lead somewhere.
//!
//! A block with commands says in a comment before it how it is run:
//!
//! ```text
//! <!-- run: added agent -->        in a fresh world where `deploy` was added, with an agent (tests/docs/stage.rs has the words)
//! <!-- run -->                     goes on where the document's block before it ended
//! <!-- not run: needs a desktop -->   only looked at; the reason is for people, and a file that it names must exist
//! ```
//!
//! Whatever is run or not: each `rotakey` line, in a block or in running text, is put to the command line's definition.
#![allow(missing_docs, unreachable_pub, reason = "a test")]
#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::disallowed_methods, reason = "a test")]

#[path = "docs/architecture.rs"]
mod architecture;
#[path = "docs/commands.rs"]
mod commands;
#[path = "docs/diagram.rs"]
mod diagram;
#[path = "docs/floors.rs"]
mod floors;
#[path = "docs/journal.rs"]
mod journal;
#[path = "docs/links.rs"]
mod links;
#[path = "docs/markdown.rs"]
mod markdown;
#[path = "docs/names.rs"]
mod names;
#[path = "docs/policies.rs"]
mod policies;
#[path = "docs/runs.rs"]
mod runs;
#[path = "docs/stage.rs"]
mod stage;
mod support;
#[path = "docs/tables.rs"]
mod tables;

use markdown::Document;

/// Documents whose blocks need no mark yet. Their commands are looked at all the same.
const UNMARKED: [&str; 5] = [
    "docs/proxy.md",
    "docs/clients.md",
    "docs/performance.md",
    "docs/reliability.md",
    "docs/metrics.md",
];

/// Fails with all complaints at once: whoever mends a document wants to see them together.
#[track_caller]
fn nothing_wrong(complaints: Vec<String>) {
    assert!(complaints.is_empty(), "\n  {}\n", complaints.join("\n  "));
}

#[test]
fn every_command_of_rotakey_is_one() {
    let mut complaints = Vec::new();
    let mut seen = 0;
    for document in Document::all() {
        for (line, text, whole) in document.code() {
            for words in commands::of_rotakey(text) {
                seen += 1;
                if let Err(why) = commands::parse(&words, whole) {
                    complaints.push(format!("{}:{line}: {text}: {why}", document.name));
                }
            }
            if !whole && let Err(why) = commands::fragment(text) {
                complaints.push(format!("{}:{line}: {text}: {why}", document.name));
            }
        }
    }
    for (verb, example) in commands::examples() {
        for words in commands::of_rotakey(&example) {
            seen += 1;
            if let Err(why) = commands::parse(&words, true) {
                complaints.push(format!("rotakey {verb} --help: {example}: {why}"));
            }
        }
    }
    println!("docs: {seen} commands looked at");
    assert!(seen > 100, "only {seen}: they are not found any more");
    nothing_wrong(complaints);
}

/// Nobody would notice a check that lets everything pass.
#[test]
fn a_wrong_command_is_found() {
    let wrong = |text: &str| {
        let words = commands::of_rotakey(text);
        words.iter().any(|words| commands::parse(words, true).is_err())
    };
    for text in [
        "rotakey rotat deploy",
        "rotakey rotate deploy --compromized",
        "rotakey rotate deploy --wait gone",
        "eval \"$(rotakey env deploy --form sh)\"",
        "sudo -u USER rotakey service instal",
        "rotakey export deploy | rotakey ad deploy",
        "rotakey exec deploy",
    ] {
        assert!(wrong(text), "{text}");
    }
    assert!(!wrong("rotakey rotate deploy --wait deleted   # rotakey nonsense"));
    assert!(commands::fragment("--compromized").is_err());
    assert!(commands::fragment("rotate --compromized").is_err());
    commands::fragment("resume --despite-use").unwrap();
}

#[test]
fn every_block_of_commands_says_how_it_is_run() {
    let mut complaints = Vec::new();
    for document in Document::all() {
        let needs = !UNMARKED.contains(&document.name.as_str());
        for block in document.blocks.iter().filter(|block| needs && block.has_commands()) {
            match &block.mark {
                None => complaints.push(format!(
                    "{}:{}: commands without a mark: <!-- run: … --> or <!-- not run: why -->",
                    document.name, block.line
                )),
                Some(mark) => complaints.extend(
                    runs::check_mark(mark)
                        .err()
                        .map(|why| format!("{}:{}: {why}", document.name, block.line)),
                ),
            }
        }
    }
    nothing_wrong(complaints);
}

#[test]
fn commands_that_are_to_be_run_run() {
    let only = std::env::var("ROTAKEY_DOCS").unwrap_or_default();
    let documents = Document::all();
    let documents = documents.iter().filter(|document| document.name.contains(&only));
    let (mut complaints, mut count) = (Vec::new(), 0);
    for document in documents {
        let (lines, wrong) = runs::run(document);
        count += lines;
        complaints.extend(wrong);
    }
    println!("docs: {count} commands run");
    nothing_wrong(complaints);
}

#[test]
fn links_lead_somewhere() {
    nothing_wrong(links::broken(&Document::all()));
}

#[test]
fn tables_are_whole() {
    nothing_wrong(tables::broken(&Document::all()));
}

#[test]
fn what_is_named_exists() {
    nothing_wrong(names::missing(&Document::all()));
}

#[test]
fn examples_of_configuration_are_read() {
    let (mut complaints, mut seen) = (Vec::new(), 0);
    for document in Document::all() {
        for block in &document.blocks {
            let Some(text) = block.configuration() else { continue };
            seen += 1;
            if let Err(error) = rotakey_agent::config::Config::parse(&text) {
                complaints.push(format!("{}:{}: {error}", document.name, block.line));
            }
        }
    }
    assert!(seen > 3, "only {seen}: they are not found any more");
    nothing_wrong(complaints);
}
