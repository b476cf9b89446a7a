//! An AWS shared file as lines: sections and properties with the lines they stand on. Nothing is decoded; whatever is
//! not understood is a line like any other.
//!
//! The grammar is that of Python's `configparser`, which botocore and the AWS CLI read with, made lenient: sections and
//! properties may come twice, as the other SDKs have it, and what is no property is passed over.

use std::ops::Range;

use zeroize::Zeroizing;

const BOM: &[u8] = b"\xef\xbb\xbf";

/// A file, cut into lines.
#[derive(Clone)]
pub struct Document<'a> {
    /// The lines, each with its end of line.
    pub lines: Vec<&'a [u8]>,
    /// The sections, in order.
    pub sections: Vec<Section>,
    /// Lines (from 0) that are no comment, no header and no property: the AWS CLI refuses the whole file.
    pub odd: Vec<usize>,
}

/// A section. One name may have several.
#[derive(Clone, PartialEq, Eq)]
pub struct Section {
    /// What stands between the brackets.
    pub name: Vec<u8>,
    /// The header's line, from 0.
    pub line: usize,
    /// Its properties, in order.
    pub properties: Vec<Property>,
}

/// A property.
#[derive(Clone, PartialEq, Eq)]
pub struct Property {
    /// Its name, in lower case.
    pub name: String,
    /// What stands behind the `=` on its first line, without blanks around it.
    pub value: Zeroizing<Vec<u8>>,
    /// Its lines, from 0: more than one if it goes on below, as sub-settings do.
    pub lines: Range<usize>,
}

/// A property as it stands, less indentation, and the line (from 0) it begins on, which counts for nothing when files are
/// compared.
pub type Fact = (usize, Zeroizing<Vec<u8>>);

/// What readers find in a file: sections by name, with their properties.
#[derive(Clone)]
pub struct Facts {
    /// The sections.
    pub sections: Vec<(Vec<u8>, Vec<Fact>)>,
    /// The lines that are nothing.
    pub odd: Vec<Vec<u8>>,
}

impl PartialEq for Facts {
    fn eq(&self, other: &Self) -> bool {
        let plain = |facts: &Self| {
            let sections = facts.sections.iter().map(|(name, properties)| {
                (name.clone(), properties.iter().map(|(_, bytes)| bytes.clone()).collect())
            });
            sections.collect::<Vec<(_, Vec<_>)>>()
        };
        self.odd == other.odd && plain(self) == plain(other)
    }
}

impl<'a> Document<'a> {
    /// Cuts a file.
    pub fn parse(bytes: &'a [u8]) -> Self {
        let mut document = Self { lines: lines(bytes), sections: Vec::new(), odd: Vec::new() };
        let mut indent = 0;
        // A property that an indented line goes on with.
        let mut is_open = false;
        for number in 0..document.lines.len() {
            let line = document.line(number);
            let text = line.trim_ascii();
            if is_comment(text) || text.is_empty() {
                continue;
            }
            let depth = line.len() - line.trim_ascii_start().len();
            let last = document.sections.last_mut().and_then(|s| s.properties.last_mut());
            if let Some(open) = last.filter(|_| is_open && depth > indent) {
                open.lines.end = number + 1;
                continue;
            }
            indent = depth;
            is_open = false;
            if let Some(name) = header(text) {
                let section = Section { name, line: number, properties: Vec::new() };
                document.sections.push(section);
            } else if let (Some((name, value)), Some(section)) =
                (property(text), document.sections.last_mut())
            {
                let lines = number..number + 1;
                let value = Zeroizing::new(value);
                section.properties.push(Property { name, value, lines });
                is_open = true;
            } else {
                document.odd.push(number);
            }
        }
        document
    }

    /// A line without its end, nor the byte order mark that a file may begin with.
    pub fn line(&self, number: usize) -> &'a [u8] {
        let line = self.lines[number];
        let line = if number == 0 { line.strip_prefix(BOM).unwrap_or(line) } else { line };
        line.strip_suffix(b"\n").map_or(line, |line| line.strip_suffix(b"\r").unwrap_or(line))
    }

    /// How lines end here: as the first one does, or `\n`.
    pub fn line_end(&self) -> &'static [u8] {
        match self.lines.first() {
            Some(first) if first.ends_with(b"\r\n") => b"\r\n",
            _ => b"\n",
        }
    }

    /// How far a line is indented, as bytes.
    pub fn indentation(&self, number: usize) -> &'a [u8] {
        let line = self.line(number);
        &line[..line.len() - line.trim_ascii_start().len()]
    }

    /// The next line from here on that is neither empty nor a comment.
    pub fn next_content(&self, from: usize) -> Option<usize> {
        (from..self.lines.len()).find(|number| {
            let text = self.line(*number).trim_ascii();
            !text.is_empty() && !is_comment(text)
        })
    }

    /// A sub-setting of a property: `name = value` on an indented line below it.
    pub fn nested(&self, of: &Property, name: &str) -> Option<String> {
        let lines = of.lines.clone().skip(1).map(|number| self.line(number).trim_ascii());
        let found = lines.filter_map(property).rfind(|(found, _)| found == name);
        let value = String::from_utf8(found?.1).ok()?;
        (!value.is_empty()).then_some(value)
    }

    /// What readers find in it.
    pub fn facts(&self) -> Facts {
        let bytes = |lines: Range<usize>| {
            let lines = lines.map(|number| self.line(number).trim_ascii());
            Zeroizing::new(lines.collect::<Vec<_>>().join(&b'\n'))
        };
        let property = |p: &Property| (p.lines.start, bytes(p.lines.clone()));
        let sections = self.sections.iter().map(|section| {
            (section.name.clone(), section.properties.iter().map(property).collect())
        });
        let odd = self.odd.iter().map(|number| self.line(*number).to_vec());
        Facts { sections: sections.collect(), odd: odd.collect() }
    }
}

impl Property {
    /// The value as text, without a comment behind it: the SDKs other than botocore cut that off. `None` if it goes
    /// over several lines, or is not UTF-8.
    pub fn text(&self) -> Option<&str> {
        let end = self.comment_at().unwrap_or(self.value.len());
        let value = std::str::from_utf8(&self.value[..end]).ok()?;
        (self.lines.len() == 1).then(|| value.trim())
    }

    /// The comment behind the value, from its `#` or `;` on.
    pub fn comment(&self) -> Option<&[u8]> {
        self.comment_at().map(|at| self.value[at..].trim_ascii_start())
    }

    fn comment_at(&self) -> Option<usize> {
        let blank = |byte: u8| byte == b' ' || byte == b'\t';
        self.value.windows(2).position(|two| blank(two[0]) && matches!(two[1], b'#' | b';'))
    }
}

/// The lines of a file. Together they are the file. `\r` alone ends none: what old files had is not worth a line that
/// readers see differently.
fn lines(bytes: &[u8]) -> Vec<&[u8]> {
    bytes.split_inclusive(|byte| *byte == b'\n').collect()
}

fn is_comment(text: &[u8]) -> bool {
    matches!(text.first(), Some(b'#' | b';'))
}

/// `[name]`, and whatever stands behind it.
fn header(text: &[u8]) -> Option<Vec<u8>> {
    let inside = text.strip_prefix(b"[")?;
    let end = inside.iter().rposition(|byte| *byte == b']')?;
    (end > 0).then(|| inside[..end].to_vec())
}

/// `name = value`; configparser takes `:` for `=` as well.
fn property(text: &[u8]) -> Option<(String, Vec<u8>)> {
    let at = text.iter().position(|byte| matches!(byte, b'=' | b':'))?;
    let name = text[..at].trim_ascii();
    let name = String::from_utf8_lossy(name).to_ascii_lowercase();
    (!name.is_empty()).then(|| (name, text[at + 1..].trim_ascii().to_vec()))
}
