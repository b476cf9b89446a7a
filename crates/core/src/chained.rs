//! Lines of JSON, each chained to the one before: the audit trail as bytes.
//!
//! A line is one flat JSON object whose last two members are `n`, which counts lines from 1, and `chain`: SHA-256, in
//! hexadecimal, over the previous line's `chain` and over this line's own bytes before `,"chain":`. A line that was
//! changed, dropped, moved or put in shows. That lines are missing at the end does not: for that, the last `n` and
//! `chain` have to be known from elsewhere.

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

/// What the first line is chained to.
const BEGINNING: &str = "rotakey-audit 1";

const MARK: &str = ",\"chain\":\"";

/// The end of a chain: what the next line is chained to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// How many lines there are.
    pub n: u64,
    /// The last one's digest.
    pub chain: String,
}

impl Default for Link {
    fn default() -> Self {
        Self { n: 0, chain: BEGINNING.to_owned() }
    }
}

/// How the bytes end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tail {
    /// After the last whole line.
    pub link: Link,
    /// Where the last whole line ends, in bytes; what stands behind was torn by a crash.
    pub whole: usize,
}

/// A line that does not fit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {why}")]
pub struct Damage {
    /// Counted from 1, in this file.
    pub line: usize,
    /// What is wrong with it.
    pub why: String,
}

impl Link {
    /// The line of some members, newline included, and the chain after it.
    pub fn encode(&self, members: &Map<String, Value>) -> (String, Link) {
        let mut body = Value::Object(members.clone()).to_string();
        body.pop();
        let n = self.n + 1;
        let comma = if members.is_empty() { "" } else { "," };
        body.push_str(&format!("{comma}\"n\":{n}"));
        let chain = self.digest(&body);
        (format!("{body}{MARK}{chain}\"}}\n"), Link { n, chain })
    }

    fn digest(&self, body: &str) -> String {
        let mut hash = Sha256::new();
        hash.update(self.chain.as_bytes());
        hash.update(body.as_bytes());
        hex::encode(hash.finalize())
    }

    /// Reads one line, without its newline.
    pub fn decode(&self, line: &[u8]) -> Result<(Map<String, Value>, Link), String> {
        let text = std::str::from_utf8(line).map_err(|_| "it is not UTF-8".to_owned())?;
        let (body, rest) = text.rsplit_once(MARK).ok_or("it has no chain")?;
        let chain = rest.strip_suffix("\"}").ok_or("it does not end with its chain")?;
        let value: Map<String, Value> = serde_json::from_str(text)
            .map_err(|error| format!("it is no JSON object ({error})"))?;
        let n = value.get("n").and_then(Value::as_u64).ok_or("it has no number")?;
        if n != self.n + 1 {
            return Err(format!("it is number {n}, and number {} is missing", self.n + 1));
        }
        if chain != self.digest(body) {
            return Err("it was changed, or does not follow the line before it".to_owned());
        }
        Ok((value, Link { n, chain: chain.to_owned() }))
    }
}

/// Reads a whole file that goes on from `link`. A last line that a crash tore is left out; any other damage is an error.
pub fn decode(bytes: &[u8], link: Link) -> Result<(Vec<Map<String, Value>>, Tail), Damage> {
    let mut tail = Tail { link, whole: 0 };
    let (mut lines, mut rest) = (Vec::new(), bytes);
    while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
        let (line, after) = (&rest[..end], &rest[end + 1..]);
        // A page of a torn append that never reached the disk reads as zeros.
        if after.is_empty() && line.contains(&0) {
            break;
        }
        let number = lines.len() + 1;
        let decoded = tail.link.decode(line);
        let (value, link) = decoded.map_err(|why| Damage { line: number, why })?;
        lines.push(value);
        tail = Tail { link, whole: tail.whole + end + 1 };
        rest = after;
    }
    Ok((lines, tail))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn sample(lines: usize) -> (Vec<u8>, Vec<Link>) {
        let (mut bytes, mut links) = (Vec::new(), vec![Link::default()]);
        for n in 0..lines {
            let value = json!({"act": "export", "detail": format!("a \"quoted\" {MARK} {n}")});
            let Value::Object(members) = value else { unreachable!() };
            let (line, link) = links[n].encode(&members);
            bytes.extend_from_slice(line.as_bytes());
            links.push(link);
        }
        (bytes, links)
    }

    #[test]
    fn whole_lines_are_read_and_go_on() {
        let (bytes, links) = sample(5);
        let (lines, tail) = decode(&bytes, Link::default()).expect("whole");
        assert_eq!((lines.len(), tail.whole), (5, bytes.len()));
        assert_eq!(Some(&tail.link), links.last());
        assert_eq!(lines[4]["n"], 5);
        assert!(
            serde_json::from_slice::<Value>(bytes.split(|b| *b == b'\n').next().expect("one"))
                .is_ok()
        );
        // A file that begins in the middle is read from there.
        let second = bytes.iter().position(|byte| *byte == b'\n').expect("a line") + 1;
        assert_eq!(decode(&bytes[second..], links[1].clone()).expect("whole").0.len(), 4);
        assert!(decode(&bytes[second..], Link::default()).is_err());
        let (empty, link) = Link::default().encode(&Map::new());
        assert_eq!(decode(empty.as_bytes(), Link::default()).expect("whole").1.link, link);
    }

    #[test]
    fn a_torn_line_is_left_out_at_every_byte() {
        let (bytes, _) = sample(3);
        for cut in 0..=bytes.len() {
            let (_, tail) = decode(&bytes[..cut], Link::default()).expect("a prefix is readable");
            assert!(tail.whole <= cut && cut - tail.whole < bytes.len() / 2);
        }
        let torn = [&bytes[..], b"{\"act\0\0\n"].concat();
        assert_eq!(decode(&torn, Link::default()).expect("torn").1.whole, bytes.len());
    }

    #[test]
    fn a_changed_bit_a_dropped_and_a_moved_line_are_noticed() {
        let (bytes, _) = sample(4);
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut changed = bytes.clone();
                changed[at] ^= 1 << bit;
                let read = decode(&changed, Link::default());
                assert!(read.is_err() || read.is_ok_and(|(lines, _)| lines.len() < 4), "byte {at}");
            }
        }
        let lines: Vec<&[u8]> = bytes.split_inclusive(|byte| *byte == b'\n').collect();
        for (order, line) in [([0, 2, 3, 3], 2), ([1, 0, 2, 3], 1), ([0, 1, 1, 2], 3)] {
            let moved: Vec<u8> = order.iter().flat_map(|at| lines[*at]).copied().collect();
            let damage = decode(&moved, Link::default()).expect_err("out of order");
            assert_eq!(damage.line, line, "{order:?}: {damage}");
        }
    }
}
