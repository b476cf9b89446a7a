//! Finds ids in bytes: whether there is one, quickly; then where, and whether a secret stands beside it.

mod stream;

use std::io::{self, Read};
use std::ops::Range;

use aho_corasick::{AhoCorasick, MatchKind};
use data_encoding::{BASE64, BASE64_NOPAD};
use zeroize::Zeroizing;

use super::wanted::Wanted;

/// Bytes read at a time.
pub(super) const CHUNK: usize = 256 * 1024;

/// A NUL among so many first bytes makes a file a binary one, as git has it.
const BINARY_WITHIN: usize = 8192;

/// No more places are told of one file.
const PLACES_MAX: usize = 50;

/// So many lines above and below an id, and no more bytes than that, may hold its secret.
const LINES_BESIDE: usize = 6;
const BYTES_BESIDE: usize = 2048;

/// The length of AWS's secret access keys.
const SECRET: usize = 40;

/// What is looked for.
pub(super) struct Finder {
    automaton: AhoCorasick,
    /// For each pattern, which id it stands for.
    forms: Vec<Form>,
    longest: usize,
    /// The ids.
    pub(super) wanted: Vec<Wanted>,
}

#[derive(Clone, Copy)]
struct Form {
    wanted: usize,
    base64: bool,
}

/// What a first look at a file came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// Nothing.
    Clean,
    /// No text.
    Binary,
    /// An id may be there; or it is text in UTF-16, which is looked at once more.
    Hit,
}

/// Where an id stands in a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hit {
    pub(super) wanted: usize,
    /// Counted from one.
    pub(super) line: usize,
    /// Which line a secret seems to stand in, if one does.
    pub(super) secret_line: Option<usize>,
    /// It is written in Base64.
    pub(super) base64: bool,
}

/// The places in one text.
#[derive(Debug)]
pub(super) struct Places {
    pub(super) hits: Vec<Hit>,
    /// How many more there are than are told.
    pub(super) more: usize,
    /// In which line the part that was looked through ends.
    line: usize,
}

impl Default for Places {
    fn default() -> Self {
        Self { hits: Vec::new(), more: 0, line: 1 }
    }
}

impl Finder {
    /// Looks for these ids.
    pub(super) fn new(wanted: Vec<Wanted>) -> Result<Self, aho_corasick::BuildError> {
        let (mut patterns, mut forms) = (Vec::new(), Vec::new());
        for (number, key) in wanted.iter().enumerate() {
            patterns.push(key.id.clone());
            forms.push(Form { wanted: number, base64: false });
            // Whole groups of three bytes come out the same whatever follows them (`id:secret` in Docker's files).
            let whole = key.id.len() / 3 * 3;
            if whole >= 15 {
                patterns.push(BASE64.encode(&key.id.as_bytes()[..whole]));
                forms.push(Form { wanted: number, base64: true });
            }
        }
        let automaton =
            AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(&patterns)?;
        let longest = patterns.iter().map(String::len).max().unwrap_or_default();
        Ok(Self { automaton, forms, longest, wanted })
    }

    /// Whether a file is worth a second look. Reads until it finds something, and answers how much it read.
    pub(super) fn look(&self, mut file: impl Read, buffer: &mut [u8]) -> io::Result<(Look, usize)> {
        let (mut kept, mut total) = (0, 0);
        loop {
            let read = match file.read(&mut buffer[kept..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                other => other?,
            };
            let text = &buffer[..kept + read];
            if total == 0 {
                if is_utf16(text) {
                    return Ok((Look::Hit, read));
                }
                if memchr::memchr(0, &text[..text.len().min(BINARY_WITHIN)]).is_some() {
                    return Ok((Look::Binary, read));
                }
            }
            total += read;
            if read == 0 {
                return Ok((Look::Clean, total));
            }
            if self.automaton.is_match(text) {
                return Ok((Look::Hit, total));
            }
            // An id may lie across two reads.
            let keep = text.len().min(self.longest - 1);
            let from = text.len() - keep;
            buffer.copy_within(from..from + keep, 0);
            kept = keep;
        }
    }

    /// Where the ids stand in a text.
    pub(super) fn places(&self, text: &[u8]) -> Places {
        let mut places = Places::default();
        self.places_between(text, 0..text.len(), &mut places);
        places
    }

    /// The same for those that begin in a part of it. What was found before in the same file ended where this part begins.
    fn places_between(&self, text: &[u8], part: Range<usize>, places: &mut Places) {
        let mut counted = part.start;
        for found in self.automaton.find_iter(text) {
            let form = self.forms[found.pattern().as_usize()];
            let is_hit = form.base64 || is_whole(text, found.start(), found.end());
            if !part.contains(&found.start()) || !is_hit {
                continue;
            }
            places.line += memchr::memchr_iter(b'\n', &text[counted..found.start()]).count();
            counted = found.start();
            let line = places.line;
            let again = |hit: &Hit| (hit.line, hit.wanted) == (line, form.wanted);
            if places.hits.last().is_some_and(again) {
                continue;
            }
            if places.hits.len() == PLACES_MAX {
                places.more += 1;
                continue;
            }
            let secret_line = if form.base64 {
                holds_secret_within(text, found.start()).then_some(line)
            } else {
                secret_beside(text, found.start(), line)
            };
            let hit = Hit { wanted: form.wanted, line, secret_line, base64: form.base64 };
            places.hits.push(hit);
        }
        places.line += memchr::memchr_iter(b'\n', &text[counted..part.end]).count();
    }
}

/// Neither a part of a longer word nor, in JSON say, preceded by an escape such as `\n`.
fn is_whole(text: &[u8], start: usize, end: usize) -> bool {
    let word = |at: Option<&u8>| at.is_some_and(|c| c.is_ascii_alphanumeric() || *c == b'_');
    let before = start.checked_sub(1);
    let escaped = start.checked_sub(2).is_some_and(|at| text[at] == b'\\');
    (escaped || !word(before.and_then(|at| text.get(at)))) && !word(text.get(end))
}

/// The nearest line that seems to hold a secret.
fn secret_beside(text: &[u8], at: usize, line: usize) -> Option<usize> {
    let begin = at.saturating_sub(BYTES_BESIDE);
    let above = &text[begin..at];
    let mut from = begin;
    if let Some(newline) = memchr::memrchr_iter(b'\n', above).nth(LINES_BESIDE) {
        from = begin + newline + 1;
    }
    let below = &text[at..text.len().min(at + BYTES_BESIDE)];
    let end = memchr::memchr_iter(b'\n', below).nth(LINES_BESIDE);
    let to = at + end.unwrap_or(below.len());
    let first = line - memchr::memchr_iter(b'\n', &text[from..at]).count();
    let lines = text[from..to].split(|c| *c == b'\n').enumerate();
    let secrets = lines.filter(|(_, text)| holds_secret(text)).map(|(n, _)| first + n);
    secrets.min_by_key(|number| number.abs_diff(line))
}

/// Whether a line holds what looks like a secret access key: 40 characters as AWS makes them, or a value of something that is
/// called a secret.
pub(super) fn holds_secret(line: &[u8]) -> bool {
    let in_secret = |c: &u8| c.is_ascii_alphanumeric() || matches!(c, b'/' | b'+');
    let made_by_aws = line.split(|c| !in_secret(c)).any(|run| {
        run.len() == SECRET
            && run.iter().any(u8::is_ascii_uppercase)
            && run.iter().any(u8::is_ascii_lowercase)
            && run.iter().any(|c| c.is_ascii_digit() || matches!(c, b'/' | b'+'))
    });
    made_by_aws || named_secret(line)
}

/// `…secret…`, then `=`, `:`, `>` or a blank, then a value.
fn named_secret(line: &[u8]) -> bool {
    let lower = Zeroizing::new(line.to_ascii_lowercase());
    memchr::memmem::find_iter(&lower, b"secret").any(|at| {
        let rest = &lower[at..];
        let is_sign = |c: &u8| matches!(c, b'=' | b':' | b'>' | b' ');
        let Some(sign) = rest.iter().take(40).position(is_sign) else { return false };
        let opening = |c: &&u8| matches!(c, b'=' | b':' | b'>' | b' ' | b'"' | b'\'');
        let value = rest[sign..].iter().skip_while(opening);
        value.take_while(|c| c.is_ascii_alphanumeric() || b"/+=_-".contains(c)).count() >= 16
    })
}

/// Whether the Base64 that begins here hides a secret, too.
fn holds_secret_within(text: &[u8], at: usize) -> bool {
    let run = text[at..].iter().take_while(|c| c.is_ascii_alphanumeric() || b"/+".contains(c));
    let length = run.take(BYTES_BESIDE).count();
    let decoded = BASE64_NOPAD.decode(&text[at..at + length]);
    decoded.is_ok_and(|bytes| holds_secret(&Zeroizing::new(bytes)))
}

fn is_utf16(text: &[u8]) -> bool {
    text.starts_with(&[0xff, 0xfe]) || text.starts_with(&[0xfe, 0xff])
}

fn from_utf16(text: &[u8], little: bool) -> Zeroizing<String> {
    let units = text.chunks_exact(2).map(|pair| {
        let pair = [pair[0], pair[1]];
        if little { u16::from_le_bytes(pair) } else { u16::from_be_bytes(pair) }
    });
    let decoded = char::decode_utf16(units).map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER));
    let mut whole = Zeroizing::new(String::with_capacity(text.len() / 2 * 3));
    whole.extend(decoded);
    whole
}

#[cfg(test)]
mod tests;
