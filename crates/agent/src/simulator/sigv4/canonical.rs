//! The canonical request of signature version 4.

use std::fmt::Write;

use http::request::Parts;

use super::PathStyle;
use super::form::{decode, pairs};

/// The text whose hash is signed.
pub(super) fn request(
    parts: &Parts,
    signed_headers: &str,
    body_hash: &str,
    style: PathStyle,
) -> String {
    let path = match style {
        PathStyle::Sent => parts.uri.path().to_owned(),
        PathStyle::EncodedOnce => encode(&decode(parts.uri.path(), false), true),
    };
    let query = query(parts.uri.query().unwrap_or_default());
    let mut text = format!("{}\n{path}\n{query}\n", parts.method);
    for name in signed_headers.split(';') {
        let values = parts.headers.get_all(name).iter();
        let values: Vec<String> = values
            .map(|value| {
                let text = String::from_utf8_lossy(value.as_bytes());
                text.split_whitespace().collect::<Vec<_>>().join(" ")
            })
            .collect();
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{name}:{}", values.join(","));
    }
    let _ = write!(text, "\n{signed_headers}\n{body_hash}");
    text
}

/// Decoded, encoded AWS's way, and in order; all but the signature itself.
fn query(query: &str) -> String {
    let pairs = pairs(query).into_iter().filter(|(name, _)| name != "X-Amz-Signature");
    let mut pairs: Vec<_> =
        pairs.map(|(name, value)| (encode(&name, false), encode(&value, false))).collect();
    pairs.sort();
    let pairs: Vec<_> = pairs.iter().map(|(name, value)| format!("{name}={value}")).collect();
    pairs.join("&")
}

/// Percent-encodes all but letters, digits and `-._~`, and the slashes of a path.
pub(in crate::simulator) fn encode(text: &str, is_path: bool) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        let plain = byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        if plain || (is_path && byte == b'/') {
            encoded.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_put_in_order_by_name_and_then_by_value() {
        assert_eq!(
            query("b=2&a-b=1&a=%2f&acl&a=+&X-Amz-Signature=0"),
            "a=%20&a=%2F&a-b=1&acl=&b=2"
        );
    }

    #[test]
    fn paths_keep_their_slashes() {
        assert_eq!(encode("/a b/ü~(1)", true), "/a%20b/%C3%BC~%281%29");
        assert_eq!(encode("/a", false), "%2Fa");
    }
}
