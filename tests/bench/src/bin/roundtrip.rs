//! The floor of `credential-process`: one question over a Unix socket, and the answer printed. Nothing is checked.
//!
//!     rotakey-bench-roundtrip <socket> <target>

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

fn main() -> std::io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let (Some(socket), Some(target)) = (arguments.next(), arguments.next()) else {
        return Err(std::io::ErrorKind::InvalidInput.into());
    };
    let mut stream = UnixStream::connect(socket)?;
    let request = format!(
        "GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
    );
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::with_capacity(4096);
    stream.read_to_end(&mut answer)?;
    let body = answer.windows(4).position(|window| window == b"\r\n\r\n");
    let body = body.ok_or(std::io::ErrorKind::InvalidData)? + 4;
    std::io::stdout().write_all(&answer[body..])
}
