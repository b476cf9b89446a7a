//! What the head of every request must be like, before anybody asks who signed it.
//!
//! A head that two readers could take for different requests is refused: what was verified has to be what is sent on.

use http::request::Parts;
use http::{HeaderMap, Method, Version, header};

use super::refusal::Refusal;

/// What may stand there once. No SDK sends any of them twice.
const SINGLE: [&str; 10] = [
    "authorization",
    "content-length",
    "content-type",
    "date",
    "expect",
    "host",
    "x-amz-content-sha256",
    "x-amz-date",
    "x-amz-decoded-content-length",
    "x-amz-security-token",
];

/// What a `Connection` header may name: what is dropped anyway, and nothing that the signature or the body depends on.
const NAMED: [&str; 7] =
    ["close", "keep-alive", "te", "trailer", "upgrade", "http2-settings", "proxy-connection"];

/// Lets a head pass, with the one host that it names, or says why not.
pub(super) fn check(head: &Parts) -> Result<&str, Refusal> {
    let headers = &head.headers;
    if headers.keys().any(|name| is_of_a_browser(name.as_str())) {
        return Err(Refusal::Browser);
    }
    if !is_method(&head.method) {
        return Err(Refusal::Method);
    }
    let has_doubles = headers.len() != headers.keys_len();
    if has_doubles && SINGLE.iter().any(|name| headers.get_all(*name).iter().nth(1).is_some()) {
        return Err(Refusal::Duplicate);
    }
    check_length(head)?;
    check_connection(headers)?;
    if !head.uri.path().starts_with('/') {
        return Err(Refusal::BadHead);
    }
    host(head)
}

/// What browsers cannot leave out.
fn is_of_a_browser(name: &str) -> bool {
    matches!(name, "origin" | "sec-fetch-site" | "sec-fetch-mode" | "access-control-request-method")
}

fn is_method(method: &Method) -> bool {
    matches!(
        *method,
        Method::GET | Method::HEAD | Method::PUT | Method::POST | Method::DELETE | Method::PATCH
    )
}

/// The one host that the request names, in its `Host` header, its target or `:authority`.
pub(super) fn host(head: &Parts) -> Result<&str, Refusal> {
    let authority = head.uri.authority().map(http::uri::Authority::as_str);
    let host = match head.headers.get(header::HOST) {
        Some(host) => std::str::from_utf8(host.as_bytes()).map_err(|_| Refusal::BadHead)?,
        None => authority.ok_or(Refusal::BadHead)?,
    };
    match authority {
        Some(other) if other != host => Err(Refusal::BadHead),
        _ => Ok(host),
    }
}

fn check_length(head: &Parts) -> Result<(), Refusal> {
    let length = head.headers.get(header::CONTENT_LENGTH);
    let mut codings = head.headers.get_all(header::TRANSFER_ENCODING).iter();
    match (length, codings.next(), codings.next()) {
        (Some(_), Some(_), _) | (_, _, Some(_)) => Err(Refusal::TwoLengths),
        (_, Some(_), _) if head.version == Version::HTTP_2 => Err(Refusal::BadHead),
        (_, Some(coding), _) if !coding.as_bytes().eq_ignore_ascii_case(b"chunked") => {
            Err(Refusal::BadHead)
        }
        (Some(length), _, _) => {
            let text = length.to_str().map_err(|_| Refusal::BadHead)?;
            let is_number = text.len() <= 19
                && text.bytes().all(|byte| byte.is_ascii_digit())
                && !text.is_empty();
            is_number.then_some(()).ok_or(Refusal::BadHead)
        }
        _ => Ok(()),
    }
}

/// A header that `Connection` names is not sent on. None may be named that was signed to be sent on.
fn check_connection(headers: &HeaderMap) -> Result<(), Refusal> {
    for value in headers.get_all(header::CONNECTION) {
        let text = value.to_str().map_err(|_| Refusal::BadHead)?;
        for name in text.split(',').map(str::trim).filter(|name| !name.is_empty()) {
            if !NAMED.iter().any(|own| own.eq_ignore_ascii_case(name)) {
                return Err(Refusal::BadHead);
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(method: &str, target: &str, lines: &[(&str, &str)]) -> Parts {
        let mut request = http::Request::builder().method(method).uri(target);
        for (name, value) in lines {
            request = request.header(*name, *value);
        }
        request.body(()).expect("a request").into_parts().0
    }

    #[test]
    fn plain_heads_pass() {
        for (target, lines) in [
            ("/b/k?uploads", vec![("host", "127.0.0.1:1"), ("content-length", "0")]),
            (
                "/",
                vec![("host", "a"), ("transfer-encoding", "Chunked"), ("connection", "close, TE")],
            ),
            ("http://127.0.0.1:1/x", vec![("host", "127.0.0.1:1")]),
            ("http://127.0.0.1:1/x", vec![]),
        ] {
            assert!(check(&head("PUT", target, &lines)).is_ok(), "{target} {lines:?}");
        }
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        let h = ("host", "a");
        for (lines, why) in [
            (vec![], Refusal::BadHead),
            (vec![h, h], Refusal::Duplicate),
            (vec![h, ("content-length", "1"), ("content-length", "1")], Refusal::Duplicate),
            (vec![h, ("x-amz-date", "1"), ("x-amz-date", "2")], Refusal::Duplicate),
            (vec![h, ("authorization", "1"), ("authorization", "2")], Refusal::Duplicate),
            (
                vec![h, ("x-amz-content-sha256", "1"), ("x-amz-content-sha256", "1")],
                Refusal::Duplicate,
            ),
            (
                vec![h, ("content-length", "1"), ("transfer-encoding", "chunked")],
                Refusal::TwoLengths,
            ),
            (
                vec![h, ("transfer-encoding", "chunked"), ("transfer-encoding", "chunked")],
                Refusal::TwoLengths,
            ),
            (vec![h, ("transfer-encoding", "gzip, chunked")], Refusal::BadHead),
            (vec![h, ("content-length", "+1")], Refusal::BadHead),
            (vec![h, ("content-length", "1, 1")], Refusal::BadHead),
            (vec![h, ("connection", "close, x-amz-acl")], Refusal::BadHead),
            (vec![h, ("connection", "content-length")], Refusal::BadHead),
            (vec![h, ("origin", "null")], Refusal::Browser),
            (vec![h, ("sec-fetch-site", "none")], Refusal::Browser),
        ] {
            assert_eq!(check(&head("GET", "/", &lines)), Err(why), "{lines:?}");
        }
        assert_eq!(check(&head("GET", "http://b/", &[h])), Err(Refusal::BadHead));
        for method in ["OPTIONS", "CONNECT", "TRACE", "get", "PROPFIND"] {
            assert_eq!(check(&head(method, "http://a/", &[h])), Err(Refusal::Method), "{method}");
        }
    }
}
