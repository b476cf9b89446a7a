//! The keyring store against a real gnome-keyring, in a private D-Bus session with a home of its own.
//!
//! Each test starts itself again under `dbus-run-session`; a machine without gnome-keyring fails.
#![allow(clippy::disallowed_methods, reason = "a test")]
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

mod support;

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rotakey_agent::store::keystore::keyring::Keyring;
use rotakey_agent::store::keystore::{Keystore, KeystoreError, probe};
use rotakey_core::credential::{AccessKeyId, SecretAccessKey};
use rustix::process::{Pid, Signal, kill_process};
use secret_service::EncryptionType;
use secret_service::blocking::SecretService;

const INSIDE: &str = "ROTAKEY_TEST_KEYRING_SESSION";
const PACKAGES: &str = "Debian packages needed: gnome-keyring, dbus";

/// Runs the body in a private session with an unlocked keyring.
fn in_session(name: &str, body: fn()) {
    if std::env::var_os(INSIDE).is_some() {
        let _daemon = Daemon::start();
        body();
        return;
    }
    for program in ["gnome-keyring-daemon", "dbus-run-session", "dbus-send"] {
        let found = Command::new(program).arg("--version").output();
        assert!(found.is_ok(), "{program} is missing. {PACKAGES}");
    }
    let home = tempfile::tempdir().unwrap();
    let runtime = home.path().join("run");
    fs::create_dir(&runtime).unwrap();
    fs::set_permissions(&runtime, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    let output = Command::new("timeout")
        .args(["--kill-after=5", "60", "dbus-run-session", "--"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture", "--test-threads=1"])
        .env(INSIDE, "1")
        .env("HOME", home.path())
        .env("XDG_RUNTIME_DIR", &runtime)
        .env("XDG_DATA_HOME", home.path().join("data"))
        .env("XDG_CONFIG_HOME", home.path().join("config"))
        .env("XDG_CACHE_HOME", home.path().join("cache"))
        .env_remove("DBUS_SESSION_BUS_ADDRESS")
        .env_remove("DISPLAY")
        .env_remove("WAYLAND_DISPLAY")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}\n{text}\n{errors}", output.status);
    // A name that matches no test would succeed too.
    assert!(text.contains("1 passed"), "{text}");
}

/// Whichever daemon serves the session at the end is killed, by its process id.
struct Daemon;

impl Daemon {
    fn start() -> Self {
        let mut child = Command::new("gnome-keyring-daemon")
            .args(["--unlock", "--components=secrets"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect(PACKAGES);
        child.stdin.take().unwrap().write_all(b"testpw").unwrap();
        assert!(child.wait().unwrap().success());
        let started = Instant::now();
        while Self::pid().is_none() {
            assert!(started.elapsed() < Duration::from_secs(10), "no Secret Service came up");
            thread::sleep(Duration::from_millis(20));
        }
        Self
    }

    fn pid() -> Option<Pid> {
        let output = Command::new("dbus-send")
            .args(["--session", "--print-reply", "--dest=org.freedesktop.DBus", "/"])
            .arg("org.freedesktop.DBus.GetConnectionUnixProcessID")
            .arg("string:org.freedesktop.secrets")
            .stderr(Stdio::null())
            .output()
            .expect(PACKAGES);
        let text = String::from_utf8(output.stdout).unwrap();
        Pid::from_raw(text.split_whitespace().last()?.parse().ok()?)
    }

    fn signal(signal: Signal) -> Pid {
        let pid = Self::pid().expect("a daemon runs");
        kill_process(pid, signal).unwrap();
        pid
    }

    fn kill() {
        let pid = Self::signal(Signal::KILL);
        while Self::pid() == Some(pid) {
            thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if let Some(pid) = Self::pid() {
            // It may end by itself at this moment.
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

fn id(text: &str) -> AccessKeyId {
    text.parse().unwrap()
}

fn secret(text: &str) -> SecretAccessKey {
    SecretAccessKey::new(text.to_owned())
}

/// The result, and how long it took.
fn lock() {
    let service = SecretService::connect(EncryptionType::Plain).unwrap();
    service.get_default_collection().unwrap().lock().unwrap();
}

fn timed<T>(call: impl FnOnce() -> T) -> (T, Duration) {
    let started = Instant::now();
    let result = call();
    (result, started.elapsed())
}

#[test]
fn secrets_round_trip_and_are_never_replaced() {
    in_session("secrets_round_trip_and_are_never_replaced", || {
        let store = Keyring::new();
        assert_eq!(store.get(&id("AKIAONE")).unwrap(), None);
        store.delete(&id("AKIAONE")).unwrap();
        store.put(&id("AKIAONE"), &secret("one")).unwrap();
        store.put(&id("AKIAONE"), &secret("one")).unwrap();
        let replaced = store.put(&id("AKIAONE"), &secret("two"));
        assert!(matches!(replaced, Err(KeystoreError::Conflict { .. })), "{replaced:?}");
        assert_eq!(store.get(&id("AKIAONE")).unwrap(), Some(secret("one")));
        assert_eq!(Keyring::new().get(&id("AKIAONE")).unwrap(), Some(secret("one")));
        store.delete(&id("AKIAONE")).unwrap();
        assert_eq!(store.get(&id("AKIAONE")).unwrap(), None);
        probe(&store, "app").unwrap();
    });
}

#[test]
fn a_locked_keyring_is_told_at_once() {
    in_session("a_locked_keyring_is_told_at_once", || {
        let store = Keyring::new();
        store.put(&id("AKIAONE"), &secret("one")).unwrap();
        lock();
        for _ in 0..3 {
            let (read, took) = timed(|| store.get(&id("AKIAONE")));
            assert!(matches!(read, Err(KeystoreError::Locked { .. })), "{read:?}");
            assert!(took < Duration::from_secs(1), "{took:?}");
            let (put, took) = timed(|| store.put(&id("AKIATWO"), &secret("two")));
            assert!(matches!(put, Err(KeystoreError::Locked { .. })), "{put:?}");
            assert!(took < Duration::from_secs(1), "{took:?}");
        }
    });
}

#[test]
fn a_killed_daemon_is_an_error_and_a_new_one_is_found() {
    in_session("a_killed_daemon_is_an_error_and_a_new_one_is_found", || {
        let store = Keyring::new();
        store.put(&id("AKIAONE"), &secret("one")).unwrap();
        Daemon::kill();
        // D-Bus may start another one, which is locked.
        let (read, took) = timed(|| store.get(&id("AKIAONE")));
        assert!(
            matches!(read, Err(KeystoreError::Locked { .. } | KeystoreError::Unreachable { .. })),
            "{read:?}"
        );
        assert!(took < Duration::from_secs(4), "{took:?}");
        if Daemon::pid().is_some() {
            Daemon::kill();
        }
        let _daemon = Daemon::start();
        assert_eq!(store.get(&id("AKIAONE")).unwrap(), Some(secret("one")));
    });
}

#[test]
fn a_daemon_that_stands_still_is_not_waited_for() {
    in_session("a_daemon_that_stands_still_is_not_waited_for", || {
        let store = Keyring::new();
        store.put(&id("AKIAONE"), &secret("one")).unwrap();
        let pid = Daemon::signal(Signal::STOP);
        let (read, took) = timed(|| store.get(&id("AKIAONE")));
        let error = read.unwrap_err();
        assert!(error.to_string().contains("did not answer within 3 s"), "{error}");
        assert!(took < Duration::from_secs(4), "{took:?}");
        kill_process(pid, Signal::CONT).unwrap();
        assert_eq!(store.get(&id("AKIAONE")).unwrap(), Some(secret("one")));
    });
}

#[test]
fn without_a_bus_it_is_unreachable() {
    const NAME: &str = "without_a_bus_it_is_unreachable";
    if std::env::var_os(INSIDE).is_none() {
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", NAME, "--nocapture"])
            .env(INSIDE, "1")
            .env("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nonexistent/bus")
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && text.contains("1 passed"), "{text}");
        return;
    }
    let (read, took) = timed(|| Keyring::new().get(&id("AKIAONE")));
    assert!(matches!(read, Err(KeystoreError::Unreachable { .. })), "{read:?}");
    assert!(took < Duration::from_secs(1), "{took:?}");
}

#[test]
fn a_rotation_keeps_its_secrets_in_the_keyring() {
    in_session("a_rotation_keeps_its_secrets_in_the_keyring", || {
        let world = support::World::new();
        world.write("config.toml", "[store]\nkind = \"keyring\"\n");
        world.add_key("app", &world.id, &world.secret);
        let profile = world.quick_profile("");
        world.write("config.toml", &format!("[store]\nkind = \"keyring\"\n{profile}"));
        world.expect(0, &["rotate", "--wait", "deleted"]);
        world.assert_rotated();
        assert!(!world.home.path().join("state/keys").exists(), "nothing fell back to a file");
        let keyring = Keyring::new();
        assert!(keyring.get(&id(&world.served_id())).unwrap().is_some());
        assert!(keyring.get(&id(&world.id)).unwrap().is_none(), "the old secret is gone");

        // Locked: said before anything is created.
        lock();
        let run = world.expect(5, &["rotate"]);
        assert!(run.stderr.contains("locked") && run.stderr.contains("hint:"), "{run:?}");
        assert_eq!(world.keys().len(), 1);
    });
}
