//! Socket activation as such, by systemd's own tool, without a manager.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::free_port;
use super::support::World;

/// Ended, with what it became, when dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The agent's three sockets, opened by somebody else, who starts it when the first is asked.
fn activated(world: &World) -> (Running, [u16; 2]) {
    let (port, proxy) = (free_port(), free_port());
    let config =
        format!("[agent]\nlisten = \"127.0.0.1:{port}\"\nproxy_listen = \"127.0.0.1:{proxy}\"\n");
    // Not in the order in which the agent names them: it tells them apart by their addresses.
    (activated_as(world, &config, &[proxy, port], None), [port, proxy])
}

/// With these TCP sockets, called so.
fn activated_as(world: &World, config: &str, ports: &[u16], names: Option<&str>) -> Running {
    world.configure_agent(config, "");
    std::fs::create_dir(world.home.path().join("run")).unwrap();
    std::os::unix::fs::chown(world.home.path(), None, None).unwrap();
    let socket = world.home.path().join("run/agent.sock");
    std::fs::set_permissions(
        world.home.path().join("run"),
        std::os::unix::fs::PermissionsExt::from_mode(0o700),
    )
    .unwrap();
    let mut command = Command::new("systemd-socket-activate");
    command
        .args(ports.iter().map(|port| format!("--listen=127.0.0.1:{port}")))
        // The last one: when it is there, the others are.
        .arg(format!("--listen={}", socket.display()))
        .args(names.map(|names| format!("--fdname={names}")))
        .arg(format!("--setenv=ROTAKEY_HOME={}", world.home.path().display()))
        .args([env!("CARGO_BIN_EXE_rotakey"), "agent"])
        .stderr(Stdio::null());
    let child = command.spawn().expect("systemd-socket-activate: `make deps` installs systemd");
    let running = Running(child);
    let began = Instant::now();
    while !socket.exists() {
        assert!(
            began.elapsed() < Duration::from_secs(30),
            "systemd-socket-activate does not listen"
        );
        std::thread::sleep(Duration::from_millis(10));
    }
    running
}

fn ask(port: u16) -> super::support::agent::Answer {
    super::support::agent::http(([127, 0, 0, 1], port).into(), "GET", "/credentials/app", "")
}

/// Whoever names them need not say in `config.toml` where they are.
#[test]
fn sockets_that_have_names_are_told_apart_by_these() {
    let world = World::added();
    let (port, proxy) = (free_port(), free_port());
    let config = "[agent]\nlisten = \"127.0.0.1:0\"\nproxy_listen = \"127.0.0.1:0\"\n";
    let names = Some("proxy_listen:listen:control");
    let _running = activated_as(&world, config, &[proxy, port], names);
    assert_eq!(ask(proxy).status, 403);
    assert_eq!(ask(port).status, 401);
    let run = world.expect(0, &["env", "--source", "proxy", "--format", "json"]);
    assert!(run.stdout.contains(&format!("http://127.0.0.1:{proxy}")), "{run:?}");
}

/// As all sockets of one unit are called: by the unit.
#[test]
fn one_name_for_all_says_nothing() {
    let world = World::added();
    let (port, proxy) = (free_port(), free_port());
    let config =
        format!("[agent]\nlisten = \"127.0.0.1:{port}\"\nproxy_listen = \"127.0.0.1:{proxy}\"\n");
    let names = Some("rotakey.socket:rotakey.socket:rotakey.socket");
    let _running = activated_as(&world, &config, &[proxy, port], names);
    assert_eq!((ask(proxy).status, ask(port).status), (403, 401));
}

/// By a program of the proxy's: before the agent runs, its connection waits.
#[test]
fn the_proxys_port_starts_the_agent_too() {
    let world = World::added();
    let (running, [port, proxy]) = activated(&world);
    let answer = ask(proxy);
    assert_eq!(answer.status, 403, "{answer:?}");
    assert!(String::from_utf8_lossy(&answer.body).contains("not signed"), "{answer:?}");
    assert_eq!(ask(port).status, 401, "the other one is what it is");
    let run = world.expect(0, &["env", "--source", "proxy", "--format", "json"]);
    assert!(run.stdout.contains(&format!("http://127.0.0.1:{proxy}")), "{run:?}");
    drop(running);
}

#[test]
fn the_first_question_starts_the_agent_and_is_answered() {
    let world = World::added();
    let (running, [port, _]) = activated(&world);
    let exe = || std::fs::read_link(format!("/proc/{}/exe", running.0.id())).unwrap();
    assert!(!exe().ends_with("rotakey"), "nothing runs before somebody asks");
    assert_eq!(world.served_id(), world.id);
    assert!(exe().ends_with("rotakey"));
    // The agent answered, not the keystore: without its passphrase that is closed.
    std::fs::remove_file(world.home.path().join("passphrase")).unwrap();
    assert_eq!(world.served_id(), world.id);
    let answer = ask(port);
    assert_eq!(answer.status, 401, "{answer:?}");
}
