//! How long a connection lives, and what it may do meanwhile.

use std::io::Write;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rotakey_endpoint::server::Limits;
use rotakey_endpoint::table::Refused;

use super::client::{PATIENCE, ask, connect, get, is_closed, read_reply};
use super::world::{TOKEN, World};

const SHORT: Duration = Duration::from_millis(300);
const LONG: Duration = Duration::from_secs(600);

pub fn request() -> String {
    get("/credentials/deploy", &format!("Authorization: {TOKEN}\r\n"))
}

/// All times long, so that each test shortens the one that it is about.
fn limits() -> Limits {
    Limits { header_read: LONG, idle: LONG, request: LONG, ..Limits::default() }
}

#[test]
fn the_default_limits_are_those_that_are_promised() {
    let limits = Limits::default();
    assert_eq!((limits.connections_max, limits.header_bytes_max), (512, 16 * 1024));
    let seconds = [limits.header_read, limits.idle, limits.request].map(|time| time.as_secs());
    assert_eq!(seconds, [10, 75, 10]);
}

#[test]
fn a_connection_stays_for_many_requests_of_one_caller() {
    let world = World::new();
    let mut stream = connect(world.address);
    for _ in 0..100 {
        assert_eq!(ask(&mut stream, &request()).status, 200);
        // A refusal does not end it.
        assert_eq!(ask(&mut stream, &get("/credentials/deploy", "")).status, 401);
    }
    let mut callers: Vec<_> = world.desk.handed().into_iter().map(|h| h.caller).collect();
    assert_eq!(callers.len(), 100);
    callers.dedup();
    assert_eq!(callers.len(), 1);
}

#[test]
fn pipelined_requests_are_answered_in_their_order() {
    let world = World::new();
    let mut stream = connect(world.address);
    let three = [request(), get("/credentials/deploy", ""), get("/latest", "")].concat();
    stream.write_all(three.repeat(30).as_bytes()).unwrap();
    for _ in 0..30 {
        for status in [200, 401, 404] {
            assert_eq!(read_reply(&mut stream).expect("an answer").status, status);
        }
    }
}

#[test]
fn a_request_may_come_in_any_pieces() {
    let world = World::new();
    let mut stream = connect(world.address);
    for _ in 0..2 {
        for byte in request().as_bytes() {
            stream.write_all(&[*byte]).unwrap();
        }
        assert_eq!(read_reply(&mut stream).expect("an answer").status, 200);
    }
}

#[test]
fn who_asks_to_close_is_closed() {
    let world = World::new();
    let close = format!("Authorization: {TOKEN}\r\nConnection: close\r\n");
    let mut stream = connect(world.address);
    let reply = ask(&mut stream, &get("/credentials/deploy", &close));
    assert_eq!((reply.status, reply.header("connection")), (200, Some("close")));
    assert!(is_closed(&mut stream));

    let old = request().replace("HTTP/1.1", "HTTP/1.0");
    let mut stream = connect(world.address);
    assert_eq!(ask(&mut stream, &old).status, 200);
    assert!(is_closed(&mut stream));

    let old = old.replace("\r\n\r\n", "\r\nConnection: keep-alive\r\n\r\n");
    let mut stream = connect(world.address);
    for _ in 0..2 {
        let reply = ask(&mut stream, &old);
        assert_eq!((reply.status, reply.version.as_str()), (200, "HTTP/1.0"));
        assert_eq!(reply.header("connection"), Some("keep-alive"));
    }
}

#[test]
fn a_head_that_comes_byte_by_byte_is_cut_off() {
    let world = World::limited(Limits { header_read: SHORT, ..limits() });
    for earlier_requests in [0, 1, 3] {
        let mut stream = connect(world.address);
        for _ in 0..earlier_requests {
            assert_eq!(ask(&mut stream, &request()).status, 200);
        }
        let began = Instant::now();
        // Until the other side has closed it; without an end, were it not.
        let mut bytes = request().into_bytes().into_iter().cycle().filter(|b| !b"\r\n".contains(b));
        while stream.write_all(&[bytes.next().expect("no end")]).is_ok() {
            assert!(began.elapsed() < PATIENCE, "after {earlier_requests}: still open");
            sleep(Duration::from_millis(10));
        }
        assert!(began.elapsed() >= SHORT, "after {earlier_requests}: {:?}", began.elapsed());
        world.wait_until("accounted for", |w| w.desk.whys() == [Refused::Malformed]);
    }
}

#[test]
fn a_connection_that_says_nothing_is_closed() {
    let world = World::limited(Limits { header_read: SHORT, ..limits() });
    let (mut stream, began) = (connect(world.address), Instant::now());
    assert!(is_closed(&mut stream));
    assert!(began.elapsed() >= SHORT);
}

#[test]
fn between_requests_there_is_more_time_than_for_one() {
    let world = World::limited(Limits { header_read: SHORT, ..limits() });
    let mut stream = connect(world.address);
    for _ in 0..2 {
        assert_eq!(ask(&mut stream, &request()).status, 200);
        sleep(2 * SHORT);
    }
    assert_eq!(ask(&mut stream, &request()).status, 200);
}

#[test]
fn a_connection_that_is_not_used_any_more_is_closed_quietly() {
    let world = World::limited(Limits { idle: SHORT, ..limits() });
    let mut stream = connect(world.address);
    for _ in 0..3 {
        assert_eq!(ask(&mut stream, &request()).status, 200);
        sleep(SHORT / 3);
    }
    assert_eq!(ask(&mut stream, &request()).status, 200);
    let began = Instant::now();
    assert!(is_closed(&mut stream));
    assert!(began.elapsed() >= SHORT * 9 / 10, "{:?}", began.elapsed());
    // One whose answer took a while.
    let mut stream = connect(world.address);
    stream.write_all(get("/slow", "").as_bytes()).unwrap();
    world.runtime.block_on(world.desk.slow.notified());
    world.desk.go.notify_one();
    assert_eq!(read_reply(&mut stream).expect("an answer").status, 404);
    assert!(is_closed(&mut stream));
    assert_eq!(world.desk.whys(), [Refused::NotFound]);
}

#[test]
fn whoever_does_not_take_its_answers_is_cut_off() {
    let world = World::limited(Limits { request: SHORT, ..limits() });
    let mut stream = connect(world.address);
    let many = request().repeat(100);
    let began = Instant::now();
    while stream.write_all(many.as_bytes()).is_ok() {
        assert!(began.elapsed() < PATIENCE, "still open");
    }
    world.wait_until("accounted for", |w| w.desk.whys() == [Refused::Malformed]);
}

#[test]
fn an_answer_that_takes_too_long_is_given_up() {
    let world = World::limited(Limits { request: SHORT, ..limits() });
    let mut stream = connect(world.address);
    let reply = ask(&mut stream, &get("/slow", ""));
    assert_eq!((reply.status, reply.header("connection")), (503, Some("close")));
    assert!(reply.json()["message"].is_string());
    assert!(is_closed(&mut stream));
    assert_eq!(world.desk.whys(), [Refused::Unavailable]);
}

#[test]
fn whoever_hangs_up_is_no_refusal() {
    let world = World::new();
    for sent in ["", "GET /cred", &request()] {
        let mut stream = connect(world.address);
        stream.write_all(sent.as_bytes()).unwrap();
    }
    let mut stream = connect(world.address);
    assert_eq!(ask(&mut stream, &request()).status, 200);
    assert_eq!(world.desk.refusals(), []);
}

#[test]
fn only_loopback_addresses_are_listened_at() {
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:0"] {
        let error =
            rotakey_endpoint::server::listen_tcp(address.parse().unwrap()).expect_err(address);
        assert!(error.to_string().contains("hint:"), "{error}");
    }
}
