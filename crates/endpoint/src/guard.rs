//! What every request over TCP must be like, before it matters what it asks for.
//!
//! A browser of this machine's user may be led here by any page: by DNS rebinding (a foreign `Host`), or by a request
//! across origins. It passes the check of the owner's user id, and is told apart by what it cannot leave out. A proxy
//! that somebody runs here would hand credentials to whoever reaches it; it says that it is one.

use std::net::{Ipv4Addr, Ipv6Addr};

use http::request::Parts;
use http::{HeaderName, Method, header};

use crate::answer::Refusal;
use crate::table::Refused;

/// The methods that there are.
const METHODS: &str = "GET, PUT";

/// How long a foreign `Host` may be, and each of its parts, to be told on. Every secret is longer than such a part.
const HOST_CHARS_MAX: usize = 80;
const LABEL_CHARS_MAX: usize = 31;

/// Lets a request pass, or says why not.
pub(crate) fn check(head: &Parts) -> Result<(), Refusal> {
    check_host(head)?;
    for (name, value) in &head.headers {
        check_header(name, value.as_bytes())?;
    }
    if !matches!(head.method, Method::GET | Method::PUT) {
        let message = "only GET and PUT are answered here";
        let refusal = Refusal::new(Refused::Method, message, "another method");
        return Err(Refusal { allow: Some(METHODS), is_last: has_body(head), ..refusal });
    }
    let uri = &head.uri;
    if uri.scheme().is_some() || uri.authority().is_some() || !uri.path().starts_with('/') {
        return Err(malformed("the target is not a path; this is no proxy"));
    }
    if uri.query().is_some() {
        return Err(malformed("nothing here takes a query"));
    }
    if has_body(head) {
        let refusal = malformed("nothing here takes a body");
        // It is not read. What follows on this connection could be taken for a request.
        return Err(Refusal { is_last: true, ..refusal });
    }
    Ok(())
}

fn malformed(what: &'static str) -> Refusal {
    Refusal::new(Refused::Malformed, what, what)
}

fn check_host(head: &Parts) -> Result<(), Refusal> {
    let mut hosts = head.headers.get_all(header::HOST).iter();
    let (host, another) = (hosts.next(), hosts.next());
    let message = "the Host header must name this machine alone: 127.0.0.1, [::1] or localhost";
    match (host, another) {
        (Some(host), None) if is_loopback(host.as_bytes()) => Ok(()),
        (Some(host), None) => {
            let what = tellable(host.as_bytes())
                .map_or_else(|| "another Host".to_owned(), |host| format!("Host: {host}"));
            Err(Refusal::new(Refused::Host, message, what))
        }
        (Some(_), Some(_)) => Err(Refusal::new(Refused::Host, message, "two Host headers")),
        (None, _) => Err(Refusal::new(Refused::Host, message, "no Host header")),
    }
}

/// The name, if it is one: whoever looks into an attack wants to know whose page it was.
pub(crate) fn tellable(host: &[u8]) -> Option<&str> {
    let host = std::str::from_utf8(host).ok()?;
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-.:[]".contains(c);
    let is_name = host.len() <= HOST_CHARS_MAX
        && host.chars().all(is_plain)
        && host.split('.').all(|label| label.len() <= LABEL_CHARS_MAX);
    is_name.then_some(host)
}

/// `127.0.0.0/8`, `[::1]` or `localhost`, with or without a port.
pub(crate) fn is_loopback(host: &[u8]) -> bool {
    let Ok(host) = std::str::from_utf8(host) else { return false };
    if let Some(rest) = host.strip_prefix('[') {
        let Some((address, port)) = rest.split_once(']') else { return false };
        let is_port = port.is_empty() || port.strip_prefix(':').is_some_and(is_port);
        return is_port && address.parse() == Ok(Ipv6Addr::LOCALHOST);
    }
    let name = match host.split_once(':') {
        Some((name, port)) if is_port(port) => name,
        Some(_) => return false,
        None => host,
    };
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<Ipv4Addr>().is_ok_and(|address| address.is_loopback())
}

fn is_port(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) && text.parse::<u16>().is_ok()
}

/// Names of headers come in lower case.
fn check_header(name: &HeaderName, value: &[u8]) -> Result<(), Refusal> {
    let name = name.as_str();
    if matches!(name, "forwarded" | "via" | "x-real-ip") || name.starts_with("x-forwarded-") {
        let message = "requests that come through a proxy are not answered; \
                       hint: put 127.0.0.1 and localhost into NO_PROXY";
        return Err(Refusal::new(Refused::Forwarded, message, "a header of a proxy"));
    }
    let is_browser = match name {
        "origin" | "referer" => true,
        "user-agent" => value.starts_with(b"Mozilla/") || value.starts_with(b"Opera/"),
        // `Sec-Fetch-*`, `Sec-CH-*`, `Sec-WebSocket-*`: no page can set or leave out one of these.
        _ => name.starts_with("sec-"),
    };
    if is_browser {
        let message = "requests of web browsers are not answered";
        return Err(Refusal::new(Refused::Browser, message, "a header of a browser"));
    }
    Ok(())
}

/// Whether something may follow the head.
fn has_body(head: &Parts) -> bool {
    let lengths = head.headers.get_all(header::CONTENT_LENGTH);
    head.headers.contains_key(header::TRANSFER_ENCODING)
        || lengths.iter().any(|length| length.as_bytes() != b"0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_this_machine_alone_are_hosts() {
        for good in [
            "127.0.0.1",
            "127.0.0.1:21000",
            "127.8.9.10",
            "localhost",
            "LocalHost:80",
            "[::1]",
            "[::1]:21000",
            "[0:0:0:0:0:0:0:1]",
            "localhost:0",
        ] {
            assert!(is_loopback(good.as_bytes()), "{good}");
        }
        for bad in [
            "",
            ":80",
            "169.254.169.254",
            "169.254.170.2",
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "127.0.0.1:",
            "localhost:",
            "localhost:80:80",
            "localhost:+80",
            "localhost:65536",
            "[::1",
            "::1",
            "[::1]80",
            "[::2]",
            "[::ffff:127.0.0.1]",
            "0.0.0.0",
            "127.1",
            "2130706433",
            "0x7f.0.0.1",
            "127.0.0.01",
            "a@127.0.0.1",
            "127.0.0.1/",
            " localhost",
            "localhost.",
            "128.0.0.1",
        ] {
            assert!(!is_loopback(bad.as_bytes()), "{bad}");
        }
        assert!(!is_loopback(b"localhost\xff"));
    }

    #[test]
    fn a_host_is_told_on_only_if_it_cannot_be_a_secret() {
        let most = ["a".repeat(31), "b".repeat(31)].join(".");
        for good in ["evil.example:80", "[fe80::1]", "", &most] {
            assert_eq!(tellable(good.as_bytes()), Some(good));
        }
        let long = "a.".repeat(41);
        for bad in
            [&"0".repeat(32), &long, "a b", "a\u{e9}", "a\u{1b}[0m", "a\"b", "a_b", "a/b", "a%b"]
        {
            assert_eq!(tellable(bad.as_bytes()), None, "{bad}");
        }
    }
}
