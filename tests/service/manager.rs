//! Under a real user manager, of an ordinary user, in a mount namespace of its own.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::support::{Run, World};
use super::{free_port, need};

/// No user of this machine's: nothing else runs as it.
const UID: u32 = 61_234;

/// The manager, ended with all that it started when this is dropped.
struct Manager {
    child: Child,
    /// The process whose mount namespace is the manager's.
    pid: String,
    home: PathBuf,
    rotakey_home: PathBuf,
}

impl Manager {
    fn start(home: &Path, rotakey_home: &Path) -> Self {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/service/manager.sh");
        // In a chroot, whose root is no mount, propagation cannot be changed.
        let private = ["--mount", "--propagation", "private"];
        let mut tried = Command::new("unshare");
        let is_private = tried.args(private).arg("true").stderr(Stdio::null()).status();
        let is_private = is_private.is_ok_and(|status| status.success());
        let mut child = Command::new("unshare")
            .args(["--mount", "--propagation", if is_private { "private" } else { "unchanged" }])
            .args(["bash", script])
            .arg(UID.to_string())
            .arg(home)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("unshare (util-linux)");
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let pid = line.trim().strip_prefix("ready ");
        let pid =
            pid.expect("a user manager: this test wants root, cgroup v2 and systemd (`make deps`)");
        let (pid, home) = (pid.to_owned(), home.to_owned());
        Self { child, pid, home, rotakey_home: rotakey_home.to_owned() }
    }

    /// Runs a program as the user, in its session.
    fn run(&self, program: &Path, args: &[&str]) -> Run {
        need(&mut self.command(program, args)).into()
    }

    fn command(&self, program: &Path, args: &[&str]) -> Command {
        let id = UID.to_string();
        let mut command = Command::new("nsenter");
        command
            .arg(format!("--mount=/proc/{}/ns/mnt", self.pid))
            .arg(format!("--root=/proc/{}/root", self.pid))
            .args(["setpriv", "--reuid", &id, "--regid", &id, "--clear-groups", "env", "-i"])
            .arg("PATH=/usr/bin:/bin")
            .arg(format!("HOME={}", self.home.display()))
            .arg(format!("ROTAKEY_HOME={}", self.rotakey_home.display()))
            .arg(format!("XDG_RUNTIME_DIR=/run/user/{id}"))
            // A shell's own, of which the manager knows nothing.
            .arg(format!("XDG_CONFIG_HOME={}", self.home.join("elsewhere").display()))
            .arg(program)
            .args(args);
        command
    }

    fn rotakey(&self, args: &[&str]) -> Run {
        self.run(&self.home.join("rotakey"), args)
    }

    fn systemctl(&self, args: &[&str]) -> Run {
        let args = [&["--user", "--no-pager"], args].concat();
        self.run(Path::new("systemctl"), &args)
    }

    fn property(&self, unit: &str, name: &str) -> String {
        let run = self.systemctl(&["show", "--value", "--property", name, unit]);
        run.stdout.trim().to_owned()
    }

    fn main_pid(&self) -> String {
        self.property("rotakey.service", "MainPID")
    }

    /// What a program is given, by an agent: the keystore is closed to it.
    fn served(&self) -> String {
        let run = self.rotakey(&["credential-process", "--profile", "app"]);
        assert_eq!(run.code, 0, "{run:?}");
        let served: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
        served["AccessKeyId"].as_str().unwrap().to_owned()
    }

    /// A line of the agent's `/proc/<pid>/status`.
    fn proc_status(&self, line: &str) -> String {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.main_pid())).unwrap();
        let found = status.lines().find_map(|text| text.strip_prefix(line));
        found.unwrap().trim().to_owned()
    }
}

impl Drop for Manager {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// Gives a folder, with all that is in it, to the user.
fn give(path: &Path) {
    chown(path, Some(UID), Some(UID)).unwrap();
    if path.is_dir() {
        std::fs::read_dir(path).unwrap().for_each(|entry| give(&entry.unwrap().path()));
    }
}

/// Waits for what systemd does by itself.
fn until(what: &str, mut is: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is() {
        assert!(began.elapsed() < Duration::from_secs(30), "{what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn installed_used_killed_reloaded_and_uninstalled_under_a_real_user_manager() {
    let world = World::added();
    let port = free_port();
    // Leases that outlast a slow machine: who holds one is to be seen.
    let profile = world.quick_profile("").replace("lease = \"1s\"", "lease = \"60s\"");
    let listen_at = |port| format!("[agent]\nlisten = \"127.0.0.1:{port}\"\n{profile}");
    world.configure(&listen_at(port));
    let home = tempfile::tempdir().unwrap();
    std::fs::copy(env!("CARGO_BIN_EXE_rotakey"), home.path().join("rotakey")).unwrap();
    give(home.path());
    give(world.home.path());
    for folder in [home.path(), world.home.path()] {
        std::fs::set_permissions(folder, PermissionsExt::from_mode(0o700)).unwrap();
    }
    let manager = Manager::start(home.path(), world.home.path());

    let run = manager.rotakey(&["service", "install"]);
    assert_eq!(run.code, 0, "{run:?}");
    assert!(run.stderr.contains("enable-linger"), "{run:?}");
    for unit in ["rotakey.service", "rotakey.socket"] {
        assert_eq!(manager.property(unit, "ActiveState"), "active", "{unit}");
        assert_eq!(manager.property(unit, "UnitFileState"), "enabled", "{unit}");
        let log = manager.systemctl(&["status", unit]);
        assert_eq!(log.code, 0, "{log:?}");
    }
    let first = manager.main_pid();

    // The agent answers, and not the keystore, which is closed without its passphrase.
    let passphrase = world.home.path().join("passphrase");
    let aside = world.home.path().join("aside");
    std::fs::rename(&passphrase, &aside).unwrap();
    assert_eq!(manager.served(), world.id);
    assert_eq!(manager.main_pid(), first);
    let ask = format!(
        "exec 3<>/dev/tcp/127.0.0.1/{port}; printf 'GET /credentials/app HTTP/1.1\\r\\nHost: 127.0.0.1\\r\\n\\r\\n' >&3; head -1 <&3"
    );
    let answer = manager.run(Path::new("bash"), &["-c", &ask]);
    assert!(answer.stdout.starts_with("HTTP/1.1 401"), "{answer:?}");
    // What the unit asks of the kernel is so.
    assert_eq!(
        (manager.proc_status("NoNewPrivs:"), manager.proc_status("Seccomp:")),
        ("1".into(), "2".into())
    );
    assert_eq!(manager.proc_status("Umask:"), "0077");
    // The programs that it serves have names: `PrivateUsers=` would take them away.
    let script = home.path().join("asks.sh");
    let asks =
        "$HOME/rotakey credential-process --profile app >/dev/null\n$HOME/rotakey status --json\n";
    std::fs::write(&script, asks).unwrap();
    let status = manager.run(Path::new("bash"), &[script.to_str().unwrap()]);
    assert!(status.stdout.contains("\"exe\":\"/usr/bin/bash\""), "{status:?}");

    // Installed again, nothing happens.
    let run = manager.rotakey(&["service", "install"]);
    assert_eq!((run.code, run.stderr.contains("wrote")), (0, false), "{run:?}");
    let run = manager.systemctl(&["reload", "rotakey.service"]);
    assert_eq!((run.code, manager.main_pid()), (0, first.clone()), "{run:?}");

    // Only the service is another one: its sockets stay open.
    std::fs::rename(&aside, &passphrase).unwrap();
    let opened = || manager.property("rotakey.socket", "ActiveEnterTimestampMonotonic");
    let (before, mut pid) = (opened(), first);
    for config in ["AWS_CONFIG_FILE=/nonexistent/config", "HARMLESS=1"] {
        let rotakey = home.path().join("rotakey");
        let args = [config, rotakey.to_str().unwrap(), "service", "install"];
        let run = manager.run(Path::new("env"), &args);
        assert_eq!((run.code, run.stderr.matches("wrote").count()), (0, 1), "{run:?}");
        assert!(run.stderr.contains("wrote") && run.stderr.contains("rotakey.service"), "{run:?}");
        assert_ne!(manager.main_pid(), pid, "it does not run with what was written");
        assert_eq!(opened(), before, "the sockets were closed");
        pid = manager.main_pid();
    }
    let first = pid;

    // Killed, it is started again; meanwhile the sockets are open, and who asks waits.
    let run = manager.run(Path::new("kill"), &["-KILL", &first]);
    assert_eq!(run.code, 0, "{run:?}");
    until("restarted", || {
        let is_up = manager.property("rotakey.service", "ActiveState") == "active";
        is_up && ![first.as_str(), "0"].contains(&manager.main_pid().as_str())
    });
    std::fs::rename(&passphrase, &aside).unwrap();
    assert_eq!(manager.served(), world.id);
    std::fs::rename(&aside, &passphrase).unwrap();

    // Stopped, it is started by whoever asks, through its socket.
    let run = manager.systemctl(&["stop", "rotakey.service"]);
    assert_eq!((run.code, manager.main_pid().as_str()), (0, "0"), "{run:?}");
    assert_eq!(manager.served(), world.id);
    assert_eq!(manager.property("rotakey.service", "ActiveState"), "active");

    // Another port: installed again, it listens there.
    let other = free_port();
    world.configure(&listen_at(other));
    give(world.home.path());
    let run = manager.rotakey(&["service", "install"]);
    assert_eq!((run.code, run.stderr.matches("wrote").count()), (0, 1), "{run:?}");
    let answer = manager
        .run(Path::new("bash"), &["-c", &ask.replace(&port.to_string(), &other.to_string())]);
    assert!(answer.stdout.starts_with("HTTP/1.1 401"), "{answer:?}");
    let run = manager.rotakey(&["service", "status"]);
    assert_eq!(run.code, 0, "{run:?}");

    let run = manager.rotakey(&["service", "uninstall"]);
    assert_eq!(run.code, 0, "{run:?}");
    for unit in ["rotakey.service", "rotakey.socket"] {
        assert_eq!(manager.property(unit, "LoadState"), "not-found", "{unit}");
    }
    let left =
        need(Command::new("find").arg(home.path().join(".config")).args(["!", "-type", "d"]));
    assert_eq!(String::from_utf8_lossy(&left.stdout), "");
    let run = manager.rotakey(&["service", "status"]);
    assert_eq!(run.code, 5, "{run:?}");
}

#[test]
fn an_agent_that_was_started_by_hand_is_not_stepped_upon() {
    let world = World::added();
    let port = free_port();
    world.configure_agent(&format!("[agent]\nlisten = \"127.0.0.1:{port}\"\n"), "");
    let home = tempfile::tempdir().unwrap();
    std::fs::copy(env!("CARGO_BIN_EXE_rotakey"), home.path().join("rotakey")).unwrap();
    give(home.path());
    give(world.home.path());
    let manager = Manager::start(home.path(), world.home.path());
    let rotakey = home.path().join("rotakey");
    let mut command = manager.command(&rotakey, &["agent"]);
    let mut by_hand = command.stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(by_hand.stderr.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.starts_with("serving "), "{line}");
    let run = manager.rotakey(&["service", "install"]);
    by_hand.kill().unwrap();
    by_hand.wait().unwrap();
    assert_eq!(run.code, 3, "{run:?}");
    assert!(run.stderr.contains(&format!("(pid {})", by_hand.id())), "{run:?}");
    assert_eq!(manager.property("rotakey.service", "ActiveState"), "inactive");
}
