//! The journal as bytes: a header line, then `<16 hex digits> <json>` lines.
//!
//! The digits are the first eight bytes of SHA-256 over the previous line's digits and this line's JSON:
//! checksum and chain in one, so that a changed, dropped or moved line shows.

use sha2::{Digest, Sha256};

use crate::journal::Entry;

/// The first line of every journal.
pub const HEADER: &str = "rotakey-journal 1";

/// The running checksum: what the next line is chained to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain(String);

impl Default for Chain {
    fn default() -> Self {
        Self(HEADER.to_owned())
    }
}

impl Chain {
    /// The line of an entry, newline included, and the chain after it.
    pub fn encode(&self, entry: &Entry) -> (String, Chain) {
        let json =
            serde_json::to_string(entry).expect("entries are plain data, which JSON can hold");
        let digits = self.digits(&json);
        (format!("{digits} {json}\n"), Chain(digits))
    }

    fn digits(&self, json: &str) -> String {
        let mut hash = Sha256::new();
        hash.update(self.0.as_bytes());
        hash.update(json.as_bytes());
        hex::encode(&hash.finalize()[..8])
    }
}

/// How the bytes end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tail {
    /// The chain after the last whole line.
    pub chain: Chain,
    /// Where the last whole line ends, in bytes; what stands behind was torn by a crash, and is cut
    /// before the next append.
    pub whole: usize,
}

/// Why bytes are not a journal.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// Another format, probably of a newer rotakey.
    #[error("its first line is {found:?}, not {HEADER:?}: it was written by another version")]
    Version {
        /// The first line.
        found: String,
    },
    /// A line whose checksum does not fit it and the lines before.
    #[error("line {line} is damaged: {why}")]
    Line {
        /// Counted from 1, the header included.
        line: usize,
        /// What is wrong with it.
        why: String,
    },
}

/// Reads a whole journal. A last line that a crash tore is left out; any other damage is an error.
pub fn decode(bytes: &[u8]) -> Result<(Vec<Entry>, Tail), Damage> {
    let mut entries = Vec::new();
    let mut tail = Tail { chain: Chain::default(), whole: 0 };
    let mut rest = bytes;
    let mut number = 0;
    while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
        number += 1;
        let (line, after) = (&rest[..end], &rest[end + 1..]);
        // A page of a torn append that never reached the disk reads as zeros.
        if after.is_empty() && line.contains(&0) {
            break;
        }
        if number == 1 {
            if line != HEADER.as_bytes() {
                let found = String::from_utf8_lossy(&line[..line.len().min(80)]).into_owned();
                return Err(Damage::Version { found });
            }
        } else {
            let (entry, chain) =
                decode_line(line, &tail.chain).map_err(|why| Damage::Line { line: number, why })?;
            entries.push(entry);
            tail.chain = chain;
        }
        tail.whole += end + 1;
        rest = after;
    }
    if number == 0 && !HEADER.as_bytes().starts_with(rest) && !rest.contains(&0) {
        let found = String::from_utf8_lossy(&rest[..rest.len().min(80)]).into_owned();
        return Err(Damage::Version { found });
    }
    Ok((entries, tail))
}

fn decode_line(line: &[u8], chain: &Chain) -> Result<(Entry, Chain), String> {
    let text = std::str::from_utf8(line).map_err(|_| "it is not UTF-8".to_owned())?;
    let (digits, json) = text.split_once(' ').ok_or("it has no checksum")?;
    if digits != chain.digits(json) {
        return Err("its checksum does not fit".to_owned());
    }
    let entry = serde_json::from_str(json)
        .map_err(|error| format!("it says what this version does not know ({error})"))?;
    Ok((entry, Chain(digits.to_owned())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::{Reason, Record};

    fn sample(lines: usize) -> (Vec<Entry>, Vec<u8>) {
        let mut bytes = format!("{HEADER}\n").into_bytes();
        let mut chain = Chain::default();
        let mut entries = Vec::new();
        for n in 0..lines {
            let record = if n % 2 == 0 {
                Record::Begun { reason: Reason::Forced }
            } else {
                Record::Abandoned { why: format!("number {n}") }
            };
            let time = jiff::Timestamp::from_second(1_700_000_000 + n as i64).expect("in range");
            let entry = Entry { time, rotation: None, record };
            let (line, next) = chain.encode(&entry);
            bytes.extend_from_slice(line.as_bytes());
            chain = next;
            entries.push(entry);
        }
        (entries, bytes)
    }

    /// Cut at any byte, a journal reads as a prefix of itself, and never as an error.
    #[test]
    fn a_torn_journal_reads_as_its_whole_lines() {
        let (entries, bytes) = sample(8);
        for cut in 0..=bytes.len() {
            let (read, tail) = decode(&bytes[..cut]).expect("a prefix is readable");
            assert!(entries.starts_with(&read), "cut at {cut}");
            assert!(tail.whole <= cut);
            assert_eq!(decode(&bytes[..tail.whole]).expect("whole").0, read);
        }
    }

    /// A changed bit anywhere is noticed, except in a last line that could have been torn.
    #[test]
    fn a_changed_bit_is_noticed() {
        let (entries, bytes) = sample(8);
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut changed = bytes.clone();
                changed[at] ^= 1 << bit;
                if let Ok((read, _)) = decode(&changed) {
                    assert!(read.len() < entries.len() && entries.starts_with(&read), "byte {at}");
                }
            }
        }
    }

    #[test]
    fn a_dropped_line_is_noticed() {
        let (_, bytes) = sample(5);
        let text = String::from_utf8(bytes).expect("text");
        let lines: Vec<&str> = text.lines().collect();
        let without: String = lines
            .iter()
            .enumerate()
            .filter(|(n, _)| *n != 2)
            .map(|(_, l)| format!("{l}\n"))
            .collect();
        assert!(matches!(decode(without.as_bytes()), Err(Damage::Line { line: 3, .. })));
    }

    #[test]
    fn a_newer_journal_is_refused_by_name() {
        let error = decode(b"rotakey-journal 2\n").expect_err("newer");
        assert!(error.to_string().contains("rotakey-journal 2"));
    }

    #[test]
    fn a_whole_journal_reads_as_all_its_lines_and_can_be_continued() {
        let (entries, mut bytes) = sample(8);
        let (read, tail) = decode(&bytes).expect("whole");
        assert_eq!((&read, tail.whole), (&entries, bytes.len()));
        let (line, _) = tail.chain.encode(&entries[0]);
        bytes.extend_from_slice(line.as_bytes());
        assert_eq!(decode(&bytes).expect("continued").0.len(), 9);
    }

    /// A page that never reached the disk reads as zeros.
    #[test]
    fn zeros_are_a_tear_at_the_end_and_damage_before_it() {
        let (entries, bytes) = sample(3);
        for torn in [&b"\0\0\0\0"[..], &b"0123\0\0\n"[..], &b"\0\n"[..], &b"0123"[..]] {
            let (read, tail) = decode(&[&bytes, torn].concat()).expect("torn");
            assert_eq!((&read, tail.whole), (&entries, bytes.len()), "{torn:?}");
        }
        let (more, _) = Chain::default().encode(&entries[0]);
        let buried = [&bytes, &b"0123\0\0\n"[..], more.as_bytes()].concat();
        assert!(matches!(decode(&buried), Err(Damage::Line { line: 5, .. })));
    }

    #[test]
    fn a_first_line_is_a_beginning_of_ours_or_torn_or_of_another_version() {
        for ours in [&b""[..], &b"rotakey-jour"[..], HEADER.as_bytes(), &b"rota\0\0"[..]] {
            assert_eq!(decode(ours).expect("torn").1.whole, 0, "{ours:?}");
        }
        for other in [&b"rotakey-journal 2"[..], &b"something else"[..], &b"else\n"[..]] {
            assert!(matches!(decode(other), Err(Damage::Version { .. })), "{other:?}");
        }
    }
}
