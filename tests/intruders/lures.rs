//! What an attacker puts up: a page, and a server that answers everything to everybody.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::siege::PATIENCE;
use super::support::eventually;

/// Stands in everything that a lure answers, but for the page.
pub const READABLE: &str = "READABLE";

/// What is served.
#[derive(Clone)]
pub enum Served {
    /// The page at `/`, against a target; everything else, and its report, here as well.
    Page { target: String, token: String },
    /// The page once, against its own origin; then the port is given up.
    PageOnce { collector: String, token: String },
    /// An answer to everything that every page may read.
    Everything,
}

/// A server of the attacker's, at a loopback port.
pub struct Lure {
    port: u16,
    over: Arc<AtomicBool>,
    seen: Arc<Mutex<Seen>>,
    thread: Option<JoinHandle<()>>,
}

/// At a port that somebody listened at a moment ago: a connection of another test may have it for as long as it lasts.
fn bind(port: u16) -> TcpListener {
    let limit = Instant::now() + Duration::from_secs(60);
    loop {
        match TcpListener::bind(("127.0.0.1", port)) {
            Ok(listener) => return listener,
            Err(error) if error.kind() == ErrorKind::AddrInUse && Instant::now() < limit => {
                std::thread::sleep(Duration::from_millis(50));
            }
            Err(error) => panic!("port {port}: {error}"),
        }
    }
}

#[derive(Default)]
struct Seen {
    asked: Vec<String>,
    report: Option<String>,
}

impl Lure {
    pub fn open(served: Served) -> Self {
        Self::open_at(0, served)
    }

    pub fn open_at(port: u16, served: Served) -> Self {
        let listener = bind(port);
        let port = listener.local_addr().unwrap().port();
        let (over, seen) = (Arc::new(AtomicBool::new(false)), Arc::<Mutex<Seen>>::default());
        let is_once = matches!(served, Served::PageOnce { .. });
        let thread = std::thread::spawn({
            let (over, seen) = (Arc::clone(&over), Arc::clone(&seen));
            move || {
                for stream in listener.incoming() {
                    if over.load(Ordering::SeqCst) {
                        return;
                    }
                    let (served, seen) = (served.clone(), Arc::clone(&seen));
                    let over = Arc::clone(&over);
                    // A browser opens connections that it may never use: nobody waits for them.
                    std::thread::spawn(move || {
                        let is_page = answer(stream.unwrap(), &served, port, &seen);
                        if is_once && is_page.unwrap_or(false) {
                            stop(&over, port);
                        }
                    });
                }
            }
        });
        Self { port, over, seen, thread: Some(thread) }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The first lines of the requests that came.
    pub fn asked(&self) -> Vec<String> {
        self.seen.lock().unwrap().asked.clone()
    }

    pub fn report(&self) -> Option<String> {
        self.seen.lock().unwrap().report.take()
    }

    /// Waits until the page was fetched, and its port is free.
    pub fn wait_until_taken(mut self) {
        let thread = self.thread.take().unwrap();
        eventually("the browser fetches the page", || thread.is_finished());
        thread.join().unwrap();
    }
}

impl Drop for Lure {
    fn drop(&mut self) {
        let Some(thread) = self.thread.take() else { return };
        stop(&self.over, self.port);
        let _ = thread.join();
    }
}

fn stop(over: &AtomicBool, port: u16) {
    over.store(true, Ordering::SeqCst);
    // It looks when somebody comes.
    let _ = TcpStream::connect(("127.0.0.1", port));
}

/// Answers one request and closes. Whether that was the page.
fn answer(
    mut stream: TcpStream,
    served: &Served,
    port: u16,
    seen: &Mutex<Seen>,
) -> std::io::Result<bool> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut first = String::new();
    reader.read_line(&mut first)?;
    let (mut length, mut accept) = (0, String::new());
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 || line.trim().is_empty() {
            break;
        }
        match line.split_once(':').map(|(name, value)| (name.to_ascii_lowercase(), value.trim())) {
            Some((name, value)) if name == "content-length" => length = value.parse().unwrap_or(0),
            Some((name, value)) if name == "accept" => accept = value.to_owned(),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let target = first.split(' ').nth(1).unwrap_or_default();
    seen.lock().unwrap().asked.push(first.trim().to_owned());
    let page = |target: &str, collector: &str, token: &str, wait: &str| {
        include_str!("page.html")
            .replace("@target@", target)
            .replace("@collector@", collector)
            .replace("@token@", token)
            .replace("@wait@", wait)
    };
    let (is_page, kind, body) = match (target, served) {
        ("/report", _) => {
            seen.lock().unwrap().report = Some(String::from_utf8_lossy(&body).into_owned());
            (false, "text/plain", String::new())
        }
        ("/", Served::Page { target, token }) => {
            let own = format!("http://127.0.0.1:{port}");
            (true, "text/html", page(target, &own, token, ""))
        }
        ("/", Served::PageOnce { collector, token }) => {
            (true, "text/html", page("", collector, token, "yes"))
        }
        _ if accept.starts_with("text/css") => {
            (false, "text/css", format!("body {{ --stolen: {READABLE}; }}"))
        }
        _ if accept.starts_with("text/event-stream") => {
            (false, "text/event-stream", format!("data: {READABLE}\n\n"))
        }
        // A script, and a text for whoever takes it for one.
        _ => (false, "text/javascript", format!("window.stolen = \"{READABLE}\";")),
    };
    // Whatever a page has to be allowed.
    let allowed = "Access-Control-Allow-Origin: *\r\nAccess-Control-Allow-Methods: *\r\n\
        Access-Control-Allow-Headers: *, Authorization\r\nAccess-Control-Allow-Private-Network: true\r\n";
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n{allowed}\r\n{body}"
    )?;
    Ok(is_page)
}
