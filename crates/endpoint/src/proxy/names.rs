//! Headers of AWS's by name. A name that is looked up as text is read and checked anew each time.

use http::{HeaderName, HeaderValue};

pub(super) const ACCOUNT: HeaderName = HeaderName::from_static("x-amz-account-id");
pub(super) const AMZ_DATE: HeaderName = HeaderName::from_static("x-amz-date");
pub(super) const AMZ_USER_AGENT: HeaderName = HeaderName::from_static("x-amz-user-agent");
pub(super) const CONTENT_SHA256: HeaderName = HeaderName::from_static("x-amz-content-sha256");
pub(super) const TARGET: HeaderName = HeaderName::from_static("x-amz-target");
pub(super) const TOKEN: HeaderName = HeaderName::from_static("x-amz-security-token");

/// A value that is ASCII, as [`HeaderValue::to_str`] gives it, but looked at many bytes at a time.
pub(super) fn text(value: &HeaderValue) -> Option<&str> {
    let bytes = value.as_bytes();
    if bytes.is_ascii() { std::str::from_utf8(bytes).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_text_where_the_library_says_so() {
        for byte in 0..=u8::MAX {
            let Ok(value) = HeaderValue::from_bytes(&[b'a', byte, b'b']) else { continue };
            assert_eq!(text(&value), value.to_str().ok(), "{byte}");
        }
    }
}
