//! Bodies that tell the operation. Those of the services that hand out keys by a form have to be such that it is seen.

use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::request::Parts;

use super::payload::Payload;
use super::refusal::Refusal;

/// Whether a service's operations stand in its forms, and some of them hand out credentials.
fn is_told_by_form(service: &str) -> bool {
    service.eq_ignore_ascii_case("iam") || is_sts(service)
}

/// Whether it is the service whose answers may hold credentials, whatever the question looked like.
pub(super) fn is_sts(service: &str) -> bool {
    service.eq_ignore_ascii_case("sts")
}

/// Refuses a body that hides its operation from us, and may not from the server: one that is not all in memory, is framed or
/// compressed, or is no form in ASCII's successors. `Content-Type` alone is not believed: servers read a form without it.
pub(super) fn check(
    service: &str,
    head: &Parts,
    payload: Payload,
    is_whole: bool,
) -> Result<(), Refusal> {
    if !is_told_by_form(service) {
        return Ok(());
    }
    let is_plain = matches!(payload, Payload::Implicit | Payload::Hash(_))
        && is_whole
        && !head.headers.contains_key(CONTENT_ENCODING)
        && head.headers.get(CONTENT_TYPE).is_none_or(|kind| is_readable(kind.as_bytes()));
    is_plain.then_some(()).ok_or(Refusal::HiddenOperation)
}

/// A form in another character set, or in parts, is none to us.
fn is_readable(kind: &[u8]) -> bool {
    let kind = String::from_utf8_lossy(kind).to_ascii_lowercase();
    let charsets = kind.matches("charset").count();
    !kind.trim_start().starts_with("multipart/")
        && (charsets == 0 || charsets == 1 && kind.trim_end().ends_with("charset=utf-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_that_hides_its_operation_is_refused_where_that_could_hand_out_keys() {
        let form = ("content-type", "application/x-www-form-urlencoded; charset=utf-8");
        let hash = Payload::Hash([b'0'; 64]);
        let check = |service, headers: &[(&str, &str)], payload, is_whole| {
            let mut request = http::Request::builder().method("POST").uri("/");
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            let head = request.body(()).expect("a request").into_parts().0;
            check(service, &head, payload, is_whole)
        };
        for payload in [Payload::Implicit, hash] {
            assert_eq!(check("sts", &[form], payload, true), Ok(()));
            assert_eq!(check("iam", &[], payload, true), Ok(()));
        }
        let refused = Err(Refusal::HiddenOperation);
        for service in ["sts", "iam", "STS", "IAM"] {
            assert_eq!(check(service, &[], hash, false), refused, "{service}");
            for payload in [
                Payload::Unsigned,
                Payload::UnsignedTrailer,
                Payload::SignedChunks,
                Payload::SignedChunksTrailer,
                Payload::Events,
            ] {
                assert_eq!(check(service, &[form], payload, true), refused, "{payload:?}");
            }
            for odd in [
                ("content-encoding", "gzip"),
                ("content-encoding", "aws-chunked"),
                ("content-type", "multipart/form-data; boundary=x"),
                ("content-type", "application/x-www-form-urlencoded; charset=utf-16"),
                (
                    "content-type",
                    "application/x-www-form-urlencoded; charset=utf-16; charset=utf-8",
                ),
            ] {
                assert_eq!(check(service, &[odd], hash, true), refused, "{odd:?}");
            }
        }
        let chunks = Payload::SignedChunks;
        assert_eq!(check("s3", &[("content-encoding", "aws-chunked")], chunks, false), Ok(()));
        assert_eq!(check("monitoring", &[("content-encoding", "gzip")], hash, true), Ok(()));
    }
}
