//! What AWS says when it refuses: whether it is the key that it refuses, and the key's id, which a program is not to see.

use std::io::Read;

use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use http::{HeaderMap, HeaderValue, header};

use super::redact::Redaction;

/// An error of AWS is not longer: one that repeats a head of 64 KiB has it as text, and as bytes at three characters each.
pub(crate) const BYTES_MAX: usize = 384 * 1024;

/// What a compressed one may come to.
const INFLATED_BYTES_MAX: u64 = 1024 * 1024;

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

/// Takes out of an answer what a program is not to read.
pub(crate) fn redact(headers: &mut HeaderMap, body: Bytes, redaction: &Redaction) -> Bytes {
    redaction.apply_to_headers(headers);
    let plain = inflated(headers, &body);
    let is_compressed = plain.is_some();
    let is_cbor = headers
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"application/cbor"));
    let Some(redacted) = redaction.apply(plain.as_deref().unwrap_or(&body), is_cbor) else {
        return body;
    };
    replaced(headers, is_compressed, redacted)
}

/// Another body in the place of the one that came: what was said of that is not true of this.
pub(crate) fn replaced(headers: &mut HeaderMap, was_compressed: bool, body: Vec<u8>) -> Bytes {
    if was_compressed {
        headers.remove(header::CONTENT_ENCODING);
    }
    for name in ["content-md5", "x-amz-checksum-crc32", "x-amz-crc32", "etag"] {
        headers.remove(name);
    }
    if headers.contains_key(header::CONTENT_LENGTH) {
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
    }
    Bytes::from(body)
}

/// The body without its compression; `None` if it has none that we know.
pub(crate) fn inflated(headers: &HeaderMap, body: &[u8]) -> Option<Vec<u8>> {
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

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use rotakey_core::credential::{Credentials, SecretAccessKey};

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

    fn redaction() -> Redaction {
        let secret = SecretAccessKey::new("unseen".to_owned());
        let real = Credentials::long_term("AKIAREALREALREALREAL".parse().expect("an id"), secret);
        Redaction::new(&real, &"PLACEHOLDER".parse().expect("an id"), None)
    }

    #[test]
    fn the_real_id_is_nowhere_in_what_a_program_reads() {
        let text = "<AWSAccessKeyId>AKIAREALREALREALREAL</AWSAccessKeyId>AKIAREALREALREALREAL";
        let expected = text.replace("AKIAREALREALREALREAL", "PLACEHOLDER");
        let mut plain = headers(&[("content-length", "99"), ("etag", "\"x\"")]);
        assert_eq!(redact(&mut plain, Bytes::from(text), &redaction()), expected);
        assert_eq!(plain["content-length"], expected.len().to_string());
        assert_eq!(plain.len(), 1, "{plain:?}");
        let mut compressed = headers(&[("content-encoding", "gzip"), ("content-type", "text/xml")]);
        assert_eq!(redact(&mut compressed, gzip(text).into(), &redaction()), expected);
        assert_eq!(compressed.len(), 1, "{compressed:?}");
        let mut untouched = headers(&[("content-encoding", "gzip")]);
        let other = Bytes::from(gzip("nothing"));
        assert_eq!(redact(&mut untouched, other.clone(), &redaction()), other);
        assert_eq!(untouched.len(), 1);
        // The answer to HEAD has headers alone.
        let mut told = headers(&[("x-amz-message", "the key AKIAREALREALREALREAL")]);
        assert_eq!(redact(&mut told, Bytes::new(), &redaction()), Bytes::new());
        assert_eq!(told["x-amz-message"], "the key PLACEHOLDER");
    }

    #[test]
    fn every_protocol_of_an_error_is_redacted() {
        for (kind, text) in [
            ("application/json", r#"{"__type":"X","message":"no AKIAREALREALREALREAL"}"#),
            ("text/xml", "<ErrorResponse><Error><Message>AKIAREALREALREALREAL</Message></Error>"),
            ("application/x-amz-json-1.1", r#"{"Message":"AKIAREALREALREALREAL"}"#),
        ] {
            let mut kinds = headers(&[("content-type", kind)]);
            let body = redact(&mut kinds, Bytes::from(text), &redaction());
            assert_eq!(body, text.replace("AKIAREALREALREALREAL", "PLACEHOLDER"), "{kind}");
        }
        let mut cbor = headers(&[("content-type", "application/cbor")]);
        let text = &b"\xa1\x67message\x74AKIAREALREALREALREAL"[..];
        let body = redact(&mut cbor, Bytes::from_static(text), &redaction());
        assert_eq!(body, &b"\xa1\x67message\x74PLACEHOLDER*********"[..]);
    }
}
