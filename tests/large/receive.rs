//! Signature version 4 from the server's side, for a head and for what comes behind it, as it comes.

use std::time::{Duration, SystemTime};

use aws_sigv4::sign::v4::{calculate_signature, generate_signing_key};
use data_encoding::BASE64;
use http::request::Parts;
use sha2::{Digest, Sha256};

use super::server::Key;

/// What a request says of its body, and what of that has come.
pub(crate) struct Receiver {
    scope: Scope,
    is_chunked: bool,
    is_signed: bool,
    has_trailer: bool,
    declared: String,
    decoded: Option<u64>,
    state: State,
    buffer: Vec<u8>,
    chunk: Sha256,
    given: String,
    whole: Sha256,
    length: u64,
    wrong: Option<&'static str>,
}

/// What goes into every text that is signed.
struct Scope {
    key: Vec<u8>,
    lines: String,
    last: String,
}

enum State {
    Line,
    Data(usize),
    /// Behind so many bytes of data comes the end of the line.
    End,
    Trailer,
}

impl Scope {
    fn sign(&self, algorithm: &str, rest: &str) -> String {
        let text = format!("{algorithm}\n{}\n{rest}", self.lines);
        calculate_signature(&self.key, text.as_bytes())
    }
}

fn digits(data: impl AsRef<[u8]>) -> String {
    hex::encode(Sha256::digest(data))
}

impl Receiver {
    /// Of a head that is signed with `key`; why not, in S3's words.
    pub(crate) fn new(head: &Parts, key: &Key) -> Result<Self, &'static str> {
        let text = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok());
        let declared = text("x-amz-content-sha256").ok_or("InvalidRequest")?.to_owned();
        let scope = admitted(head, key, &declared)?;
        let is_signed = declared.starts_with("STREAMING-AWS4-HMAC-SHA256-PAYLOAD");
        Ok(Self {
            scope,
            is_chunked: declared.starts_with("STREAMING-"),
            is_signed,
            has_trailer: declared.ends_with("-TRAILER"),
            decoded: text("x-amz-decoded-content-length").and_then(|length| length.parse().ok()),
            declared,
            state: State::Line,
            buffer: Vec::new(),
            chunk: Sha256::new(),
            given: String::new(),
            whole: Sha256::new(),
            length: 0,
            wrong: None,
        })
    }

    pub(crate) fn push(&mut self, mut data: &[u8]) {
        if !self.is_chunked {
            self.whole.update(data);
            self.length += data.len() as u64;
            return;
        }
        while !data.is_empty() && self.wrong.is_none() {
            match self.state {
                State::Data(left) => {
                    let (piece, rest) = data.split_at(left.min(data.len()));
                    self.whole.update(piece);
                    if self.is_signed {
                        self.chunk.update(piece);
                    }
                    self.length += piece.len() as u64;
                    data = rest;
                    let left = left - piece.len();
                    self.state = if left > 0 { State::Data(left) } else { State::End };
                }
                State::Trailer => {
                    self.buffer.extend(data);
                    data = &[];
                }
                State::Line | State::End => {
                    let end = data.iter().position(|byte| *byte == b'\n');
                    let (part, rest) = data.split_at(end.map_or(data.len(), |at| at + 1));
                    self.buffer.extend(part);
                    data = rest;
                    if end.is_some() {
                        let line = std::mem::take(&mut self.buffer);
                        if let Err(why) = self.line(&line) {
                            self.wrong = Some(why);
                        }
                    }
                }
            }
        }
    }

    fn line(&mut self, line: &[u8]) -> Result<(), &'static str> {
        let line = std::str::from_utf8(line).ok().and_then(|line| line.strip_suffix("\r\n"));
        let line = line.ok_or("IncompleteBody")?;
        if matches!(self.state, State::End) {
            self.state = State::Line;
            return if line.is_empty() { self.check_chunk() } else { Err("IncompleteBody") };
        }
        let (size, signature) = match self.is_signed {
            true => line.split_once(";chunk-signature=").ok_or("IncompleteBody")?,
            false => (line, ""),
        };
        let size = usize::from_str_radix(size, 16).map_err(|_| "IncompleteBody")?;
        self.given = signature.to_owned();
        self.state = State::Data(size);
        if size == 0 {
            self.state = State::Trailer;
            return self.check_chunk();
        }
        Ok(())
    }

    fn check_chunk(&mut self) -> Result<(), &'static str> {
        if !self.is_signed {
            return Ok(());
        }
        let hash = hex::encode(self.chunk.finalize_reset());
        let rest = format!("{}\n{}\n{hash}", self.scope.last, digits(""));
        let right = self.scope.sign("AWS4-HMAC-SHA256-PAYLOAD", &rest);
        if right != self.given {
            return Err("SignatureDoesNotMatch");
        }
        self.scope.last = right;
        Ok(())
    }

    /// Length and hash of a body that is all there, and right.
    pub(crate) fn finish(mut self) -> Result<(u64, String), &'static str> {
        if let Some(why) = self.wrong {
            return Err(why);
        }
        let hash = hex::encode(self.whole.finalize_reset());
        if self.is_chunked {
            if !matches!(self.state, State::Trailer) || self.decoded != Some(self.length) {
                return Err("IncompleteBody");
            }
            self.check_trailer(&hash)?;
        } else if self.declared != "UNSIGNED-PAYLOAD" && self.declared != hash {
            return Err("XAmzContentSHA256Mismatch");
        }
        Ok((self.length, hash))
    }

    fn check_trailer(&self, hash: &str) -> Result<(), &'static str> {
        let text = String::from_utf8_lossy(&self.buffer);
        let lines: Vec<&str> = text.split("\r\n").collect();
        let (signed, rest) = match (self.has_trailer, &lines[..]) {
            (false, ["", ""]) => return Ok(()),
            (true, [signed, rest @ .., "", ""]) => (signed, rest),
            _ => return Err("MalformedTrailer"),
        };
        if self.is_signed {
            let text = format!("{}\n{}", self.scope.last, digits(format!("{signed}\n")));
            let right = self.scope.sign("AWS4-HMAC-SHA256-TRAILER", &text);
            if *rest != [format!("x-amz-trailer-signature:{right}")] {
                return Err("SignatureDoesNotMatch");
            }
        } else if !rest.is_empty() {
            return Err("MalformedTrailer");
        }
        let right = BASE64.encode(&hex::decode(hash).unwrap());
        let is_right = *signed == format!("x-amz-checksum-sha256:{right}");
        if is_right { Ok(()) } else { Err("BadDigest") }
    }
}

/// Whether the head is signed with the key, and by then.
fn admitted(head: &Parts, key: &Key, declared: &str) -> Result<Scope, &'static str> {
    let text = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok());
    let authorization = text("authorization").ok_or("AccessDenied")?;
    let field = |name: &str| {
        let (_, rest) = authorization.split_once(name)?;
        rest.split([',', ' ']).next()
    };
    let credential = field("Credential=").ok_or("AccessDenied")?;
    let (id, scope) = credential.split_once('/').ok_or("AccessDenied")?;
    let [_, region, service, _] = scope.split('/').collect::<Vec<_>>()[..] else {
        return Err("AccessDenied");
    };
    if id != key.id {
        return Err("InvalidAccessKeyId");
    }
    let names = field("SignedHeaders=").ok_or("AccessDenied")?;
    let line = |name: &str| format!("{name}:{}\n", text(name).unwrap_or_default());
    let headers: String = names.split(';').map(line).collect();
    let (method, path) = (&head.method, head.uri.path());
    let canonical = format!("{method}\n{path}\n\n{headers}\n{names}\n{declared}");
    let date = text("x-amz-date").ok_or("AccessDenied")?;
    let at = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", date).map_err(|_| "AccessDenied")?;
    let at = at.to_zoned(jiff::tz::TimeZone::UTC).unwrap().timestamp();
    let at = SystemTime::from(at);
    let age = SystemTime::now().duration_since(at).unwrap_or_default();
    if age > Duration::from_secs(900) {
        return Err("RequestTimeTooSkewed");
    }
    let key = generate_signing_key(&key.secret, at, region, service).as_ref().to_vec();
    let lines = format!("{date}\n{scope}");
    let mut scope = Scope { key, lines, last: String::new() };
    scope.last = scope.sign("AWS4-HMAC-SHA256", &digits(canonical));
    let is_right = field("Signature=") == Some(&*scope.last);
    if is_right { Ok(scope) } else { Err("SignatureDoesNotMatch") }
}
