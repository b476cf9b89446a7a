//! HTTP/1.1 as it is on the wire, from the client's side.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use super::sign::Head;

/// Longer than anything takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long SDKs wait for a word before they send a body all the same.
const CONTINUE_WITHIN: Duration = Duration::from_secs(1);

/// A connection, kept as long as the server keeps it.
#[derive(Default)]
pub(crate) struct Connection(Option<BufReader<TcpStream>>);

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(own, _)| own.eq_ignore_ascii_case(name));
        found.map(|(_, value)| &**value)
    }

    pub(crate) fn told(&self) -> String {
        format!("{} {}", self.status, String::from_utf8_lossy(&self.body))
    }
}

impl Connection {
    /// Sends a request, and reads its answer.
    pub(crate) fn ask(
        &mut self,
        host: &str,
        head: &Head,
        body: impl Iterator<Item = Vec<u8>>,
    ) -> io::Result<Answer> {
        let mut bytes = Vec::new();
        let mut answer = self.ask_into(host, head, body, &mut |piece| bytes.extend(piece))?;
        answer.body = bytes;
        Ok(answer)
    }

    /// The same; the answer's body goes to `sink` as it comes.
    pub(crate) fn ask_into(
        &mut self,
        host: &str,
        head: &Head,
        body: impl Iterator<Item = Vec<u8>>,
        sink: &mut dyn FnMut(&[u8]),
    ) -> io::Result<Answer> {
        let mut stream = match self.0.take().filter(is_open) {
            Some(stream) => stream,
            None => {
                let stream = TcpStream::connect(host)?;
                stream.set_nodelay(true)?;
                BufReader::with_capacity(256 * 1024, stream)
            }
        };
        stream.get_ref().set_read_timeout(Some(PATIENCE))?;
        stream.get_ref().set_write_timeout(Some(PATIENCE))?;
        let mut text = format!("{} {} HTTP/1.1\r\n", head.method, head.target);
        head.headers.iter().for_each(|(name, value)| text += &format!("{name}: {value}\r\n"));
        stream.get_mut().write_all(format!("{text}\r\n").as_bytes())?;
        let early = match head.header("expect") {
            Some(_) => wait(&mut stream)?,
            None => None,
        };
        let is_sent = early.is_none();
        let answer = match early {
            Some(answer) => answer,
            None => {
                let sent = send(stream.get_mut(), head, body);
                // Who refuses a body may close before all of it is sent, and says why.
                final_head(&mut stream).map_err(|error| sent.err().unwrap_or(error))?
            }
        };
        let whole = read_body(&mut stream, &answer, sink)?;
        let closes = answer.header("connection").is_some_and(|it| it.eq_ignore_ascii_case("close"));
        if whole && is_sent && !closes {
            self.0 = Some(stream);
        }
        Ok(answer)
    }
}

/// Whether nothing has come on an idle connection, its end least of all.
fn is_open(stream: &BufReader<TcpStream>) -> bool {
    let stream = stream.get_ref();
    let is_nonblocking = stream.set_nonblocking(true).is_ok();
    let peeked = stream.peek(&mut [0]);
    let is_silent = peeked.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock);
    is_nonblocking && stream.set_nonblocking(false).is_ok() && is_silent
}

/// Waits until the server wants the body; its answer, if it does not.
fn wait(stream: &mut BufReader<TcpStream>) -> io::Result<Option<Answer>> {
    stream.get_ref().set_read_timeout(Some(CONTINUE_WITHIN))?;
    let word = stream.fill_buf().map(<[u8]>::len);
    stream.get_ref().set_read_timeout(Some(PATIENCE))?;
    match word {
        Ok(_) => {
            let answer = read_head(stream)?;
            Ok((answer.status != 100).then_some(answer))
        }
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error),
    }
}

fn send(
    stream: &mut TcpStream,
    head: &Head,
    body: impl Iterator<Item = Vec<u8>>,
) -> io::Result<()> {
    if head.header("transfer-encoding").is_none() {
        let announced = head.header("content-length").and_then(|length| length.parse().ok());
        let mut sent = 0;
        for piece in body {
            stream.write_all(&piece)?;
            sent += piece.len();
        }
        // Nothing more comes, though it was announced.
        let is_short = announced.is_some_and(|length: usize| sent < length);
        return if is_short { stream.shutdown(std::net::Shutdown::Write) } else { Ok(()) };
    }
    for piece in body.filter(|piece| !piece.is_empty()) {
        let mut framed = format!("{:x}\r\n", piece.len()).into_bytes();
        framed.extend(piece);
        framed.extend(b"\r\n");
        stream.write_all(&framed)?;
    }
    stream.write_all(b"0\r\n\r\n")
}

fn final_head(stream: &mut BufReader<TcpStream>) -> io::Result<Answer> {
    loop {
        let answer = read_head(stream)?;
        if answer.status >= 200 {
            return Ok(answer);
        }
    }
}

fn read_head(stream: &mut BufReader<TcpStream>) -> io::Result<Answer> {
    let first = line(stream)?;
    let status = first.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.ok_or_else(|| io::Error::other(format!("no answer: {first:?}")))?;
    let mut headers = Vec::new();
    loop {
        let line = line(stream)?;
        let Some((name, value)) = line.split_once(':') else { break };
        headers.push((name.to_owned(), value.trim().to_owned()));
    }
    Ok(Answer { status, headers, body: Vec::new() })
}

fn line(stream: &mut BufReader<TcpStream>) -> io::Result<String> {
    let mut line = String::new();
    stream.read_line(&mut line)?;
    if !line.ends_with('\n') {
        let why = "the connection was closed before an answer was there";
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, why));
    }
    Ok(line.trim_end().to_owned())
}

/// Reads a body to its end; false if the end is the connection's.
fn read_body(
    stream: &mut BufReader<TcpStream>,
    answer: &Answer,
    sink: &mut dyn FnMut(&[u8]),
) -> io::Result<bool> {
    if matches!(answer.status, 204 | 304) {
        return Ok(true);
    }
    if answer.header("transfer-encoding").is_some() {
        loop {
            let size = line(stream)?;
            let size = u64::from_str_radix(&size, 16).map_err(io::Error::other)?;
            copy(stream, size, sink)?;
            line(stream)?;
            if size == 0 {
                return Ok(true);
            }
        }
    }
    match answer.header("content-length").and_then(|length| length.parse().ok()) {
        Some(length) => copy(stream, length, sink).map(|()| true),
        None => {
            let mut rest = Vec::new();
            stream.read_to_end(&mut rest)?;
            sink(&rest);
            Ok(false)
        }
    }
}

fn copy(
    stream: &mut BufReader<TcpStream>,
    mut left: u64,
    sink: &mut dyn FnMut(&[u8]),
) -> io::Result<()> {
    while left > 0 {
        let ready = stream.fill_buf()?;
        if ready.is_empty() {
            let why = format!("{left} bytes of the answer are missing");
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, why));
        }
        let taken = ready.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        sink(&ready[..taken]);
        stream.consume(taken);
        left -= taken as u64;
    }
    Ok(())
}
