//! Going away without hurting anybody.

use std::io::Write;
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rotakey_endpoint::drain::Drain;
use rotakey_endpoint::server::serve_tcp;

use super::client::{PATIENCE, ask, connect, get, is_closed, read_reply};
use super::connections::request;
use super::world::{Counter, World};

const LONG: Duration = Duration::from_secs(600);

#[test]
fn what_has_begun_is_finished_and_nothing_more_is_begun() {
    let mut world = World::new();
    let mut idle = connect(world.address);
    assert_eq!(ask(&mut idle, &request()).status, 200);
    let mut process = world.unix();
    assert_eq!(ask(&mut process, &get("/credential-process/deploy", "")).status, 200);
    let mut asked = connect(world.address);
    asked.write_all((get("/slow", "") + &request()).as_bytes()).unwrap();
    world.runtime.block_on(world.desk.slow.notified());

    world.drain(LONG);
    assert!(is_closed(&mut idle) && is_closed(&mut process));
    world.wait_until("nobody listens", |world| TcpStream::connect(world.address).is_err());
    assert!(!world.servers[0].is_finished());
    world.desk.go.notify_one();
    assert_eq!(read_reply(&mut asked).expect("an answer").status, 404);
    // The answer may have been faster than the word to leave; then so may be the next.
    if let Some(reply) = read_reply(&mut asked) {
        assert_eq!(reply.status, 200);
        assert!(is_closed(&mut asked));
    }
    world.join();
}

#[test]
fn the_deadline_ends_what_does_not_end_itself() {
    let mut world = World::new();
    let mut asked = connect(world.address);
    asked.write_all(get("/slow", "").as_bytes()).unwrap();
    world.runtime.block_on(world.desk.slow.notified());
    let began = Instant::now();
    world.drain(Duration::from_millis(200));
    // A second call does not give more time.
    world.drain(LONG);
    world.join();
    assert!(began.elapsed() >= Duration::from_millis(200));
    assert!(is_closed(&mut asked));
}

#[test]
fn a_connection_that_has_asked_for_nothing_does_not_hold_it_up() {
    let mut world = World::new();
    let (mut silent, mut half) = (connect(world.address), connect(world.address));
    half.write_all(b"GET /cred").unwrap();
    // Both are in: later ones are answered.
    assert_eq!(ask(&mut connect(world.address), &request()).status, 200);
    let mut last = connect(world.address);
    assert_eq!(ask(&mut last, &request()).status, 200);
    world.drain(LONG);
    world.join();
    assert!(is_closed(&mut silent) && is_closed(&mut half) && is_closed(&mut last));
}

#[test]
fn whoever_already_waits_at_the_door_is_answered() {
    let world = World::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    let mut waiting: Vec<TcpStream> = (0..20).map(|_| connect(address)).collect();
    for stream in &mut waiting {
        stream.write_all(request().as_bytes()).unwrap();
    }
    let (drainer, drain) = Drain::new();
    drainer.drain(LONG);
    let counter = Arc::new(Counter(Arc::clone(&world.desk)));
    let serving = async {
        let listener = tokio::net::TcpListener::from_std(listener).unwrap();
        let serving = serve_tcp(listener, counter, Default::default(), drain);
        tokio::time::timeout(PATIENCE, serving).await
    };
    world.runtime.block_on(serving).expect("it returns");
    for stream in &mut waiting {
        assert_eq!(read_reply(stream).expect("an answer").status, 200);
        assert!(is_closed(stream));
    }
}

#[test]
fn a_drainer_that_is_dropped_ends_it_at_once() {
    let mut world = World::new();
    let mut asked = connect(world.address);
    asked.write_all(get("/slow", "").as_bytes()).unwrap();
    world.runtime.block_on(world.desk.slow.notified());
    drop(std::mem::replace(&mut world.drainer, Drain::new().0));
    world.join();
    assert!(is_closed(&mut asked));
}
