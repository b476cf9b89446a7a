//! A client for servers on this machine: one request, one answer, the connection closed. It blocks.
//!
//! `credential-process` lives for a millisecond, so it has neither a runtime nor an HTTP library; the agent uses the same
//! when it asks its own sources, as programs do.

use std::io::{self, Read, Write};

use zeroize::Zeroizing;

/// No answer of ours is near this long.
const ANSWER_BYTES_MAX: u64 = 1 << 20;

/// An answer.
#[derive(Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The body; it may hold secrets.
    pub body: Zeroizing<Vec<u8>>,
}

/// Asks `method target`, with further header lines, each ended by CR LF, and a body.
pub fn ask(
    mut stream: impl Read + Write,
    method: &str,
    target: &str,
    headers: &str,
    body: &[u8],
) -> io::Result<Answer> {
    let mut request = Zeroizing::new(Vec::with_capacity(256 + headers.len() + body.len()));
    let length = body.len();
    write!(request, "{method} {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n")?;
    write!(request, "{headers}Content-Length: {length}\r\n\r\n")?;
    request.extend_from_slice(body);
    stream.write_all(&request)?;
    let mut bytes = Zeroizing::new(Vec::with_capacity(4096));
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut bytes)?;
    parse(&bytes).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "not an HTTP answer"))
}

fn parse(bytes: &[u8]) -> Option<Answer> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&bytes[..end]).ok()?;
    let mut lines = head.split("\r\n");
    let (version, rest) = lines.next()?.split_once(' ')?;
    let status = rest.split(' ').next()?.parse().ok().filter(|_| version.starts_with("HTTP/1."))?;
    let length = lines
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .and_then(|(_, value)| value.trim().parse::<usize>().ok());
    let body = &bytes[end + 4..];
    // An answer that was cut off is none.
    let body = match length {
        Some(length) => body.get(..length)?,
        None => body,
    };
    Some(Answer { status, body: Zeroizing::new(body.to_vec()) })
}

/// A text as it stands in a path: everything but unreserved characters is escaped (RFC 3986).
pub fn escape(text: &str) -> String {
    use std::fmt::Write as _;
    text.bytes().fold(String::with_capacity(text.len()), |mut escaped, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(escaped, "%{byte:02X}");
        }
        escaped
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_taken_whole_or_not_at_all() {
        let taken = |text: &str| parse(text.as_bytes()).map(|a| (a.status, a.body.to_vec()));
        let whole = "HTTP/1.1 200 OK\r\nX: y\r\ncontent-length: 3\r\n\r\nabc";
        assert_eq!(taken(whole), Some((200, b"abc".to_vec())));
        assert_eq!(taken("HTTP/1.0 503 No\r\n\r\nrest"), Some((503, b"rest".to_vec())));
        for broken in [
            "",
            "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nab",
            "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n",
            "HTTP/2 200 OK\r\n\r\n",
            "SSH-2.0-x\r\n\r\n",
            "HTTP/1.1\r\n\r\n",
        ] {
            assert_eq!(taken(broken), None, "{broken:?}");
        }
    }

    #[test]
    fn names_are_escaped_in_paths() {
        assert_eq!(escape("a-b_c.d@x+y z/é"), "a-b_c.d%40x%2By%20z%2F%C3%A9");
    }
}
