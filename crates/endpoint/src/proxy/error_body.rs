//! What AWS says when it refuses: whether it is the key that it refuses, and the key's id, which a program is not to see.

use std::io::Read;

use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use http::{HeaderMap, HeaderValue, header};

/// An error of AWS is not longer, but a body may be.
pub(crate) const BYTES_MAX: usize = 64 * 1024;

/// What a compressed one may come to.
const INFLATED_BYTES_MAX: u64 = 256 * 1024;

/// The codes that say that AWS does not know the key; the request was then not carried out. `AccessDenied`,
/// `SignatureDoesNotMatch` and the like say that it does.
const UNKNOWN_KEY: [&str; 4] =
    ["InvalidAccessKeyId", "InvalidClientTokenId", "UnrecognizedClientException", "AuthFailure"];

/// Whether the key is refused.
pub(crate) fn is_of_the_key(headers: &HeaderMap, body: &[u8]) -> bool {
    if let Some(kind) = headers.get("x-amzn-errortype") {
        // `Code:http://...`, or with a namespace before a `#`.
        return UNKNOWN_KEY.iter().any(|code| has_word(kind.as_bytes(), code.as_bytes()));
    }
    let inflated = inflated(headers, body);
    let body = inflated.as_deref().unwrap_or(body);
    // XML, JSON and CBOR all have it as plain text.
    UNKNOWN_KEY.iter().any(|code| has_word(body, code.as_bytes()))
}

/// Replaces the key's id by the placeholder's.
pub(crate) fn redact(headers: &mut HeaderMap, body: Bytes, real: &str, placeholder: &str) -> Bytes {
    let plain = inflated(headers, &body);
    let is_compressed = plain.is_some();
    let Some(redacted) = replaced(plain.as_deref().unwrap_or(&body), real, placeholder) else {
        return body;
    };
    if is_compressed {
        headers.remove(header::CONTENT_ENCODING);
    }
    // What was said of the other bytes is not true of these.
    for name in ["content-md5", "x-amz-checksum-crc32", "etag"] {
        headers.remove(name);
    }
    if headers.contains_key(header::CONTENT_LENGTH) {
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(redacted.len()));
    }
    Bytes::from(redacted)
}

fn inflated(headers: &HeaderMap, body: &[u8]) -> Option<Vec<u8>> {
    let is_gzip = headers
        .get(header::CONTENT_ENCODING)
        .is_some_and(|encoding| encoding.as_bytes().eq_ignore_ascii_case(b"gzip"));
    if !is_gzip {
        return None;
    }
    let mut plain = Vec::new();
    MultiGzDecoder::new(body).take(INFLATED_BYTES_MAX).read_to_end(&mut plain).ok()?;
    Some(plain)
}

fn has_word(text: &[u8], word: &[u8]) -> bool {
    let is_end = |at: Option<&u8>| at.is_none_or(|byte| !byte.is_ascii_alphanumeric());
    positions(text, word).any(|at| {
        let before = at.checked_sub(1).and_then(|before| text.get(before));
        is_end(before) && is_end(text.get(at + word.len()))
    })
}

fn positions<'a>(text: &'a [u8], word: &'a [u8]) -> impl Iterator<Item = usize> + 'a {
    text.windows(word.len()).enumerate().filter(move |(_, part)| *part == word).map(|(at, _)| at)
}

fn replaced(text: &[u8], from: &str, to: &str) -> Option<Vec<u8>> {
    let from = from.as_bytes();
    let mut found = positions(text, from).peekable();
    found.peek()?;
    let (mut replaced, mut done) = (Vec::with_capacity(text.len()), 0);
    for at in found {
        if at >= done {
            replaced.extend_from_slice(&text[done..at]);
            replaced.extend_from_slice(to.as_bytes());
            done = at + from.len();
        }
    }
    replaced.extend_from_slice(&text[done..]);
    Some(replaced)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn gzip(text: &str) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text.as_bytes()).expect("into memory");
        encoder.finish().expect("into memory")
    }

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(n, v)| (n.parse().expect("a name"), HeaderValue::from_static(v)))
            .collect()
    }

    #[test]
    fn an_unknown_key_is_told_from_every_other_refusal() {
        let none = HeaderMap::new();
        for body in [
            "<Error><Code>InvalidAccessKeyId</Code>",
            "<Code>InvalidClientTokenId</Code>",
            r#"{"__type":"com.amazon.coral.service#UnrecognizedClientException","message":"x"}"#,
            r#"{"__type":"UnrecognizedClientException"}"#,
            "<Response><Errors><Error><Code>AuthFailure</Code>",
            "\u{bf}f__type\u{78}\u{1b}UnrecognizedClientException",
        ] {
            assert!(is_of_the_key(&none, body.as_bytes()), "{body}");
        }
        for body in [
            "<Code>AccessDenied</Code>",
            "<Code>SignatureDoesNotMatch</Code>",
            "<Code>RequestTimeTooSkewed</Code>",
            "<Code>InvalidAccessKeyIdx</Code>",
            "",
        ] {
            assert!(!is_of_the_key(&none, body.as_bytes()), "{body}");
        }
        let kind = headers(&[("x-amzn-errortype", "UnrecognizedClientException:http://x/")]);
        assert!(is_of_the_key(&kind, b"{}"));
        let other = headers(&[("x-amzn-errortype", "AccessDeniedException")]);
        assert!(!is_of_the_key(&other, b"{\"message\":\"AuthFailure\"}"));
        let compressed = headers(&[("content-encoding", "gzip")]);
        assert!(is_of_the_key(&compressed, &gzip("<Code>InvalidAccessKeyId</Code>")));
    }

    #[test]
    fn the_real_id_is_nowhere_in_what_a_program_reads() {
        let text = "<AWSAccessKeyId>AKIAREALREALREALREAL</AWSAccessKeyId>AKIAREALREALREALREAL";
        let expected = text.replace("AKIAREALREALREALREAL", "PH");
        let mut plain = headers(&[("content-length", "99")]);
        let body = redact(&mut plain, Bytes::from(text), "AKIAREALREALREALREAL", "PH");
        assert_eq!(body, expected);
        assert_eq!(plain["content-length"], expected.len().to_string());
        let mut compressed = headers(&[("content-encoding", "gzip"), ("content-type", "text/xml")]);
        let body = redact(&mut compressed, gzip(text).into(), "AKIAREALREALREALREAL", "PH");
        assert_eq!(body, expected);
        assert_eq!(compressed.len(), 1, "{compressed:?}");
        let mut untouched = headers(&[("content-encoding", "gzip")]);
        let other = Bytes::from(gzip("nothing"));
        assert_eq!(redact(&mut untouched, other.clone(), "AKIAREALREALREALREAL", "PH"), other);
        assert_eq!(untouched.len(), 1);
    }
}
