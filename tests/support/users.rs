//! Another user of this machine. Whoever tests with one is root.

use std::path::Path;
use std::process::{Command, Output};

/// `nobody`, on every Unix.
pub const NOBODY: u32 = 65534;

/// A command that runs as another user.
pub fn as_nobody(program: &Path) -> Command {
    let id = NOBODY.to_string();
    let mut command = Command::new("setpriv");
    command.env_clear().env("PATH", "/usr/bin:/bin");
    command.args(["--reuid", &id, "--regid", &id, "--clear-groups"]).arg(program);
    command
}

/// Connects to a port or a socket, sends, and prints what comes back.
const SEND: &str = "
import socket, sys
where, message = sys.argv[1], sys.argv[2].encode()
try:
    if where.isdigit():
        s = socket.create_connection(('127.0.0.1', int(where)), timeout=60)
    else:
        s = socket.socket(socket.AF_UNIX); s.settimeout(60); s.connect(where)
except PermissionError:
    sys.exit(7)
try:
    s.sendall(message)
except ConnectionError: pass
while True:
    try: part = s.recv(65536)
    except ConnectionResetError: break
    if not part: break
    sys.stdout.buffer.write(part)
";

pub fn send_as_nobody(to: &str, message: &str) -> Output {
    let mut command = as_nobody(Path::new("python3"));
    let output = command.args(["-c", SEND, to, message]).output();
    output.expect("this test becomes another user: run it as root, with setpriv (util-linux)")
}
