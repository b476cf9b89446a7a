//! A client that knows just enough of HTTP to tell what came back.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// No test waits longer for anything.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// An answer as it came.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub version: String,
    headers: Vec<(String, String)>,
    pub body: String,
}

impl Reply {
    /// The header of this name; there may be one at most.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut found = self.headers.iter().filter(|(given, _)| given == name);
        let value = found.next().map(|(_, value)| value.as_str());
        assert!(found.next().is_none(), "{name} twice in {self:?}");
        value
    }

    pub fn names(&self) -> Vec<&str> {
        self.headers.iter().map(|(name, _)| name.as_str()).collect()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }
}

/// A stream that is a connection to a server, of either kind.
pub trait Wire: Read + Write {}
impl<T: Read + Write> Wire for T {}

pub fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// One request on a connection of its own.
pub fn once(address: SocketAddr, request: &str) -> Reply {
    let mut stream = connect(address);
    stream.write_all(request.as_bytes()).unwrap();
    read_reply(&mut stream).expect("an answer")
}

/// One request on a connection that stays.
pub fn ask(stream: &mut impl Wire, request: &str) -> Reply {
    stream.write_all(request.as_bytes()).unwrap();
    read_reply(stream).expect("an answer")
}

/// `GET` with a loopback `Host` and other headers, each with its line end.
pub fn get(path: &str, headers: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1:21000\r\n{headers}\r\n")
}

pub fn put(path: &str, headers: &str) -> String {
    format!("PUT {path} HTTP/1.1\r\nHost: 127.0.0.1:21000\r\n{headers}\r\n")
}

/// The next answer; none if the other side has closed without one.
pub fn read_reply(stream: &mut impl Wire) -> Option<Reply> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte) {
            Ok(0) if head.is_empty() => return None,
            Err(e) if e.kind() == ErrorKind::ConnectionReset && head.is_empty() => return None,
            Ok(1) => head.push(byte[0]),
            other => panic!("{other:?} after {:?}", String::from_utf8_lossy(&head)),
        }
    }
    let head = String::from_utf8(head).expect("text");
    let mut lines = head.split("\r\n");
    let mut first = lines.next().unwrap().splitn(3, ' ');
    let version = first.next().unwrap().to_owned();
    let status = first.next().unwrap().parse().expect("a status");
    let mut headers = Vec::new();
    for line in lines.filter(|line| !line.is_empty()) {
        let (name, value) = line.split_once(": ").expect("a header");
        headers.push((name.to_ascii_lowercase(), value.to_owned()));
    }
    let mut reply = Reply { status, version, headers, body: String::new() };
    let length = reply.header("content-length").map_or(0, |n| n.parse().expect("a length"));
    let mut body = vec![0; length];
    stream.read_exact(&mut body).expect("the whole body");
    reply.body = String::from_utf8(body).expect("text");
    Some(reply)
}

/// Whether the other side has closed, and nothing more came.
pub fn is_closed(stream: &mut impl Read) -> bool {
    match stream.read(&mut [0]) {
        Ok(0) => true,
        Err(error) if error.kind() == ErrorKind::ConnectionReset => true,
        Ok(_) => false,
        Err(error) => panic!("neither closed nor more: {error}"),
    }
}
