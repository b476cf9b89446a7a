//! A server that answers every request, and keeps all that it was sent.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// What begins so is refused before its body is read, in an answer that names the key.
pub const REFUSED: &str = "/refused";

/// A request that arrived.
#[derive(Clone, Debug)]
pub struct Seen {
    pub head: String,
    pub body: Vec<u8>,
    /// All of its body came.
    pub whole: bool,
}

impl Seen {
    pub fn path(&self) -> &str {
        self.head.split(' ').nth(1).unwrap_or_default()
    }
}

#[derive(Debug, Default)]
struct Kept {
    seen: Mutex<Vec<Seen>>,
    bytes: AtomicU64,
    connections: AtomicUsize,
    is_over: AtomicBool,
}

/// Stopped when it is dropped.
#[derive(Debug)]
pub struct Upstream {
    pub at: SocketAddr,
    kept: Arc<Kept>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Upstream {
    /// `key_id` is what an error of AWS would name.
    pub fn start(key_id: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        let (kept, key_id) = (Arc::<Kept>::default(), key_id.to_owned());
        let thread = std::thread::spawn({
            let kept = Arc::clone(&kept);
            move || {
                for stream in listener.incoming().flatten() {
                    if kept.is_over.load(Ordering::Acquire) {
                        return;
                    }
                    kept.connections.fetch_add(1, Ordering::AcqRel);
                    let (kept, key_id) = (Arc::clone(&kept), key_id.clone());
                    std::thread::spawn(move || talk(stream, &kept, &key_id));
                }
            }
        });
        Self { at, kept, thread: Some(thread) }
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.kept.seen.lock().unwrap().clone()
    }

    /// How many requests came, and how many bytes.
    pub fn count(&self) -> (usize, u64) {
        (self.kept.seen.lock().unwrap().len(), self.kept.bytes.load(Ordering::Acquire))
    }

    pub fn connections(&self) -> usize {
        self.kept.connections.load(Ordering::Acquire)
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.kept.is_over.store(true, Ordering::Release);
        let _ = TcpStream::connect(self.at);
        self.thread.take().map(std::thread::JoinHandle::join);
    }
}

fn talk(stream: TcpStream, kept: &Kept, key_id: &str) {
    let Ok(mut out) = stream.try_clone() else { return };
    let mut input = BufReader::new(stream);
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            match input.read_line(&mut head) {
                Ok(length) if length > 0 => {
                    kept.bytes.fetch_add(length as u64, Ordering::AcqRel);
                }
                _ => return,
            }
        }
        let at = {
            let mut seen = kept.seen.lock().unwrap();
            seen.push(Seen { head: head.clone(), body: Vec::new(), whole: false });
            seen.len() - 1
        };
        let value = |name: &str| {
            let line = head.lines().find_map(|line| line.strip_prefix(name))?;
            line.strip_prefix(": ").map(str::to_owned)
        };
        if head.split(' ').nth(1).is_some_and(|path| path.starts_with(REFUSED)) {
            let body = format!(
                "<Error><Code>AccessDenied</Code><AWSAccessKeyId>{key_id}</AWSAccessKeyId></Error>"
            );
            let length = body.len();
            let head = format!("HTTP/1.1 403 Forbidden\r\nContent-Length: {length}\r\n\r\n{body}");
            let _ = out.write_all(head.as_bytes());
            return;
        }
        if value("expect").is_some() && out.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").is_err() {
            return;
        }
        let is_chunked = value("transfer-encoding").is_some();
        let length = value("content-length").map_or(0, |text| text.parse().unwrap());
        let (body, whole) = match is_chunked {
            true => chunks(&mut input),
            false => exactly(&mut input, length),
        };
        kept.bytes.fetch_add(body.len() as u64, Ordering::AcqRel);
        {
            let mut seen = kept.seen.lock().unwrap();
            seen[at].body = body;
            seen[at].whole = whole;
        }
        if !whole || out.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").is_err() {
            return;
        }
    }
}

fn exactly(input: &mut impl Read, length: u64) -> (Vec<u8>, bool) {
    let mut body = Vec::new();
    let read = input.take(length).read_to_end(&mut body);
    let whole = read.is_ok() && body.len() as u64 == length;
    (body, whole)
}

fn chunks(input: &mut impl BufRead) -> (Vec<u8>, bool) {
    let mut body = Vec::new();
    loop {
        let mut line = String::new();
        if input.read_line(&mut line).is_err() {
            return (body, false);
        }
        let Ok(size) = u64::from_str_radix(line.trim_end(), 16) else { return (body, false) };
        let (data, whole) = exactly(input, size);
        body.extend(data);
        let mut end = [0; 2];
        if !whole || input.read_exact(&mut end).is_err() {
            return (body, false);
        }
        if size == 0 {
            return (body, true);
        }
    }
}
