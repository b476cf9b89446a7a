//! More than anybody needs, or slower: over HTTP/1.1 and HTTP/2.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use aws_sigv4::http_request::SignableBody;

use crate::client::Client;
use crate::field::{Field, and, bytes, lines};
use crate::siege::{PATIENCE, connect, statuses};

/// How much the agent may grow under any of these, in a build that is not optimised.
const GROWTH_KIB_MAX: u64 = 64 * 1024;

fn rss_kib(field: &Field) -> u64 {
    let path = format!("/proc/{}/status", field.siege.agent.pid());
    let status = std::fs::read_to_string(path).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// A frame of HTTP/2.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const CONTINUATION: u8 = 9;

/// `GET /` for 127.0.0.1, without compression but for what the table has.
fn head() -> Vec<u8> {
    let mut head = vec![0x82, 0x86, 0x84, 0x01, 9];
    head.extend_from_slice(b"127.0.0.1");
    head
}

/// Writes what `next` gives until the other side has had enough. How many frames that took.
fn until_closed(field: &Field, mut next: impl FnMut(u32) -> Vec<u8>) -> u32 {
    let mut stream = connect(field.proxy);
    let mut reading = stream.try_clone().unwrap();
    // Its answers are read, so that it cannot be the full pipe that ends it.
    let reader = std::thread::spawn(move || {
        let mut all = Vec::new();
        let _ = reading.read_to_end(&mut all);
        all
    });
    let mut start = PREFACE.to_vec();
    start.extend(frame(SETTINGS, 0, 0, &[]));
    stream.write_all(&start).unwrap();
    let since = Instant::now();
    let mut count = 0;
    loop {
        assert!(since.elapsed() < PATIENCE, "{count} frames, and no end");
        let frames = next(count);
        if stream.write_all(&frames).is_err() || reader.is_finished() {
            break;
        }
        count += 1;
    }
    let _ = stream.shutdown(std::net::Shutdown::Both);
    let answered = reader.join().unwrap();
    assert_eq!(field.siege.secret_in(&answered), None);
    count
}

#[test]
fn floods_of_http_2_are_cut_off_and_cost_little() {
    let field = Field::new("-v");
    let rest = rss_kib(&field);
    let before = field.upstream.count();
    let reset = until_closed(&field, |at| {
        let stream = 2 * at + 1;
        let mut two = frame(HEADERS, 5, stream, &head());
        two.extend(frame(RST_STREAM, 0, stream, &8u32.to_be_bytes()));
        two
    });
    assert_eq!(field.upstream.count(), before);
    field.honest().unwrap();
    let mut literal = vec![0x00, 1, b'a', 100];
    literal.extend([b'x'; 100]);
    let literal = literal.repeat(150);
    let continued = until_closed(&field, |at| match at {
        0 => frame(HEADERS, 1, 1, &head()),
        _ => frame(CONTINUATION, 0, 1, &literal),
    });
    field.honest().unwrap();
    let empty = until_closed(&field, |at| match at {
        0 => frame(HEADERS, 1, 1, &head()),
        _ => frame(CONTINUATION, 0, 1, &[]),
    });
    field.honest().unwrap();
    // Nobody reads the answers to these.
    let peak = rss_kib(&field);
    println!(
        "resets {reset}, continuations {continued}, empty {empty}; {rest} KiB, then {peak} KiB"
    );
    assert!(peak < rest + GROWTH_KIB_MAX, "{rest} KiB, then {peak} KiB");
    field.end(&[]);
}

/// A thousand streams whose bodies never come, and answers and pings that are never read.
#[test]
fn streams_that_stand_still_are_few_and_hold_nobody_up() {
    let field = Field::new("-v");
    let rest = rss_kib(&field);
    let mut stream = connect(field.proxy);
    stream.set_write_timeout(Some(Duration::from_secs(2))).unwrap();
    let mut bytes = PREFACE.to_vec();
    bytes.extend(frame(SETTINGS, 0, 0, &[]));
    for at in 0..1000 {
        // No END_STREAM: a body is to come.
        bytes.extend(frame(HEADERS, 4, 2 * at + 1, &head()));
    }
    for _ in 0..10_000 {
        bytes.extend(frame(PING, 0, 0, &[7; 8]));
    }
    // It need not take all of it.
    let _ = stream.write_all(&bytes);
    field.honest().unwrap();
    let peak = rss_kib(&field);
    println!("{rest} KiB, then {peak} KiB");
    assert!(peak < rest + GROWTH_KIB_MAX, "{rest} KiB, then {peak} KiB");
    drop(stream);
    field.honest().unwrap();
    field.end(&[]);
}

/// What comes byte by byte, or stops coming, is given up; meanwhile and afterwards the owner is answered.
#[test]
fn who_is_slow_holds_nobody_up() {
    let field = Field::new("-v");
    let right = bytes(&field.put(&[]), b"abc");
    let unsigned = || {
        let request = field.request("PUT", "/b/slow", &[]);
        lines(&field.client().sign(request, SignableBody::UnsignedPayload))
    };
    let long = bytes(&and(unsigned(), &["content-length: 4194304"]), b"abc");
    let chunked = bytes(&and(unsigned(), &["transfer-encoding: chunked"]), b"4\r\nabc");
    let client = Client { service: "dynamodb", ..field.client() };
    let request = field.request("POST", "/", &[]);
    let implicit = lines(&client.sign(request, SignableBody::Bytes(b"{}")));
    let implicit = bytes(&and(implicit, &["content-length: 2"]), b"{");
    let stands = [
        ("half a head", right[..50].to_vec()),
        ("half a short body", right[..right.len() - 1].to_vec()),
        ("half a long body", long),
        ("half a chunk", chunked),
        ("half a body to be hashed", implicit),
    ];
    let slow: Vec<(&str, TcpStream)> = stands
        .into_iter()
        .map(|(name, bytes)| {
            let mut stream = connect(field.proxy);
            stream.write_all(&bytes).unwrap();
            (name, stream)
        })
        .collect();
    let mut dripping = connect(field.proxy);
    let since = Instant::now();
    while dripping.write_all(b"G").is_ok() {
        assert!(since.elapsed() < PATIENCE, "a head that comes byte by byte goes on");
        field.honest().unwrap();
        std::thread::sleep(Duration::from_millis(200));
    }
    for (name, mut stream) in slow {
        stream.set_read_timeout(Some(2 * PATIENCE)).unwrap();
        let mut answer = Vec::new();
        let ended = stream.read_to_end(&mut answer);
        assert!(!matches!(&ended, Err(e) if e.kind() == std::io::ErrorKind::WouldBlock), "{name}");
        assert_ne!(statuses(&answer), [200], "{name}");
        assert_eq!(field.siege.secret_in(&answer), None, "{name}");
    }
    field.honest().unwrap();
    let whole = |seen: &crate::upstream::Seen| seen.whole && !seen.path().starts_with("/honest/");
    assert!(!field.upstream.seen().iter().any(whole));
    field.end(&[]);
}
