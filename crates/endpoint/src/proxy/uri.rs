//! Paths and queries as AWS writes them: percent-encoding on bytes, dot segments, the order of a query.
//!
//! Nothing is taken for text here. `%FF` in a key is one byte, and stays it; a decoder that puts U+FFFD in its place (as
//! `form_urlencoded` does, and so `aws-sigv4` with queries) signs another request than the one that is sent.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode, percent_encode};

/// All but the unreserved characters of RFC 3986.
const STRICT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The same in a path, whose slashes stay.
const STRICT_PATH: &AsciiSet = &STRICT.remove(b'/');

/// The parameters that a signature in a URL consists of, in small letters.
const AUTH_PARAMETERS: [&str; 8] = [
    "x-amz-algorithm",
    "x-amz-content-sha256",
    "x-amz-credential",
    "x-amz-date",
    "x-amz-expires",
    "x-amz-security-token",
    "x-amz-signature",
    "x-amz-signedheaders",
];

/// How a service makes a path canonical.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathStyle {
    /// S3: decoded once and encoded again; `//`, `.` and `..` are parts of keys and stay.
    Once,
    /// Every other service: dot segments and double slashes go, and what was sent is encoded once more.
    Twice,
    /// As [`Self::Twice`], but nothing goes. Some signers leave the path as it is; it is good enough to know a caller by, and
    /// never what is sent to AWS.
    TwiceAsSent,
}

impl PathStyle {
    /// The style of a service, by its signing name.
    pub fn of(service: &str) -> Self {
        if is_s3(service) { Self::Once } else { Self::Twice }
    }

    /// The canonical form of the path of a request, as it was sent. Most paths are in it.
    pub fn canonical(self, path: &[u8]) -> Cow<'_, [u8]> {
        match self {
            Self::Once => encode_with(decode(path), STRICT_PATH, true),
            Self::Twice => encode_with(normalized(path), STRICT_PATH, true),
            Self::TwiceAsSent => {
                let path = if path.is_empty() { b"/" } else { path };
                encode_with(Cow::Borrowed(path), STRICT_PATH, true)
            }
        }
    }
}

/// The signing names that sign paths and bodies as S3 does (botocore: those with an `S3SigV4Auth`).
pub fn is_s3(service: &str) -> bool {
    matches!(service, "s3" | "s3express" | "s3-object-lambda" | "s3-outposts")
}

/// Percent-encodes all but letters, digits and `-._~`.
pub fn encode(bytes: &[u8]) -> Cow<'_, [u8]> {
    encode_with(Cow::Borrowed(bytes), STRICT, false)
}

/// Percent-decodes. What is no good escape stays as it is, and so does `+`.
pub fn decode(bytes: &[u8]) -> Cow<'_, [u8]> {
    // Found at once, where the decoder looks at each byte.
    if bytes.contains(&b'%') { percent_decode(bytes).into() } else { Cow::Borrowed(bytes) }
}

/// What a server may take a path for: decoded, without dot segments and empty ones. To look at, and never to sign or to send.
pub(crate) fn plain_path(path: &[u8]) -> Cow<'_, [u8]> {
    match decode(path) {
        Cow::Borrowed(path) => normalized(path),
        Cow::Owned(path) => Cow::Owned(normalized(&path).into_owned()),
    }
}

/// Encodes all but what `set` leaves out: the unreserved characters, and maybe slashes.
fn encode_with<'a>(
    bytes: Cow<'a, [u8]>,
    set: &'static AsciiSet,
    keeps_slashes: bool,
) -> Cow<'a, [u8]> {
    // Without a branch for each byte, many are looked at at a time.
    let is_plain = |byte: u8| {
        byte.is_ascii_alphanumeric()
            | matches!(byte, b'-' | b'.' | b'_' | b'~')
            | (byte == b'/' && keeps_slashes)
    };
    if bytes.iter().fold(true, |are, byte| are & is_plain(*byte)) {
        return bytes;
    }
    let mut encoded = Vec::with_capacity(bytes.len() + bytes.len() / 4);
    percent_encode(&bytes, set).for_each(|part| encoded.extend_from_slice(part.as_bytes()));
    Cow::Owned(encoded)
}

/// Without dot segments and empty ones (RFC 3986, section 5.2.4, and the vectors of AWS for `//`).
fn normalized(path: &[u8]) -> Cow<'_, [u8]> {
    let is_odd = |pair: &[u8]| pair == b"//" || pair == b"/.";
    if !path.windows(2).any(is_odd) && path.first() == Some(&b'/') {
        return Cow::Borrowed(path);
    }
    let mut kept: Vec<&[u8]> = Vec::new();
    let mut is_folder = false;
    for segment in path.split(|byte| *byte == b'/') {
        is_folder = matches!(segment, b"" | b"." | b"..");
        match segment {
            b"" | b"." => {}
            b".." => drop(kept.pop()),
            other => kept.push(other),
        }
    }
    let mut result = vec![b'/'];
    result.extend(kept.join(&b'/'));
    if is_folder && result.last() != Some(&b'/') {
        result.push(b'/');
    }
    Cow::Owned(result)
}

/// The names and values of a query, decoded, in the order in which they stand; empty ones are left out.
pub fn pairs(query: &[u8]) -> impl Iterator<Item = (Vec<u8>, Vec<u8>)> {
    let decoded = |bytes| decode(bytes).into_owned();
    raw_pairs(query).map(move |(name, value)| (decoded(name), decoded(value.unwrap_or_default())))
}

/// Split at `&` and the first `=`, and not decoded. A name may stand alone.
fn raw_pairs(query: &[u8]) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
    let pairs = query.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty());
    pairs.map(|pair| match pair.iter().position(|byte| *byte == b'=') {
        Some(at) => (&pair[..at], Some(&pair[at + 1..])),
        None => (pair, None),
    })
}

/// The canonical form of a query: decoded, encoded again, in the order of its encoded names and values; without
/// `X-Amz-Signature`, which cannot sign itself.
pub fn canonical_query(query: &[u8]) -> Vec<u8> {
    if query.is_empty() {
        return Vec::new();
    }
    let mut pairs: Vec<_> = pairs(query)
        .filter(|(name, _)| name != b"X-Amz-Signature")
        .map(|(name, value)| (encode(&name).into_owned(), encode(&value).into_owned()))
        .collect();
    pairs.sort_unstable();
    let mut canonical = Vec::with_capacity(query.len() + 16);
    for (name, value) in &pairs {
        if !canonical.is_empty() {
            canonical.push(b'&');
        }
        canonical.extend_from_slice(name);
        canonical.push(b'=');
        canonical.extend_from_slice(value);
    }
    canonical
}

/// A query as it goes to AWS: in its own order, but encoded as it is in the canonical form, so that a server has nothing to
/// guess at (a bare `+`, a bad escape); without the signature, if it carried one.
pub fn outbound_query(query: &[u8], is_presigned: bool) -> Vec<u8> {
    let mut outbound = Vec::with_capacity(query.len());
    for (name, value) in raw_pairs(query) {
        let name = decode(name);
        if is_presigned && is_auth_parameter(&name) {
            continue;
        }
        if !outbound.is_empty() {
            outbound.push(b'&');
        }
        outbound.extend_from_slice(&encode(&name));
        if let Some(value) = value {
            outbound.push(b'=');
            outbound.extend_from_slice(&encode(&decode(value)));
        }
    }
    outbound
}

/// Of either version. The names of version 2 are taken in their own spelling alone.
fn is_auth_parameter(name: &[u8]) -> bool {
    is_version_4_parameter(name) || matches!(name, b"AWSAccessKeyId" | b"Signature" | b"Expires")
}

/// Whether a parameter is a part of a signature of version 4, however it is spelt.
pub(super) fn is_version_4_parameter(name: &[u8]) -> bool {
    AUTH_PARAMETERS.iter().any(|own| own.as_bytes().eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(style: PathStyle, path: &str) -> String {
        String::from_utf8(style.canonical(path.as_bytes()).into_owned()).expect("ASCII")
    }

    #[test]
    fn keys_of_s3_keep_all_that_looks_like_a_path() {
        for (sent, canonical) in [
            ("/b/a/../b//c/./d", "/b/a/../b//c/./d"),
            ("/b/a%20b+c%2Fd%2f(e)'!*", "/b/a%20b%2Bc/d/%28e%29%27%21%2A"),
            ("/b/%ff%zz%", "/b/%FF%25zz%25"),
            ("/b/\u{e4}~_-.", "/b/%C3%A4~_-."),
        ] {
            assert_eq!(path(PathStyle::Once, sent), canonical);
        }
    }

    #[test]
    fn other_paths_are_made_plain_and_encoded_once_more() {
        for (sent, canonical) in [
            ("/", "/"),
            ("", "/"),
            ("//a//./b/../", "/a/"),
            ("/a/..", "/"),
            ("/../x", "/x"),
            ("/a/.hidden/..b", "/a/.hidden/..b"),
            ("/f/arn%3Aaws%3Al/i", "/f/arn%253Aaws%253Al/i"),
            ("/@c/J%3D", "/%40c/J%253D"),
        ] {
            assert_eq!(path(PathStyle::Twice, sent), canonical, "{sent}");
        }
        assert_eq!(path(PathStyle::TwiceAsSent, "//a/../%20"), "//a/../%2520");
        assert_eq!(path(PathStyle::TwiceAsSent, ""), "/");
    }

    #[test]
    fn queries_are_put_in_order_by_name_and_then_by_value() {
        let query = b"b=2&a-b=1&&a=%2f&acl&a=+&%C3%28=%ff&X-Amz-Signature=0";
        let canonical = String::from_utf8(canonical_query(query)).expect("ASCII");
        assert_eq!(canonical, "%C3%28=%FF&a=%2B&a=%2F&a-b=1&acl=&b=2");
        assert_eq!(canonical_query(b""), b"");
    }

    #[test]
    fn what_goes_out_means_the_same_and_has_no_signature() {
        let query = b"z=%7e+&uploads&X-Amz-Date=1&x-amz-signature=2&response-content-type=a/b&&";
        let outbound = outbound_query(query, true);
        assert_eq!(outbound, b"z=~%2B&uploads&response-content-type=a%2Fb");
        assert_eq!(canonical_query(&outbound), canonical_query(&outbound_query(&outbound, false)));
        assert_eq!(outbound_query(b"X-Amz-Date=1", false), b"X-Amz-Date=1");
        assert_eq!(
            outbound_query(b"AWSAccessKeyId=a&Signature=b&Expires=1&expires=2", true),
            b"expires=2"
        );
    }
}
