//! Any bytes as method, target and headers of a request, and what must hold of its canonical form whatever they are.
//!
//! Nothing may panic; the text has one reading only; and what was made canonical once stays as it is.

use http::{HeaderMap, HeaderName, HeaderValue};
use rotakey_endpoint::proxy::canonical::Canonical;
use rotakey_endpoint::proxy::uri::{PathStyle, canonical_query, decode, outbound_query, pairs};

/// Panics if the canonical form could be that of another request.
pub fn check(bytes: &[u8]) {
    let mut lines = bytes.split(|byte| *byte == b'\n');
    let target = lines.next().unwrap_or_default();
    let at = target.iter().position(|byte| *byte == b'?').unwrap_or(target.len());
    let (path, query) = (&target[..at], target.get(at + 1..).unwrap_or_default());
    check_path(path);
    check_query(query);
    let mut headers = HeaderMap::new();
    for line in lines {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let name = HeaderName::from_bytes(&line[..colon]);
        let value = HeaderValue::from_bytes(&line[colon + 1..]);
        if let (Ok(name), Ok(value)) = (name, value) {
            headers.append(name, value);
        }
    }
    check_text(path, query, &headers);
}

fn check_path(path: &[u8]) {
    let once = PathStyle::Once.canonical(path);
    assert!(is_encoded(&once, b"/"), "{once:?}");
    assert_eq!(decode(&once), decode(path), "it is the same key");
    assert_eq!(PathStyle::Once.canonical(&once), once);
    let twice = PathStyle::Twice.canonical(path);
    assert!(is_encoded(&twice, b"/") && twice.starts_with(b"/"), "{twice:?}");
    let plain = decode(&twice);
    assert_eq!(PathStyle::Twice.canonical(&plain), twice);
    let has_dots =
        |path: &[u8]| path.split(|byte| *byte == b'/').any(|part| part == b"." || part == b"..");
    assert!(!has_dots(&plain) && !plain.windows(2).any(|two| two == b"//"), "{plain:?}");
    assert!(is_encoded(&PathStyle::TwiceAsSent.canonical(path), b"/"));
}

fn check_query(query: &[u8]) {
    let canonical = canonical_query(query);
    assert!(is_encoded(&canonical, b"=&"), "{canonical:?}");
    assert_eq!(canonical_query(&canonical), canonical);
    let mut sent: Vec<_> = pairs(query).filter(|(name, _)| name != b"X-Amz-Signature").collect();
    let mut signed: Vec<_> = pairs(&canonical).collect();
    sent.sort();
    signed.sort();
    assert_eq!(sent, signed, "it is the same query");
    let outbound = outbound_query(query, false);
    assert!(is_encoded(&outbound, b"=&"), "{outbound:?}");
    assert_eq!(canonical_query(&outbound), canonical);
    assert_eq!(outbound_query(&outbound, false), outbound);
    let unsigned = outbound_query(query, true);
    let is_left = |(name, _): (Vec<u8>, _)| name.eq_ignore_ascii_case(b"x-amz-signature");
    assert!(!pairs(&unsigned).any(is_left));
}

/// Each part has its line, and no header can add one.
fn check_text(path: &[u8], query: &[u8], headers: &HeaderMap) {
    let mut names: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
    names.sort_unstable();
    let signed_headers = names.join(";");
    let canonical = Canonical {
        method: "GET",
        path,
        style: PathStyle::Once,
        query,
        headers,
        authority: None,
        signed_headers: &signed_headers,
        payload: "UNSIGNED-PAYLOAD",
    };
    let text = canonical.text();
    let lines: Vec<_> = text.split(|byte| *byte == b'\n').collect();
    assert_eq!(lines.len(), 6 + names.len().max(1), "{:?}", String::from_utf8_lossy(&text));
    for (name, line) in names.iter().zip(&lines[3..]) {
        assert!(line.starts_with(name.as_bytes()), "{name}");
        assert!(!line.ends_with(b" ") && !line.windows(2).any(|two| two == b"  "), "{line:?}");
    }
    assert_eq!(lines.last(), Some(&&b"UNSIGNED-PAYLOAD"[..]));
}

/// Unreserved characters, escapes in large letters, and these.
fn is_encoded(bytes: &[u8], more: &[u8]) -> bool {
    let is_digit = |byte: &u8| byte.is_ascii_digit() || (b'A'..=b'F').contains(byte);
    let mut rest = bytes;
    while let [first, tail @ ..] = rest {
        rest = match first {
            b'%' if tail.len() >= 2 && tail[..2].iter().all(is_digit) => &tail[2..],
            byte if byte.is_ascii_alphanumeric()
                || b"-._~".contains(byte)
                || more.contains(byte) =>
            {
                tail
            }
            _ => return false,
        };
    }
    true
}
