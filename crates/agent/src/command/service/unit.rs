//! The texts of the systemd units. docs/service.md says what each option is for, and which ones a user manager ignores.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;

/// The service.
pub(super) const SERVICE: &str = "rotakey.service";
/// Its sockets.
pub(super) const SOCKET: &str = "rotakey.socket";

/// What the texts depend on.
#[derive(Clone, Debug)]
pub struct Setting {
    /// This program.
    pub program: PathBuf,
    /// The agent's Unix socket, as a unit names it.
    pub socket: String,
    /// Where programs reach the agent; `None` if no source needs it, or the port is left to chance.
    pub listen: Option<SocketAddr>,
    /// Where its proxy is, likewise.
    pub proxy_listen: Option<SocketAddr>,
    /// Variables that say where rotakey's files are, and that a service does not inherit.
    pub env: Vec<(String, String)>,
}

/// The service's text.
///
/// What needs a mount namespace (`ProtectSystem=`, `PrivateTmp=` ...) is left out: systemd 252's user manager takes it and does
/// nothing, newer ones bring `PrivateUsers=` with it, in which the agent could not see which programs it serves.
pub fn service(setting: &Setting) -> String {
    let mut text = "\
[Unit]
Description=rotakey: serves AWS credentials and rotates access keys
Requires=rotakey.socket
After=rotakey.socket dbus.socket

[Service]
Type=notify
"
    .to_owned();
    // systemd leaves a `$` in the program's path alone, and would take `$$` for two.
    let program = quoted(&setting.program.to_string_lossy());
    let _ = writeln!(text, "ExecStart={program} agent");
    for (name, value) in &setting.env {
        let _ = writeln!(text, "Environment={}", quoted(&format!("{name}={value}")));
    }
    text.push_str(
        "\
ExecReload=/bin/sh -c 'kill -HUP $$MAINPID'
Restart=on-failure
RestartSec=2
WatchdogSec=60
TimeoutStopSec=30
OOMScoreAdjust=-500

UMask=0077
LimitCORE=0
NoNewPrivileges=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallErrorNumber=EPERM

[Install]
WantedBy=default.target
Also=rotakey.socket
",
    );
    text
}

/// The sockets' text: one Unix, one TCP, as the agent takes them over.
pub fn socket(setting: &Setting) -> String {
    let mut text = format!(
        "\
[Unit]
Description=rotakey: where programs ask for AWS credentials

[Socket]
ListenStream={}
",
        setting.socket
    );
    for listen in setting.listen.into_iter().chain(setting.proxy_listen) {
        let _ = writeln!(text, "ListenStream={listen}");
    }
    text.push_str(
        "\
SocketMode=0600
DirectoryMode=0700
RemoveOnStop=yes

[Install]
WantedBy=sockets.target
",
    );
    text
}

/// A path for `ListenStream=`.
pub fn escaped(path: &str) -> String {
    path.replace('%', "%%")
}

/// One word of a unit (systemd.syntax(7)): the path of a program, or a variable with its value, in which `$` is itself.
fn quoted(text: &str) -> String {
    let word = text.replace('\\', "\\\\").replace('"', "\\\"").replace('%', "%%");
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-=+:@%$".contains(c);
    if word.chars().all(plain) { word } else { format!("\"{word}\"") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_paths_are_quoted() {
        let setting = Setting {
            program: "/opt/my tools/100%/$x/rotakey".into(),
            socket: escaped("/run/50%/agent.sock"),
            listen: Some("127.0.0.1:0".parse().expect("an address")),
            proxy_listen: None,
            env: vec![("ROTAKEY_HOME".to_owned(), "/a \"b\"".to_owned())],
        };
        let text = service(&setting);
        assert!(text.contains("ExecStart=\"/opt/my tools/100%%/$x/rotakey\" agent\n"), "{text}");
        assert!(text.contains("Environment=\"ROTAKEY_HOME=/a \\\"b\\\"\"\n"), "{text}");
        assert!(socket(&setting).contains("ListenStream=/run/50%%/agent.sock\nListenStream=127"));
        assert_eq!(quoted("/usr/bin/rotakey"), "/usr/bin/rotakey");
    }
}
