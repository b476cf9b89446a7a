//! What a request must be like.

use std::io::{Read, Write};

use rotakey_endpoint::table::Refused;

use super::client::{ask, connect, get, is_closed, once, read_reply};
use super::world::{TOKEN, World};

/// A request that would be answered, but for its first line and headers.
fn with(first: &str, headers: &str) -> String {
    format!("{first}\r\n{headers}Authorization: {TOKEN}\r\n\r\n")
}

const FIRST: &str = "GET /credentials/deploy HTTP/1.1";
const HOST: &str = "Host: 127.0.0.1\r\n";

fn refused(world: &World, request: &str, status: u16, why: Refused) {
    let reply = once(world.address, request);
    assert_eq!((reply.status, world.desk.whys()), (status, vec![why]), "{request:?}");
    assert_eq!(world.desk.handed().len(), 0, "{request:?}");
    assert!(!reply.body.contains("SECRET") && !reply.body.contains(TOKEN), "{request:?}");
    let json = reply.json();
    let texts = [&json["code"], &json["message"]];
    assert!(texts.iter().all(|text| text.is_string()), "{request:?}: {json}");
    assert_eq!(reply.header("content-type"), Some("application/json"));
    let cors = |name: &&str| name.starts_with("access-control-") || *name == "server";
    assert!(!reply.names().iter().any(cors), "{reply:?}");
}

#[test]
fn the_host_must_be_this_machine_and_there_must_be_one() {
    let world = World::new();
    for good in ["127.0.0.1", "localhost:21000", "[::1]:80", "127.1.2.3:1", "LOCALHOST"] {
        let request = with(FIRST, &format!("Host: {good}\r\n"));
        assert_eq!(once(world.address, &request).status, 200, "{good}");
    }
    world.desk.handed();
    let bad = [
        "",
        "evil.example",
        "127.0.0.1.evil.example",
        "localhost.evil.example:21000",
        "169.254.169.254",
        "169.254.170.2",
        "0.0.0.0",
        "[::]",
        "127.0.0.1@evil.example",
        "127.0.0.1, evil.example",
    ];
    for host in bad {
        refused(&world, &with(FIRST, &format!("Host: {host}\r\n")), 403, Refused::Host);
    }
    refused(&world, &with(FIRST, ""), 403, Refused::Host);
    refused(&world, &with(FIRST, "Host: 127.0.0.1\r\nHost: 127.0.0.1\r\n"), 403, Refused::Host);
    refused(&world, &with(FIRST, "Host: 127.0.0.1\r\nHost: evil.example\r\n"), 403, Refused::Host);
}

#[test]
fn a_foreign_host_is_told_on_but_no_secret() {
    let world = World::new();
    for (host, what) in [
        ("evil.example:80", "Host: evil.example:80"),
        (TOKEN, "another Host"),
        ("\u{e9}", "another Host"),
    ] {
        let request = with(FIRST, &format!("Host: {host}\r\n"));
        assert_eq!(once(world.address, &request).status, 403);
        assert_eq!(world.desk.refusals()[0].2, what);
    }
}

#[test]
fn proxies_and_browsers_are_refused() {
    let world = World::new();
    for line in [
        "X-Forwarded-For: 10.0.0.1",
        "x-forwarded-for:",
        "X-Forwarded-Host: a",
        "X-Forwarded-Proto: http",
        "Forwarded: for=10.0.0.1",
        "Via: 1.1 proxy",
        "X-Real-IP: 10.0.0.1",
    ] {
        refused(&world, &with(FIRST, &format!("{HOST}{line}\r\n")), 403, Refused::Forwarded);
    }
    for line in [
        "Origin: http://127.0.0.1:21000",
        "Origin: null",
        "Referer: http://localhost/",
        "Sec-Fetch-Mode: cors",
        "Sec-Fetch-Site: same-origin",
        "Sec-Fetch-Dest: empty",
        "Sec-CH-UA: x",
        "Sec-WebSocket-Key: x",
        "User-Agent: Mozilla/5.0 (X11; Linux x86_64)",
        "User-Agent: Opera/9.80",
    ] {
        refused(&world, &with(FIRST, &format!("{HOST}{line}\r\n")), 403, Refused::Browser);
    }
    for line in ["User-Agent: Boto3/1.43", "User-Agent: aws-sdk-js/3 Mozilla/5.0", "Accept: */*"] {
        let request = with(FIRST, &format!("{HOST}{line}\r\n"));
        assert_eq!(once(world.address, &request).status, 200, "{line}");
    }
    let put = "PUT /latest/api/token HTTP/1.1\r\nX-aws-ec2-metadata-token-ttl-seconds: 60";
    let request = with(put, &format!("{HOST}X-Forwarded-For: 10.0.0.1\r\n"));
    world.desk.handed();
    refused(&world, &request, 403, Refused::Forwarded);
}

#[test]
fn only_get_and_put() {
    let world = World::new();
    for method in ["POST", "DELETE", "OPTIONS", "PATCH", "TRACE", "PROPFIND", "get", "BREW"] {
        let request = with(&format!("{method} /credentials/deploy HTTP/1.1"), HOST);
        refused(&world, &request, 405, Refused::Method);
        assert_eq!(once(world.address, &request).header("allow"), Some("GET, PUT"));
        world.desk.refusals();
    }
    // The answer to HEAD has a length, and no body.
    let mut stream = connect(world.address);
    write!(stream, "{}", with("HEAD /credentials/deploy HTTP/1.1", HOST)).unwrap();
    let mut answer = [0; 13];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 405 ");
    let request = with("CONNECT 127.0.0.1:80 HTTP/1.1", HOST);
    world.desk.refusals();
    refused(&world, &request, 405, Refused::Method);
}

#[test]
fn targets_are_paths() {
    let world = World::new();
    for target in [
        "http://127.0.0.1/credentials/deploy",
        "http://evil.example/credentials/deploy",
        "*",
        "/credentials/deploy?x",
        "/credentials/deploy?",
    ] {
        let first = format!("GET {target} HTTP/1.1");
        refused(&world, &with(&first, HOST), 400, Refused::Malformed);
    }
}

#[test]
fn a_body_is_refused_and_nothing_after_it_is_taken_for_a_request() {
    let world = World::new();
    let inner = with(FIRST, HOST);
    for framing in [
        format!("Content-Length: {}", inner.len()),
        "Transfer-Encoding: chunked".to_owned(),
        format!("Transfer-Encoding: chunked\r\nContent-Length: {}", inner.len()),
        format!("Content-Length: {0}\r\nTransfer-Encoding: chunked", inner.len()),
        format!("Content-Length: {0}\r\nContent-Length: {0}", inner.len()),
    ] {
        for first in [FIRST, "PUT /latest/api/token HTTP/1.1", "POST / HTTP/1.1"] {
            let mut stream = connect(world.address);
            let request = with(first, &format!("{HOST}{framing}\r\n"));
            // What is sent after an answer that closes may meet a reset.
            let _ = write!(stream, "{request}{inner}");
            let reply = read_reply(&mut stream);
            let status = reply.map(|reply| reply.status);
            let expected = if first.starts_with("POST") { 405 } else { 400 };
            assert_eq!(status, Some(expected), "{request:?}");
            assert!(is_closed(&mut stream), "{request:?}");
        }
    }
    // Longer than anything can be.
    let request = with(FIRST, &format!("{HOST}Content-Length: 18446744073709551615\r\n"));
    let mut stream = connect(world.address);
    let _ = write!(stream, "{request}{inner}");
    assert!(read_reply(&mut stream).is_none_or(|reply| reply.status == 431));
    assert!(is_closed(&mut stream));
    assert_eq!(world.desk.handed().len(), 0);
    // No body is no body, however it is said.
    let put = "PUT /latest/api/token HTTP/1.1\r\nX-aws-ec2-metadata-token-ttl-seconds: 60";
    let mut stream = connect(world.address);
    let reply = ask(&mut stream, &with(put, &format!("{HOST}Content-Length: 0\r\n")));
    assert_eq!(reply.status, 200);
    assert_eq!(ask(&mut stream, &inner).status, 200);
}

#[test]
fn what_is_not_http_is_answered_400_and_closed() {
    let world = World::new();
    for request in [
        "\u{16}\u{3}\u{1}\u{2}\0\u{1}",
        "GET\r\n\r\n",
        "GET / HTTP/9.9\r\n\r\n",
        "GET /\r\n\r\n",
        "GET /cred entials HTTP/1.1\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "SSH-2.0-x\r\n\r\n",
        "GET / HTTP/1.1\r\nHost : 127.0.0.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n folded\r\n\r\n",
        "GET / HTTP/1.1\r\nX: a\0b\r\n\r\n",
        "GET / HTTP/1.1\r\nX: a\rb\r\n\r\n",
        "GET / HTTP/1.1\r\n: x\r\n\r\n",
        "GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        "GET / HTTP/1.1\r\nContent-Length: +1\r\n\r\n",
        "GET / HTTP/1.1\r\nTransfer-Encoding: x\r\n\r\n",
    ] {
        let mut stream = connect(world.address);
        let _ = stream.write_all(request.as_bytes());
        let reply = read_reply(&mut stream);
        assert!(reply.is_none_or(|reply| reply.status == 400), "{request:?}");
        assert!(is_closed(&mut stream), "{request:?}");
        world.wait_until("accounted for", |world| world.desk.whys() == [Refused::Malformed]);
    }
}

#[test]
fn a_head_may_be_sixteen_kibibytes_and_a_hundred_lines() {
    let world = World::new();
    let lines = |count: usize, length: usize| {
        (0..count).map(|n| format!("X-{n}: {}\r\n", "x".repeat(length))).collect::<String>()
    };
    for fits in [lines(1, 15_000), lines(90, 100)] {
        let request = with(FIRST, &format!("{HOST}{fits}"));
        assert_eq!(once(world.address, &request).status, 200);
    }
    let endless_path = format!("GET /{} HTTP/1.1", "x".repeat(70_000));
    for (request, statuses) in [
        (with(FIRST, &format!("{HOST}{}", lines(1, 17_000))), [431, 431]),
        (with(FIRST, &format!("{HOST}{}", lines(150, 100))), [431, 431]),
        (with(FIRST, &format!("{HOST}{}", lines(110, 1))), [431, 431]),
        (with(&endless_path, HOST), [414, 431]),
    ] {
        let mut stream = connect(world.address);
        let _ = stream.write_all(request.as_bytes());
        if let Some(reply) = read_reply(&mut stream) {
            assert!(statuses.contains(&reply.status), "{reply:?}");
        }
        assert!(is_closed(&mut stream));
        world.wait_until("accounted for", |world| world.desk.whys() == [Refused::Malformed]);
    }
    // Nothing is kept of a head that never ends.
    let mut stream = connect(world.address);
    let mut sent = 0;
    let _ = stream.write_all(b"GET / HTTP/1.1\r\n");
    while sent < 64 << 20 && stream.write_all(&[b'x'; 65536]).is_ok() {
        sent += 65536;
    }
    assert!(sent < 64 << 20, "an endless head was taken");
}

#[test]
fn what_asks_for_another_protocol_stays_with_this_one() {
    let world = World::new();
    let upgrade = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n";
    let reply = once(world.address, &with(FIRST, &format!("{HOST}{upgrade}")));
    assert_eq!((reply.status, reply.version.as_str()), (200, "HTTP/1.1"));
    let websocket = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n";
    refused_after(&world, &with(FIRST, &format!("{HOST}{websocket}")));
    let expects = with(FIRST, &format!("{HOST}Expect: 100-continue\r\n"));
    assert_eq!(once(world.address, &expects).status, 200);
    assert_eq!(once(world.address, &get("/latest", "")).status, 404);
}

fn refused_after(world: &World, request: &str) {
    world.desk.handed();
    refused(world, request, 403, Refused::Browser);
}
