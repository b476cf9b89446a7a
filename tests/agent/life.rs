//! Start, reload and end.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use super::support::World;
use super::support::activator::Activator;
use super::support::agent::{Agent, http};
use super::{ANYWHERE, eventually, world};

#[test]
fn there_is_one_agent() {
    let world = world("");
    let first = world.agent();
    let second = world.expect(1, &["agent"]);
    assert!(second.stderr.contains(&format!("(pid {})", first.pid())), "{second:?}");
    assert_eq!(first.container("app").status, 200);
}

#[test]
fn a_port_that_is_taken_is_an_error_that_names_its_owner() {
    let world = world("");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = taken.local_addr().unwrap();
    world.configure_agent(&format!("[agent]\nlisten = \"{at}\"\n"), "");
    let run = world.expect(1, &["agent"]);
    let us = format!("pid {} ", std::process::id());
    assert!(run.stderr.contains(&us) && run.stderr.contains("hint:"), "{run:?}");
}

#[test]
fn only_loopback_addresses_are_listened_at() {
    let world = world("");
    world.configure_agent("[agent]\nlisten = \"0.0.0.0:0\"\n", "");
    let run = world.expect(2, &["agent"]);
    assert!(run.stderr.contains("listen"), "{run:?}");
}

#[test]
fn a_wrong_configuration_changes_nothing_and_a_right_one_is_taken_up() {
    let world = world("");
    let agent = world.agent();
    let before = agent.container("app").json()["AccessKeyId"].clone();
    world.configure_agent(ANYWHERE, "imds = \"yes\"\n");
    agent.signal("HUP");
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(agent.imds("app").status, 200);
    // What is served goes on being served through a reload: the same session.
    world.configure_agent(ANYWHERE, "[profile.other]\nsource_profile = \"app\"\n");
    agent.signal("HUP");
    eventually("the new profile is served", || {
        agent.control("GET", "/v1/profiles/other", b"").status == 200
    });
    assert_eq!(agent.container("app").json()["AccessKeyId"], before);
    eventually("by container, too", || agent.container("other").status == 200);
    assert_eq!(agent.http("PUT", "/latest/api/token", "").status, 404, "no profile has imds now");
    world.configure_agent(ANYWHERE, "imds = true\n");
    agent.signal("HUP");
    eventually("the profile is gone", || {
        agent.control("GET", "/v1/profiles/other", b"").status == 404
    });
    let (code, said) = agent.stop();
    assert_eq!(code, 0);
    assert!(said.contains("imds") && said.contains("read again"), "{said}");
}

#[test]
fn an_agent_serves_what_is_added_and_forgets_what_is_removed() {
    let world = World::new();
    world.configure(ANYWHERE);
    let agent = world.agent();
    world.add_key("app", &world.id, &world.secret);
    eventually("the new profile is served", || {
        agent.control("GET", "/v1/profiles/app", b"").status == 200
            && agent.container("app").status == 200
    });
    // We hold what the container endpoint gave us. It is noted some moments after the answer.
    eventually("a holder is known", || {
        world.status()["leases"]["holders"].as_array().is_some_and(|holders| !holders.is_empty())
    });
    let run = world.expect(3, &["remove", "app", "--yes"]);
    assert!(run.stderr.contains("may hold the key"), "{run:?}");
    drop(agent);
    let agent = world.agent();
    std::fs::write(world.state().join("holders"), "").unwrap();
    drop(agent);
    let agent = world.agent();
    world.expect(0, &["remove", "app", "--yes"]);
    eventually("it is not served any more", || {
        agent.control("GET", "/v1/profiles/app", b"").status == 404
    });
}

#[test]
fn systemd_is_told_and_answers_under_way_are_finished() {
    let world = world("");
    let path = world.home.path().join("notify");
    let systemd = UnixDatagram::bind(&path).unwrap();
    systemd.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let told = |wanted: &str| {
        let mut buffer = [0; 512];
        loop {
            let length =
                systemd.recv(&mut buffer).unwrap_or_else(|error| panic!("{wanted}: {error}"));
            let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
            if text.contains(wanted) {
                return;
            }
        }
    };
    let mut command = world.command();
    command.env("NOTIFY_SOCKET", &path);
    let agent = Agent::start(&world, command);
    told("READY=1");
    agent.signal("HUP");
    told("RELOADING=1");
    told("MONOTONIC_USEC=");
    told("READY=1");
    // A request that is half sent when the end comes is answered still.
    let mut stream = std::net::TcpStream::connect(agent.listen()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let token = std::fs::read_to_string(world.state().join("token")).unwrap();
    write!(stream, "GET /credentials/app HTTP/1.1\r\nHost: localhost\r\nAuthorization: ").unwrap();
    std::thread::sleep(Duration::from_millis(200));
    agent.signal("TERM");
    told("STOPPING=1");
    write!(stream, "{token}\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(agent.stop().0, 0);
}

#[test]
fn a_socket_that_was_left_behind_and_a_keystore_that_fails_are_no_end() {
    let world = world("");
    world.agent().kill();
    world.write("passphrase", "not the one");
    let agent = world.agent();
    let served = world.expect(5, &["credential-process"]);
    assert!(served.stderr.contains("passphrase") && served.stdout.is_empty(), "{served:?}");
    assert_eq!(agent.container("app").status, 503);
    world.write("passphrase", super::support::PASSPHRASE);
    eventually("the key is served", || agent.container("app").status == 200);
    assert_eq!(world.served_id(), world.id);
}

/// As with a systemd socket unit: somebody else holds the sockets, so that a restart refuses nobody.
#[test]
fn a_restart_behind_held_sockets_refuses_no_connection() {
    let world = world("");
    let activator = Activator::start(&world, 0);
    let at = ([127, 0, 0, 1], activator.port).into();
    let token = std::fs::read_to_string(world.state().join("token"));
    let token = token.unwrap_or_else(|_| {
        // The first request waits for the agent to come up.
        assert_eq!(http(at, "GET", "/", "").status, 404);
        std::fs::read_to_string(world.state().join("token")).unwrap()
    });
    let authorization = format!("Authorization: {token}\r\n");
    let ask = || http(at, "GET", "/credentials/app", &authorization);
    assert_eq!(ask().status, 200);
    let session = ask().json()["AccessKeyId"].clone();
    for _ in 0..3 {
        activator.order("kill");
        // It is not there, and nobody is refused.
        let answers = ask();
        assert_eq!(answers.status, 200, "{answers:?}");
        assert_eq!(world.served_id(), world.id);
    }
    assert_ne!(ask().json()["AccessKeyId"], session, "a session is in memory only");
    assert!(activator.end().success());
}

#[test]
fn the_ledger_cannot_be_written_and_serving_goes_on() {
    let world = world("");
    let agent = world.agent();
    assert_eq!(agent.container("app").status, 200);
    // A folder where the lock should be: nobody can write the ledger.
    let lock = world.state().join("ledger.lock");
    let _ = std::fs::remove_file(&lock);
    std::fs::create_dir(&lock).unwrap();
    std::thread::sleep(Duration::from_secs(4));
    for _ in 0..3 {
        assert_eq!(agent.container("app").status, 200);
        assert_eq!(world.served_id(), world.id);
    }
    // And nothing is rotated on a ledger that cannot be written.
    let run = world.rotakey(&["rotate", "--wait", "deleted"]);
    assert_ne!(run.code, 0);
    assert!(world.accepts(&world.id));
    std::fs::remove_dir(&lock).unwrap();
    world.expect(0, &["rotate", "--wait", "deleted"]);
    assert!(World::keys(&world).len() == 1);
}
