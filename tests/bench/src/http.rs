//! Single requests, to set the scene: the load comes from wrk.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::Path;

use crate::world::Error;

/// Asks with further header lines, each ended by CR LF, and gives the body of an answer 200.
pub(crate) fn ask(
    mut stream: impl Read + Write,
    line: &str,
    headers: &str,
    body: &str,
) -> Result<Vec<u8>, Error> {
    write!(
        stream,
        "{line} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n").ok_or("not HTTP")?;
    if !answer.starts_with(b"HTTP/1.1 200 ") {
        return Err(format!("{line}: {}", String::from_utf8_lossy(&answer)).into());
    }
    Ok(answer.split_off(end + 4))
}

/// `GET` over TCP.
pub(crate) fn get(address: &str, path: &str, headers: &str) -> Result<Vec<u8>, Error> {
    ask(TcpStream::connect(address)?, &format!("GET {path}"), headers, "")
}

/// `POST` over TCP.
pub(crate) fn post(address: &str, path: &str, body: &str) -> Result<Vec<u8>, Error> {
    ask(TcpStream::connect(address)?, &format!("POST {path}"), "", body)
}

/// `GET` over a Unix socket.
pub(crate) fn get_unix(socket: &Path, path: &str) -> Result<Vec<u8>, Error> {
    ask(UnixStream::connect(socket)?, &format!("GET {path}"), "", "")
}
