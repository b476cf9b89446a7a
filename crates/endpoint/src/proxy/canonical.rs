//! The canonical request of signature version 4, made from bytes as they were sent. Who verifies and who signs both use it.
//!
//! `aws-sigv4` makes one too, and is right where every part is plain: the tests hold the two against each other there, and
//! against the vectors that it ships. It is not used for requests, because of bytes that it does not sign as they are sent:
//! its queries go through `form_urlencoded`, which turns `%FF` into U+FFFD and `+` into a space; its paths of S3 are taken
//! as they are encoded already, so `%2f` and `(` sign differently from `%2F` and `%28`; its header values must be
//! UTF-8; and it signs all headers that it is given, where a verifier signs those that were named.

use http::{HeaderMap, header};
use sha2::{Digest, Sha256};

use super::grammar::names;
use super::key::digits;
use super::uri::{PathStyle, canonical_query};

/// The pseudo-header of HTTP/2 that some SDKs sign in the place of `Host`.
pub(crate) const AUTHORITY: &str = ":authority";

/// What is made canonical. Path and query are as they were sent.
#[derive(Clone, Copy, Debug)]
pub struct Canonical<'a> {
    /// `GET`, `PUT` …
    pub method: &'a str,
    /// The path, without the query.
    pub path: &'a [u8],
    /// How the service encodes it.
    pub style: PathStyle,
    /// What stands after `?`.
    pub query: &'a [u8],
    /// Where the values of the signed headers are.
    pub headers: &'a HeaderMap,
    /// What HTTP/2 has instead of `Host`.
    pub authority: Option<&'a str>,
    /// The names of the signed headers, in small letters and in order, with `;` between them.
    pub signed_headers: &'a str,
    /// The hash of the body, or what stands for it.
    pub payload: &'a str,
}

impl Canonical<'_> {
    /// The text.
    pub fn text(&self) -> Vec<u8> {
        let mut text = Vec::with_capacity(1024);
        text.extend_from_slice(self.method.as_bytes());
        text.push(b'\n');
        text.extend_from_slice(&self.style.canonical(self.path));
        text.push(b'\n');
        if !self.query.is_empty() {
            text.extend_from_slice(&canonical_query(self.query));
        }
        text.push(b'\n');
        for name in names(self.signed_headers).map(str::as_bytes) {
            text.extend_from_slice(name);
            text.push(b':');
            self.write_values(&mut text, name);
            text.push(b'\n');
        }
        text.push(b'\n');
        text.extend_from_slice(self.signed_headers.as_bytes());
        text.push(b'\n');
        text.extend_from_slice(self.payload.as_bytes());
        text
    }

    /// Its SHA-256, as hexadecimal digits: the last line of what is signed.
    pub fn hash(&self) -> String {
        String::from_utf8_lossy(&self.hash_digits()).into_owned()
    }

    /// The same.
    pub(super) fn hash_digits(&self) -> [u8; 64] {
        digits(&Sha256::digest(self.text()).into())
    }

    fn write_values(&self, text: &mut Vec<u8>, name: &[u8]) {
        let mut values = values(self.headers, self.authority, name);
        if let Some(first) = values.next() {
            write_collapsed(text, first);
        }
        for value in values {
            text.push(b',');
            write_collapsed(text, value);
        }
    }
}

/// The values of a header, and of `:authority`. Over HTTP/2 `host` is what `:authority` says, if there is no `Host`.
pub(crate) fn values<'a>(
    headers: &'a HeaderMap,
    authority: Option<&'a str>,
    name: &[u8],
) -> impl Iterator<Item = &'a [u8]> {
    let is_authority =
        || name == AUTHORITY.as_bytes() || (name == b"host" && !headers.contains_key(header::HOST));
    let authority = authority.filter(|_| is_authority()).map(str::as_bytes);
    // There are few, and a look-up by text hashes it.
    let values = headers.iter().filter(move |(own, _)| own.as_str().as_bytes() == name);
    authority.into_iter().chain(values.map(|(_, value)| value.as_bytes()))
}

/// Without spaces at its ends, and with one for each run of them within. Only spaces: a tab is left as it is, by AWS too.
fn write_collapsed(text: &mut Vec<u8>, value: &[u8]) {
    // Most have none.
    if !value.contains(&b' ') {
        return text.extend_from_slice(value);
    }
    let start = text.len();
    for word in value.split(|byte| *byte == b' ').filter(|word| !word.is_empty()) {
        if text.len() > start {
            text.push(b' ');
        }
        text.extend_from_slice(word);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&'static str, &[u8])]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, http::HeaderValue::from_bytes(value).expect("a value"));
        }
        headers
    }

    #[test]
    fn every_part_stands_in_its_place() {
        let headers = headers(&[
            ("host", b"127.0.0.1:25000"),
            ("x-amz-meta-a", b"  two  spaces   x "),
            ("x-amz-meta-a", b"\xff\tb"),
            ("x-amz-empty", b"  "),
            ("user-agent", b"not signed"),
        ]);
        let canonical = Canonical {
            method: "PUT",
            path: b"/b/a b",
            style: PathStyle::Once,
            query: b"uploads",
            headers: &headers,
            authority: None,
            signed_headers: "host;x-amz-empty;x-amz-meta-a",
            payload: "UNSIGNED-PAYLOAD",
        };
        assert_eq!(
            canonical.text(),
            b"PUT\n/b/a%20b\nuploads=\nhost:127.0.0.1:25000\nx-amz-empty:\n\
              x-amz-meta-a:two spaces x,\xff\tb\n\nhost;x-amz-empty;x-amz-meta-a\nUNSIGNED-PAYLOAD"
        );
    }

    #[test]
    fn the_authority_of_http_2_is_a_header_of_its_own_and_stands_in_for_host() {
        let with_host = headers(&[("host", b"a")]);
        let get = |headers: &HeaderMap, name: &str| -> Vec<Vec<u8>> {
            values(headers, Some("b"), name.as_bytes()).map(<[u8]>::to_vec).collect()
        };
        assert_eq!(get(&with_host, ":authority"), [b"b"]);
        assert_eq!(get(&with_host, "host"), [b"a"]);
        assert_eq!(get(&HeaderMap::new(), "host"), [b"b"]);
        assert!(get(&with_host, "x").is_empty());
    }
}
