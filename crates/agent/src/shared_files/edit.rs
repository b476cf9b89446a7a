//! Changing a shared file: lines are taken out and lines are put in; every other byte stays.

use super::document::{Document, Facts, Property, Section};

/// The properties that make a long-term key.
pub const KEY: [&str; 2] = ["aws_access_key_id", "aws_secret_access_key"];

/// Lines that go, and lines that come, in one file.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// What goes.
    pub gone: Vec<Gone>,
    /// What comes.
    pub new: Vec<New>,
}

/// A line that goes.
#[derive(Clone, PartialEq, Eq)]
pub struct Gone {
    /// Its number, from 0.
    pub line: usize,
    /// The comment behind its value, which stays on a line of its own.
    pub comment: Option<Vec<u8>>,
}

/// A property that comes.
#[derive(Clone, PartialEq, Eq)]
pub struct New {
    place: Place,
    /// `name = value`.
    pub line: String,
}

#[derive(Clone, PartialEq, Eq)]
enum Place {
    /// Behind a line, as the last property of a section, indented so.
    In { section: usize, after: usize, indentation: Vec<u8> },
    /// In a section of its own, at the end of the file.
    Section(String),
}

impl New {
    /// The line (from 0) behind which it comes; `None` for the end of the file.
    pub fn after(&self) -> Option<usize> {
        match &self.place {
            Place::In { after, .. } => Some(*after),
            Place::Section(_) => None,
        }
    }

    /// The section that is made for it.
    pub fn section(&self) -> Option<&str> {
        match &self.place {
            Place::In { .. } => None,
            Place::Section(name) => Some(name),
        }
    }
}

/// An edit would change what the file says elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("its lines hang together in a way that an edit would break")]
pub struct Entangled;

impl Changes {
    /// Takes every property of a key out of a section.
    pub fn take_key(&mut self, section: &Section) {
        let is_key = |property: &&Property| KEY.contains(&property.name.as_str());
        for property in section.properties.iter().filter(is_key) {
            for line in property.lines.clone() {
                let comment = property.comment().filter(|_| line == property.lines.start);
                self.gone.push(Gone { line, comment: comment.map(<[u8]>::to_vec) });
            }
        }
    }

    /// Puts a property at the end of the section of that number, before the blanks and comments that stand behind it.
    pub fn append(&mut self, document: &Document<'_>, section: usize, line: &str) {
        let of = &document.sections[section];
        let after = of.properties.last().map_or(of.line, |last| last.lines.end - 1);
        // An indented header would become part of a property that is less indented than it.
        let next = document.next_content(after + 1).map(|next| document.indentation(next));
        let indentation = next.unwrap_or_default().to_vec();
        let place = Place::In { section, after, indentation };
        self.new.push(New { place, line: line.to_owned() });
    }

    /// Puts a property into a new section, at the end of the file.
    pub fn append_section(&mut self, name: &str, line: &str) {
        self.new.push(New { place: Place::Section(name.to_owned()), line: line.to_owned() });
    }

    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        self.gone.is_empty() && self.new.is_empty()
    }

    /// The file with the changes made.
    ///
    /// # Errors
    ///
    /// If readers would then see anything else changed than what was to be.
    pub fn apply(&self, document: &Document<'_>) -> Result<Vec<u8>, Entangled> {
        let end = document.line_end();
        let mut bytes = Vec::new();
        for (number, line) in document.lines.iter().enumerate() {
            match self.gone.iter().find(|gone| gone.line == number) {
                None => bytes.extend_from_slice(line),
                Some(Gone { comment: Some(comment), .. }) => {
                    bytes.extend_from_slice(comment);
                    bytes.extend_from_slice(line_end(line));
                }
                Some(_) => {}
            }
            for new in &self.new {
                if let Place::In { after, indentation, .. } = &new.place
                    && *after == number
                {
                    put(&mut bytes, &[indentation, new.line.as_bytes()], end);
                }
            }
        }
        for new in &self.new {
            if let Place::Section(name) = &new.place {
                if !bytes.is_empty() {
                    put(&mut bytes, &[], end);
                }
                put(&mut bytes, &[b"[", name.as_bytes(), b"]"], end);
                put(&mut bytes, &[new.line.as_bytes()], end);
            }
        }
        let found = Document::parse(&bytes).facts();
        if found == self.expected(document) { Ok(bytes) } else { Err(Entangled) }
    }

    /// What readers are to find: what they found before, less what goes, and what comes.
    fn expected(&self, before: &Document<'_>) -> Facts {
        let mut facts = before.facts();
        for (_, properties) in &mut facts.sections {
            properties.retain(|(line, _)| !self.gone.iter().any(|gone| gone.line == *line));
        }
        for New { place, line } in &self.new {
            let property = (0, line.clone().into_bytes().into());
            match place {
                Place::In { section, .. } => facts.sections[*section].1.push(property),
                Place::Section(name) => {
                    facts.sections.push((name.clone().into_bytes(), vec![property]));
                }
            }
        }
        facts
    }
}

/// A line at the end of what there is so far, which may lack its own end.
fn put(bytes: &mut Vec<u8>, parts: &[&[u8]], end: &[u8]) {
    if !bytes.is_empty() && !bytes.ends_with(b"\n") {
        bytes.extend_from_slice(end);
    }
    bytes.extend_from_slice(&parts.concat());
    bytes.extend_from_slice(end);
}

fn line_end(line: &[u8]) -> &[u8] {
    let text = line.strip_suffix(b"\n").unwrap_or(line);
    &line[text.strip_suffix(b"\r").unwrap_or(text).len()..]
}
