//! More connections than there may be.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rotakey_endpoint::server::Limits;
use rotakey_endpoint::table::Refused;

use super::client::{ask, connect, get, is_closed, read_reply};
use super::connections::request;
use super::world::World;

fn full_at(connections_max: usize) -> World {
    let header_read = Duration::from_secs(600);
    World::limited(Limits { connections_max, header_read, ..Limits::default() })
}

#[test]
fn the_oldest_that_asks_for_nothing_makes_room() {
    let world = full_at(3);
    let mut idle = connect(world.address);
    assert_eq!(ask(&mut idle, &request()).status, 200);
    let mut silent: Vec<TcpStream> = (0..2).map(|_| connect(world.address)).collect();
    let mut held = Vec::new();
    // Those that never asked for anything first, by their age.
    for silent in &mut silent {
        let mut next = connect(world.address);
        assert_eq!(ask(&mut next, &request()).status, 200);
        assert!(is_closed(silent));
        assert_eq!(world.desk.whys(), [Refused::Crowded]);
        assert_eq!(ask(&mut idle, &request()).status, 200);
        held.push(next);
    }
    // Then those that wait for another request.
    let _next = comes_in(&world);
    assert!(is_closed(&mut idle));
}

#[test]
fn nobody_who_has_a_request_is_closed_for_somebody_else() {
    let world = full_at(2);
    let mut asked: Vec<TcpStream> = (0..2).map(|_| connect(world.address)).collect();
    for stream in &mut asked {
        stream.write_all(get("/slow", "").as_bytes()).unwrap();
        world.runtime.block_on(world.desk.slow.notified());
    }
    let mut turned_away = connect(world.address);
    assert!(is_closed(&mut turned_away));
    assert_eq!(world.desk.whys(), [Refused::Crowded]);
    for _ in &asked {
        world.desk.go.notify_one();
    }
    for stream in &mut asked {
        assert_eq!(read_reply(stream).expect("an answer").status, 404);
    }
    world.desk.refusals();
    // There is room again once one has its answer.
    comes_in(&world);
}

/// A client has its answer an instant before the server is done with it; until then its place is not free.
fn comes_in(world: &World) -> TcpStream {
    let mut next = None;
    world.wait_until("there is room", |world| {
        let next = next.insert(connect(world.address));
        let _ = next.write_all(request().as_bytes());
        read_reply(next).is_some_and(|reply| reply.status == 200)
    });
    next.expect("it came in")
}

#[test]
fn a_place_is_free_again_when_its_connection_is_closed() {
    let world = full_at(2);
    for _ in 0..50 {
        drop(comes_in(&world));
    }
    let mut kept = comes_in(&world);
    assert_eq!(ask(&mut kept, &request()).status, 200);
}

/// Opens connections and holds them until its input ends; a part of each sends half a head.
const CROWD: &str = "
import resource, socket, sys
count, port = int(sys.argv[1]), int(sys.argv[2])
soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
held = []
for n in range(count):
    s = socket.create_connection(('127.0.0.1', port), timeout=20)
    try:
        if n % 3 == 0: s.sendall(b'GET /credentials/deploy HTTP/1.1\\r\\nHost: 127.0.0.1\\r\\nX: ')
    except ConnectionError: pass
    held.append(s)
    if n % 100 == 99: print(n + 1, flush=True)
sys.stdin.read()
";

#[test]
fn ten_thousand_connections_cost_little_and_shut_nobody_out() {
    let world = World::new();
    // What the allocator keeps in any case comes first.
    let mut honest = connect(world.address);
    for _ in 0..100 {
        assert_eq!(ask(&mut honest, &request()).status, 200);
    }
    let before = resident_kib();
    let mut crowd = Command::new("python3")
        .args(["-c", CROWD, "10000", &world.address.port().to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3");
    let mut slowest = Duration::ZERO;
    let mut most = 0;
    let mut opened = 0;
    for line in BufReader::new(crowd.stdout.take().unwrap()).lines() {
        opened = line.unwrap().parse().unwrap();
        most = most.max(resident_kib());
        // Somebody new gets through while they come. If they are faster than its first request, at the next try.
        let began = Instant::now();
        drop(comes_in(&world));
        slowest = slowest.max(began.elapsed());
        if opened == 10_000 {
            break;
        }
    }
    assert_eq!(opened, 10_000);
    drop(crowd.stdin.take());
    assert!(crowd.wait().unwrap().success());
    let grown = most - before;
    println!("10000 connections: {grown} KiB, slowest answer {slowest:?}");
    // 512 connections with a buffer each, and what stands around them, in a build that is not optimised.
    assert!(grown < 32 * 1024, "{grown} KiB");
    assert_eq!(world.desk.whys().iter().filter(|why| **why != Refused::Crowded).count(), 0);
    world.desk.handed();
}

/// This process's memory.
fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
