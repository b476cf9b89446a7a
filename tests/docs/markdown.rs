//! The documents, as pulldown-cmark reads them: blocks of code with the comment before each, code in running text, links.

use std::path::{Path, PathBuf};

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

use super::commands;

/// The root of the repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// One document.
pub struct Document {
    /// Its path from the root, with `/`.
    pub name: String,
    pub blocks: Vec<Block>,
    /// Code in running text, with its line.
    pub inline: Vec<(usize, String)>,
    /// Where it leads to, with its line.
    pub links: Vec<(usize, String)>,
    /// Texts of the headings.
    pub headings: Vec<String>,
}

/// A block of code.
pub struct Block {
    /// The line of its first line of code, counted from 1.
    pub line: usize,
    /// The first word behind the fence; empty if it is indented.
    pub language: String,
    pub text: String,
    /// The comment directly before it, without its brackets.
    pub mark: Option<String>,
}

impl Block {
    /// The commands in it, with their lines: all lines that begin with `$ ` if there are such, else those that begin with
    /// the name of a program that is known here.
    pub fn commands(&self) -> Vec<(usize, String)> {
        let lines = || self.text.lines().enumerate().map(|(n, line)| (self.line + n, line.trim()));
        let prompted: Vec<_> = lines()
            .filter_map(|(n, line)| Some((n, line.strip_prefix("$ ")?.to_owned())))
            .collect();
        if !prompted.is_empty() {
            return prompted;
        }
        let known = lines().filter(|(_, line)| commands::begins_a_command(line));
        known.map(|(n, line)| (n, line.to_owned())).collect()
    }

    pub fn has_commands(&self) -> bool {
        !self.commands().is_empty()
    }

    /// What of it is an example of config.toml, if anything: commands may follow, as blank lines do not end a block.
    pub fn configuration(&self) -> Option<String> {
        let first = self.text.lines().map(str::trim).find(|line| !line.is_empty())?;
        let ours = ["[agent]", "[store]", "[profile."];
        let lines = self.text.lines().take_while(|line| !commands::begins_a_command(line.trim()));
        let is_ours = ours.iter().any(|table| first.starts_with(table));
        is_ours.then(|| lines.map(|line| format!("{line}\n")).collect())
    }
}

impl Document {
    /// All of them, README.md first.
    pub fn all() -> Vec<Self> {
        let root = root();
        let mut names = Vec::new();
        for folder in ["", "docs", "docs/adr"] {
            for entry in std::fs::read_dir(root.join(folder)).unwrap() {
                let name = entry.unwrap().file_name().into_string().unwrap();
                if name.ends_with(".md") {
                    names.push(format!("{folder}/{name}").trim_start_matches('/').to_owned());
                }
            }
        }
        names.sort_by_key(|name| (name != "README.md", name.clone()));
        assert!(names.len() > 20, "{names:?}");
        let read = |name: String| {
            let text = std::fs::read_to_string(root.join(&name)).unwrap();
            Self::parse(name, &text)
        };
        names.into_iter().map(read).collect()
    }

    /// One of them.
    pub fn named(name: &str) -> Self {
        Self::all().into_iter().find(|document| document.name == name).unwrap()
    }

    /// Every piece of code with its line, and whether it is a whole command (a line of a block).
    pub fn code(&self) -> impl Iterator<Item = (usize, &str, bool)> {
        let lines = self.blocks.iter().flat_map(|block| {
            block.text.lines().enumerate().map(|(n, line)| (block.line + n, line, true))
        });
        lines.chain(self.inline.iter().map(|(line, text)| (*line, text.as_str(), false)))
    }

    fn parse(name: String, text: &str) -> Self {
        let mut document = Self {
            name,
            blocks: Vec::new(),
            inline: Vec::new(),
            links: Vec::new(),
            headings: Vec::new(),
        };
        let line_of = |at: usize| text[..at].matches('\n').count() + 1;
        let (mut mark, mut block, mut heading) = (None, None, None::<String>);
        let events = Parser::new_ext(text, Options::ENABLE_TABLES).into_offset_iter();
        for (event, range) in events {
            match event {
                Event::Html(html) => mark = comment(&html),
                Event::Start(Tag::HtmlBlock) | Event::End(TagEnd::HtmlBlock) => {}
                Event::Start(Tag::CodeBlock(kind)) => {
                    let (language, fence) = match kind {
                        CodeBlockKind::Fenced(info) => {
                            (info.split_whitespace().next().unwrap_or_default().to_owned(), 1)
                        }
                        CodeBlockKind::Indented => (String::new(), 0),
                    };
                    let line = line_of(range.start) + fence;
                    block = Some(Block { line, language, text: String::new(), mark: mark.take() });
                }
                Event::End(TagEnd::CodeBlock) => document.blocks.extend(block.take()),
                Event::Text(part) if block.is_some() => {
                    block.iter_mut().for_each(|block| block.text.push_str(&part));
                }
                Event::Start(Tag::Heading { .. }) => (heading, mark) = (Some(String::new()), None),
                Event::End(TagEnd::Heading(_)) => document.headings.extend(heading.take()),
                Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                    document.links.push((line_of(range.start), dest_url.into_string()));
                }
                Event::Text(part) => heading.iter_mut().for_each(|text| text.push_str(&part)),
                Event::Code(code) => {
                    heading.iter_mut().for_each(|text| text.push_str(&code));
                    document.inline.push((line_of(range.start), code.into_string()));
                }
                _ => mark = None,
            }
        }
        document
    }
}

/// What a comment says.
fn comment(html: &str) -> Option<String> {
    let text = html.trim().strip_prefix("<!--")?.strip_suffix("-->")?;
    Some(text.trim().to_owned())
}
