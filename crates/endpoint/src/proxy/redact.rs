//! What a program is not to read in an error of AWS: errors repeat what was signed, and by whom.
//!
//! `InvalidAccessKeyId` names the id; `SignatureDoesNotMatch` repeats the signature and the canonical request, with the
//! session's token in it, as text and as bytes in hexadecimal; `ExpiredToken` and `InvalidToken` of S3 repeat the token.

use std::fmt;

use http::{HeaderMap, HeaderValue};
use rotakey_core::credential::{AccessKeyId, Credentials};
use zeroize::Zeroizing;

/// Shorter ones are no secrets, but words that an error may have for other reasons. AWS's have 40.
const SECRET_CHARS_MIN: usize = 16;

/// What is replaced, and by what.
pub(crate) struct Redaction(Vec<(Zeroizing<Vec<u8>>, Vec<u8>)>);

impl fmt::Debug for Redaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} texts", self.0.len())
    }
}

impl Redaction {
    /// The id is replaced by the program's own. Nothing stands for token and signature: as many stars do.
    /// `signed` is the `Authorization` that the request went out with.
    pub(crate) fn new(
        real: &Credentials,
        placeholder: &AccessKeyId,
        signed: Option<&HeaderValue>,
    ) -> Self {
        let mut all = Self(Vec::new());
        all.add(real.access_key_id.as_str(), placeholder.as_str());
        let token = real.session_token.as_ref().map_or("", |token| token.expose());
        let signature = signed.and_then(|value| value.to_str().ok());
        let signature = signature.and_then(|text| text.rsplit_once("Signature="));
        // Never in an answer of AWS; others may do as they like. Their secrets may be a word, too, as `test` is.
        let secret = Some(real.secret_access_key.expose()).filter(|s| s.len() >= SECRET_CHARS_MIN);
        let secret = secret.unwrap_or_default();
        for text in [token, secret, signature.map_or("", |(_, signature)| signature)] {
            all.add(text, "");
        }
        all
    }

    /// In every form in which an answer may have it.
    fn add(&mut self, real: &str, by: &str) {
        if real.is_empty() {
            return;
        }
        let forms: [fn(&str) -> String; 5] =
            [str::to_owned, spaced_hex, in_json, in_xml, percent_encoded];
        for form in forms {
            let from = Zeroizing::new(form(real).into_bytes());
            if self.0.iter().any(|(known, _)| *known == from) {
                continue;
            }
            let to = if by.is_empty() { "*".repeat(from.len()) } else { form(by) };
            self.0.push((from, to.into_bytes()));
        }
    }

    /// The text without any of it; `None` if there is none in it. With `in_place` the length stays: in CBOR it stands before
    /// each text.
    pub(crate) fn apply(&self, text: &[u8], in_place: bool) -> Option<Vec<u8>> {
        let mut redacted: Option<Vec<u8>> = None;
        for (from, to) in &self.0 {
            let mut to = to.clone();
            if in_place {
                to.resize(from.len(), b'*');
            }
            let before = redacted.as_deref().unwrap_or(text);
            redacted = replaced(before, from, &to).or(redacted);
        }
        redacted
    }

    /// The same in headers.
    pub(crate) fn apply_to_headers(&self, headers: &mut HeaderMap) {
        for (_, value) in headers.iter_mut() {
            let Some(redacted) = self.apply(value.as_bytes(), false) else { continue };
            *value = HeaderValue::from_bytes(&redacted)
                .unwrap_or_else(|_| HeaderValue::from_static("redacted"));
        }
    }
}

/// As S3 writes `StringToSignBytes` and `CanonicalRequestBytes`: `41 57 53`.
fn spaced_hex(text: &str) -> String {
    let pairs: Vec<String> = text.bytes().map(|byte| format!("{byte:02x}")).collect();
    pairs.join(" ")
}

fn in_json(text: &str) -> String {
    text.replace('/', "\\/")
}

fn in_xml(text: &str) -> String {
    text.replace('+', "&#43;").replace('=', "&#61;").replace('/', "&#47;")
}

fn percent_encoded(text: &str) -> String {
    String::from_utf8_lossy(&super::uri::encode(text.as_bytes())).into_owned()
}

fn replaced(text: &[u8], from: &[u8], to: &[u8]) -> Option<Vec<u8>> {
    let is_there = |at: usize| text[at..].starts_with(from);
    let first = (0..text.len()).find(|at| is_there(*at))?;
    let mut replaced = Vec::with_capacity(text.len());
    replaced.extend_from_slice(&text[..first]);
    let mut at = first;
    while at < text.len() {
        if is_there(at) {
            replaced.extend_from_slice(to);
            at += from.len();
        } else {
            replaced.push(text[at]);
            at += 1;
        }
    }
    Some(replaced)
}

#[cfg(test)]
mod tests {
    use rotakey_core::credential::{SecretAccessKey, SessionToken};

    use super::*;

    fn redaction() -> Redaction {
        let real = Credentials {
            access_key_id: "ASIAREALREALREALREAL".parse().expect("an id"),
            secret_access_key: SecretAccessKey::new("se/cretse/cretse/cret".to_owned()),
            session_token: Some(SessionToken::new("to/k+n==".to_owned())),
        };
        let text = "AWS4-HMAC-SHA256 Credential=x, SignedHeaders=host, Signature=0a1b2c";
        let signed = HeaderValue::from_static(text);
        Redaction::new(&real, &"ROTAKEY1AAAAAAAAAAAA".parse().expect("an id"), Some(&signed))
    }

    fn apply(text: &str) -> String {
        let redacted = redaction().apply(text.as_bytes(), false);
        redacted.map_or(text.to_owned(), |bytes| String::from_utf8(bytes).expect("text"))
    }

    #[test]
    fn what_was_signed_and_by_whom_is_nowhere_in_any_form() {
        let shown = apply(
            "<Error><Code>SignatureDoesNotMatch</Code><AWSAccessKeyId>ASIAREALREALREALREAL</AWSAccessKeyId>\
             <SignatureProvided>0a1b2c</SignatureProvided><Token-0>to/k+n==</Token-0>\
             <CanonicalRequest>x-amz-security-token:to/k+n==</CanonicalRequest>\
             <CanonicalRequestBytes>3a 74 6f 2f 6b 2b 6e 3d 3d 0a</CanonicalRequestBytes></Error>",
        );
        assert_eq!(
            shown,
            "<Error><Code>SignatureDoesNotMatch</Code><AWSAccessKeyId>ROTAKEY1AAAAAAAAAAAA</AWSAccessKeyId>\
             <SignatureProvided>******</SignatureProvided><Token-0>********</Token-0>\
             <CanonicalRequest>x-amz-security-token:********</CanonicalRequest>\
             <CanonicalRequestBytes>3a *********************** 0a</CanonicalRequestBytes></Error>"
        );
        for form in
            ["to\\/k+n==", "to&#47;k&#43;n&#61;&#61;", "to%2Fk%2Bn%3D%3D", "se/cretse/cretse/cret"]
        {
            assert_eq!(apply(form), "*".repeat(form.len()), "{form}");
        }
        assert_eq!(apply("nothing"), "nothing");
    }

    #[test]
    fn headers_are_looked_at_and_cbor_stays_as_long_as_it_is() {
        let mut headers = HeaderMap::new();
        headers.insert("x-amzn-errormessage", HeaderValue::from_static("of ASIAREALREALREALREAL"));
        redaction().apply_to_headers(&mut headers);
        assert_eq!(headers["x-amzn-errormessage"], "of ROTAKEY1AAAAAAAAAAAA");
        let secret = SecretAccessKey::new("s".to_owned());
        let real = Credentials::long_term("minio-user".parse().expect("an id"), secret);
        let redaction = Redaction::new(&real, &"ROTAKEYA".parse().expect("an id"), None);
        assert_eq!(redaction.apply(b"\x6aminio-uZer", true), None);
        let redacted = redaction.apply(b"\x6aminio-user", true);
        assert_eq!(redacted.as_deref(), Some(&b"\x6aROTAKEYA**"[..]));
    }
}
