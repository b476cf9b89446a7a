//! Other users of this machine.

use std::fmt::Write as _;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Output};

use super::siege::{Siege, read_to_end, refused, statuses, tail};
use super::support::World;
use super::support::agent::{ANYWHERE, Agent};
use super::support::users::{NOBODY, as_nobody, send_as_nobody};

#[test]
fn another_user_with_the_right_token_gets_nothing() {
    let siege = Siege::new("-vvv");
    let port = siege.at.port().to_string();
    let output = send_as_nobody(&port, &siege.with_token(""));
    assert!(output.status.success(), "{output:?}");
    assert_eq!(statuses(&output.stdout), [403], "{output:?}");
    assert_eq!(siege.secret_in(&output.stdout), None);
    // The same words from the owner are answered.
    let owner = siege.send(siege.with_token("").as_bytes());
    assert_eq!(statuses(&owner), [200]);
    assert!(siege.secret_in(&owner).is_some(), "a secret would be seen");
    let said = siege.end();
    assert_eq!(refused(&said, "User"), 1, "{}", tail(&said));
    let line = said.lines().find(|line| line.contains("why=User")).unwrap();
    assert!(line.contains("uid: 65534"), "{line}");
}

#[test]
fn another_user_does_not_get_to_the_unix_socket_nor_through_it() {
    let siege = Siege::new("-vvv");
    let socket = siege.world.home.path().join("run/agent.sock");
    let ask = "GET /credential-process/app HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    // What keeps others out first: the folder's mode.
    let output = send_as_nobody(socket.to_str().unwrap(), ask);
    assert_eq!((output.status.code(), output.stdout.len()), (Some(7), 0), "{output:?}");
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let run = socket.parent().unwrap();
    assert_eq!((mode(run), mode(&socket)), (0o700, 0o600));
    // Even if somebody opened it to all: the kernel says who it is.
    let home = siege.world.home.path();
    for (path, mode) in [(home, 0o711), (run, 0o711), (&socket, 0o666)] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }
    let mut orders = String::new();
    for order in ["wake", "take-up", "token", "mfa"] {
        write!(
            orders,
            "POST /v1/profiles/app/{order} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"
        )
        .unwrap();
    }
    for message in [ask, "GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n", &orders] {
        let output = send_as_nobody(socket.to_str().unwrap(), message);
        assert_eq!(statuses(&output.stdout), [403], "{message}: {output:?}");
        assert_eq!(siege.secret_in(&output.stdout), None);
    }
    for (path, mode) in [(&*socket, 0o600), (run, 0o700), (home, 0o700)] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }
    let said = siege.end();
    assert_eq!(refused(&said, "User"), 3, "{}", tail(&said));
}

/// Gives a folder and all that is in it to another user.
fn give_away(folder: &Path) {
    chown(folder, Some(NOBODY), Some(NOBODY)).unwrap();
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        if entry.path().is_dir() {
            give_away(&entry.path());
        } else {
            chown(entry.path(), Some(NOBODY), Some(NOBODY)).unwrap();
        }
    }
}

/// Root is another user, too: it could take what it likes, but not by accident.
#[test]
fn an_agent_of_another_user_gives_root_nothing() {
    let world = World::added();
    world.configure_agent(ANYWHERE, "imds = true\n");
    // Where the binary is may be closed to others.
    let binary = world.home.path().join("rotakey");
    std::fs::copy(env!("CARGO_BIN_EXE_rotakey"), &binary).unwrap();
    give_away(world.home.path());
    let command = || {
        let mut command = as_nobody(&binary);
        command.env("ROTAKEY_HOME", world.home.path()).env("NO_COLOR", "1");
        command.current_dir(world.home.path());
        command
    };
    // What it says of itself only its user may ask.
    let agent = Agent::start_at(&world, command(), "-vvv");
    let ask = |args: &[&str]| run(&mut command(), args);
    let status: serde_json::Value =
        serde_json::from_slice(&ask(&["status", "--json"]).stdout).unwrap();
    assert_eq!(status["agent"]["pid"], agent.pid(), "{status}");
    let served = ask(&["credential-process", "--profile", "app"]);
    assert!(String::from_utf8_lossy(&served.stdout).contains(&world.secret), "{served:?}");
    let environment =
        String::from_utf8(ask(&["env", "app", "--source", "container"]).stdout).unwrap();
    let url = environment.split("http://127.0.0.1:").nth(1).expect("a URL");
    let port: u16 = url.split('/').next().unwrap().parse().unwrap();
    let token = std::fs::read_to_string(world.state().join("token")).unwrap();
    let message =
        super::siege::request("GET", "/credentials/app", &format!("Authorization: {token}\r\n"));
    let nobodys = send_as_nobody(&port.to_string(), &message);
    assert_eq!(statuses(&nobodys.stdout), [200], "its own user is served: {nobodys:?}");

    let mut tcp = super::siege::connect(([127, 0, 0, 1], port).into());
    std::io::Write::write_all(&mut tcp, message.as_bytes()).unwrap();
    let roots = read_to_end(&mut tcp);
    assert_eq!(statuses(&roots), [403], "{}", String::from_utf8_lossy(&roots));
    let mut unix = UnixStream::connect(world.home.path().join("run/agent.sock")).unwrap();
    unix.set_read_timeout(Some(super::siege::PATIENCE)).unwrap();
    let ask = "GET /credential-process/app HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    std::io::Write::write_all(&mut unix, ask.as_bytes()).unwrap();
    let roots = read_to_end(&mut unix);
    assert_eq!(statuses(&roots), [403], "{}", String::from_utf8_lossy(&roots));
    let (code, said) = agent.stop();
    assert_eq!((code, refused(&said, "User")), (0, 2), "{}", tail(&said));
    for secret in [&world.secret, &token] {
        assert_eq!(super::support::secrets::find_secret(said.as_bytes(), secret), None);
    }
}

fn run(command: &mut Command, args: &[&str]) -> Output {
    let output = command.args(args).output().unwrap();
    assert!(output.status.success(), "{args:?}: {output:?}");
    output
}
