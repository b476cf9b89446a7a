//! The requests, signed before the clock runs. One is sent again and again: a signature is good for five minutes, and the
//! proxy remembers none.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use rotakey_core::credential::SecretAccessKey;
use rotakey_endpoint::proxy::canonical::Canonical;
use rotakey_endpoint::proxy::key::{Scope, SigningKey};
use rotakey_endpoint::proxy::payload::ChunkSigner;
use rotakey_endpoint::proxy::uri::PathStyle;
use rotakey_endpoint::proxy::verify::hash;

use crate::world::Error;

/// What SDKs send.
const CHUNK_BYTES: usize = 64 * 1024;

/// How a body is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// There is none.
    Get,
    /// By its hash.
    Hash,
    /// Not at all.
    Unsigned,
    /// Not at all, in chunks with a checksum behind them.
    UnsignedTrailer,
    /// Chunk by chunk.
    SignedChunks,
}

/// Signs with the placeholder.
pub(super) struct Signer {
    pub(super) id: String,
    pub(super) secret: String,
    /// What is signed as `Host`.
    pub(super) host: String,
}

impl Signer {
    /// Writes a script for wrk that sends one request of S3, signed now, with so many bytes.
    pub(super) fn script(&self, folder: &Path, mode: Mode, bytes: usize) -> Result<PathBuf, Error> {
        let (method, path) = match mode {
            Mode::Get => ("GET", "/bucket/folder/key-0123456789"),
            _ => ("PUT", "/bucket/folder/key-0123456789"),
        };
        let data = vec![b'a'; bytes];
        let payload = match mode {
            Mode::Get => hex::encode(hash(b"")),
            Mode::Hash => hex::encode(hash(&data)),
            Mode::Unsigned => "UNSIGNED-PAYLOAD".to_owned(),
            Mode::UnsignedTrailer => "STREAMING-UNSIGNED-PAYLOAD-TRAILER".to_owned(),
            Mode::SignedChunks => "STREAMING-AWS4-HMAC-SHA256-PAYLOAD".to_owned(),
        };
        let date = Timestamp::now().strftime("%Y%m%dT%H%M%SZ").to_string();
        let mut request = http::Request::builder()
            .header("host", &self.host)
            .header("x-amz-date", &date)
            .header("x-amz-content-sha256", &payload)
            .header("user-agent", "Boto3/1.43 md/Botocore#1.43 ua/2.1 os/linux lang/python#3.11")
            .header("amz-sdk-request", "attempt=1");
        if matches!(mode, Mode::UnsignedTrailer | Mode::SignedChunks) {
            request = request
                .header("content-encoding", "aws-chunked")
                .header("x-amz-decoded-content-length", bytes);
        }
        if mode == Mode::UnsignedTrailer {
            request = request.header("x-amz-trailer", "x-amz-checksum-crc32");
        }
        let (mut head, ()) = request.body(())?.into_parts();
        let mut names: Vec<&str> = head.headers.keys().map(http::HeaderName::as_str).collect();
        names.retain(|name| *name == "host" || name.starts_with("x-amz-"));
        names.sort_unstable();
        let names = names.join(";");
        let canonical = Canonical {
            method,
            path: path.as_bytes(),
            style: PathStyle::Once,
            query: b"",
            headers: &head.headers,
            authority: None,
            signed_headers: &names,
            payload: &payload,
        };
        let [day, region, service] = [&date[..8], "eu-west-1", "s3"].map(str::to_owned);
        let scope = Scope { day, region, service };
        let key = SigningKey::derive(&SecretAccessKey::new(self.secret.clone()), &scope);
        let text = format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{}", canonical.hash());
        let seed = key.sign(&[text.as_bytes()]);
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={names}, Signature={}",
            self.id,
            std::str::from_utf8(&seed)?
        );
        head.headers.insert("authorization", authorization.parse()?);
        let body = match mode {
            Mode::Get => Vec::new(),
            Mode::Hash | Mode::Unsigned => data,
            Mode::UnsignedTrailer => chunked(&data, None, crc32(bytes)),
            Mode::SignedChunks => {
                let signer = ChunkSigner::new(Arc::new(key), &date, &scope, seed);
                chunked(&data, Some(signer), "")
            }
        };
        write_script(folder, method, path, &head.headers, &body)
    }
}

/// The trailer of so many `a`.
fn crc32(bytes: usize) -> &'static str {
    match bytes {
        65_536 => "x-amz-checksum-crc32:wyCR/w==\r\n",
        _ => "x-amz-checksum-crc32:181Wcg==\r\n",
    }
}

/// A body in chunks, and what stands behind the last one.
fn chunked(data: &[u8], mut signer: Option<ChunkSigner>, trailer: &str) -> Vec<u8> {
    let mut body = Vec::with_capacity(data.len() + 4096);
    for chunk in data.chunks(CHUNK_BYTES).chain([&b""[..]]) {
        body.extend(format!("{:x}", chunk.len()).bytes());
        if let Some(signer) = &mut signer {
            body.extend(b";chunk-signature=");
            body.extend(signer.sign_chunk(&hash(chunk)));
        }
        body.extend(b"\r\n");
        body.extend(chunk);
        match chunk.is_empty() {
            true => body.extend(trailer.bytes()),
            false => body.extend(b"\r\n"),
        }
    }
    body.extend(b"\r\n");
    body
}

/// wrk makes such a request once, and then sends its bytes.
fn write_script(
    folder: &Path,
    method: &str,
    path: &str,
    headers: &http::HeaderMap,
    body: &[u8],
) -> Result<PathBuf, Error> {
    let (script, content) = (folder.join("request.lua"), folder.join("body"));
    std::fs::write(&content, body)?;
    let mut file = std::fs::File::create(&script)?;
    writeln!(file, "wrk.method = {method:?}\nwrk.path = {path:?}")?;
    for (name, value) in headers {
        // wrk looks for this spelling, and would add its own.
        let name = if name == "host" { "Host" } else { name.as_str() };
        writeln!(file, "wrk.headers[{name:?}] = {:?}", value.to_str()?)?;
    }
    if !body.is_empty() {
        writeln!(file, "local file = io.open({content:?}, 'rb')")?;
        writeln!(file, "wrk.body = file:read('*a')\nfile:close()")?;
    }
    Ok(script)
}
