//! Other users of this machine.

use std::process::{Command, Output};

use rotakey_endpoint::caller::own_uid;
use rotakey_endpoint::table::{Caller, Refused};

use super::client::{get, once};
use super::world::{TOKEN, World};

/// `nobody`, on every Unix.
const OTHER_UID: u32 = 65534;

/// Runs Python as another user.
fn as_another(script: &str, arguments: &[&str]) -> Output {
    let problem =
        "a second user is needed: run this test as root, with setpriv (util-linux) and python3";
    assert_eq!(own_uid(), 0, "{problem}");
    let id = OTHER_UID.to_string();
    // The system's Python: one in root's home cannot be reached by another user.
    let output = Command::new("setpriv")
        .env("PATH", "/usr/bin:/bin")
        .args(["--reuid", &id, "--regid", &id, "--clear-groups", "python3", "-c", script])
        .args(arguments)
        .output()
        .expect(problem);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{problem}: {error}");
    output
}

/// Connects and sends the request; prints what comes back until the other side closes.
const SEND: &str = "
import socket, sys, time
s = socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=20)
if sys.argv[4] == 'late': time.sleep(0.3)
try:
    s.sendall(sys.argv[3].encode())
except ConnectionError: pass
while True:
    try: part = s.recv(65536)
    except ConnectionResetError: break
    if not part: break
    sys.stdout.write(part.decode())
";

#[test]
fn another_user_is_told_so_and_given_nothing() {
    for listen in ["127.0.0.1:0", "[::1]:0"] {
        let world = World::with(Default::default(), listen);
        let (ip, port) = (world.address.ip().to_string(), world.address.port().to_string());
        let request = get("/credentials/deploy", &format!("Authorization: {TOKEN}\r\n"));
        for when in ["at once", "late"] {
            let output = as_another(SEND, &[&ip, &port, &request, when]);
            let answer = String::from_utf8(output.stdout).unwrap();
            assert!(answer.starts_with("HTTP/1.1 403 Forbidden\r\n"), "{answer:?}");
            assert!(answer.contains("connection: close\r\n"), "{answer}");
            let body = answer.split_once("\r\n\r\n").expect("a body").1;
            let body: serde_json::Value = serde_json::from_str(body).expect("JSON");
            assert!(body["code"].is_string() && body["message"].is_string(), "{body}");
            assert!(!answer.contains("SECRET"), "{answer}");
            let refusals = world.desk.refusals();
            let [(Refused::User, Some(Caller::Socket { uid: OTHER_UID, inode }), _)] = refusals[..]
            else {
                panic!("{refusals:?}");
            };
            assert!(inode > 0);
        }
        assert_eq!(world.desk.handed().len(), 0);
        // The owner is not hindered.
        assert_eq!(once(world.address, &request).status, 200);
    }
}

#[test]
fn another_user_does_not_get_through_the_unix_socket() {
    use std::os::unix::fs::PermissionsExt;
    let world = World::new();
    // Its mode would keep others out already; here it does not.
    for (path, mode) in [(world.folder.path(), 0o755), (&world.socket, 0o777)] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }
    let script = "
import socket, sys
s = socket.socket(socket.AF_UNIX); s.settimeout(20); s.connect(sys.argv[1])
s.sendall(b'GET /credential-process/deploy HTTP/1.1\\r\\nHost: 127.0.0.1\\r\\n\\r\\n')
while True:
    part = s.recv(65536)
    if not part: break
    sys.stdout.write(part.decode())
";
    let output = as_another(script, &[world.socket.to_str().unwrap()]);
    let answer = String::from_utf8(output.stdout).unwrap();
    assert!(answer.starts_with("HTTP/1.1 403 ") && !answer.contains("SECRET"), "{answer:?}");
    let refusals = world.desk.refusals();
    let [(Refused::User, Some(Caller::Process { uid: OTHER_UID, pid }), _)] = refusals[..] else {
        panic!("{refusals:?}");
    };
    assert!(pid > 0 && pid != std::process::id());
    assert_eq!(world.desk.handed().len(), 0);
}

/// Opens as many connections as it can, and holds them while the other side answers.
const CROWD: &str = "
import socket, sys
held = []
for _ in range(int(sys.argv[3])):
    s = socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=20)
    held.append(s)
closed = 0
for s in held:
    try:
        while s.recv(65536): pass
        closed += 1
    except ConnectionResetError: closed += 1
print(closed)
";

#[test]
fn a_crowd_of_another_user_takes_no_place_of_the_owner() {
    let limits = rotakey_endpoint::server::Limits { connections_max: 4, ..Default::default() };
    let world = World::limited(limits);
    let port = world.address.port().to_string();
    let mut kept = super::client::connect(world.address);
    let request = get("/credentials/deploy", &format!("Authorization: {TOKEN}\r\n"));
    assert_eq!(super::client::ask(&mut kept, &request).status, 200);
    let output = as_another(CROWD, &["127.0.0.1", &port, "200"]);
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "200");
    let whys = world.desk.whys();
    assert_eq!((whys.len(), whys.iter().all(|why| *why == Refused::User)), (200, true));
    // It was not closed to make room.
    assert_eq!(super::client::ask(&mut kept, &request).status, 200);
}
