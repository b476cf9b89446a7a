//! What the proxy's signatures cost, against the hashes that they cannot do without. In this process, on one thread.

use std::hint::black_box;
use std::sync::Arc;
use std::time::SystemTime;

use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings};
use aws_sigv4::sign::v4;
use bytes::Bytes;
use http::request::Parts;
use rotakey_core::credential::{Credentials, SecretAccessKey};
use rotakey_endpoint::proxy::canonical::Canonical;
use rotakey_endpoint::proxy::key::{Scope, SigningKey, SigningKeys};
use rotakey_endpoint::proxy::payload::ChunkSigner;
use rotakey_endpoint::proxy::payload::chunks::{Chunks, Framing, Resign};
use rotakey_endpoint::proxy::sign::{Clock, Destination, sign};
use rotakey_endpoint::proxy::uri::PathStyle;
use rotakey_endpoint::proxy::verify::{Placeholder, Placeholders, Policy, admit, hash};

use crate::pairs::Pairs;
use crate::table::{Goal, Table};
use crate::world::Error;

const PAIRS: usize = 11;
const REQUESTS: u32 = 20_000;

/// What SDKs send.
const CHUNK_BYTES: usize = 64 * 1024;
const CHUNKS: usize = 512;

const BODY: &[u8] = br#"{"TableName":"Things","Key":{"Id":{"S":"0123456789abcdef0123456789"}},"ConsistentRead":true}"#;
const DATE: &str = "20261125T120000Z";
const SECRET: &str = "placeholderSECRET";
const HOST: &str = "127.0.0.1:25000";

/// Measures requests with a small body, and bodies of signed chunks.
pub(crate) fn measure(table: &mut Table) -> Result<(), Error> {
    let (head, keys) = (head()?, SigningKeys::new());
    let requests = Pairs::measure(PAIRS, || request(&head, &keys), || hashes(&head))?;
    table.pairs("a request verified and signed anew: us, floor its hashes", &requests, Goal::None);
    let library = Pairs::measure(PAIRS, || request(&head, &keys), || by_aws_sigv4(&head))?;
    let name = "the same: us, floor aws-sigv4 signing twice";
    table.pairs(name, &library, Goal::AtMost(1.0));
    let body = chunked();
    let chunks = Pairs::measure(PAIRS, || resigned(&body), || Ok::<_, Error>(hashed(&body)))?;
    let name = "chunks of 64 KiB verified and signed anew: MB/s, floor SHA-256";
    table.pairs(name, &chunks, Goal::AtLeast(0.8));
    Ok(())
}

/// `GetItem` as botocore sends it, signed.
fn head() -> Result<Parts, Error> {
    let mut request = http::Request::post("/")
        .header("host", HOST)
        .header("content-type", "application/x-amz-json-1.0")
        .header("x-amz-target", "DynamoDB_20120810.GetItem")
        .header("x-amz-date", DATE)
        .header("user-agent", "Boto3/1.43 md/Botocore#1.43 ua/2.1 os/linux lang/python#3.11")
        .header("content-length", BODY.len())
        .body(())?;
    let names = "content-type;host;x-amz-date;x-amz-target";
    let canonical = Canonical {
        method: "POST",
        path: b"/",
        style: PathStyle::Twice,
        query: b"",
        headers: request.headers(),
        authority: None,
        signed_headers: names,
        payload: &hex(&hash(BODY)),
    };
    let (scope, key) = key("dynamodb");
    let text = format!("AWS4-HMAC-SHA256\n{DATE}\n{scope}\n{}", canonical.hash());
    let signature = String::from_utf8(key.sign(&[text.as_bytes()]).to_vec())?;
    let text = format!(
        "AWS4-HMAC-SHA256 Credential=RKEXAMPLE/{scope}, SignedHeaders={names}, Signature={signature}"
    );
    request.headers_mut().insert("authorization", text.parse()?);
    Ok(request.into_parts().0)
}

fn key(service: &str) -> (Scope, SigningKey) {
    let [day, region] = ["20261125", "eu-west-1"].map(str::to_owned);
    let scope = Scope { day, region, service: service.to_owned() };
    let key = SigningKey::derive(&SecretAccessKey::new(SECRET.to_owned()), &scope);
    (scope, key)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

struct Book(Arc<Placeholder>);

impl Placeholders for Book {
    fn placeholder(&self, id: &str) -> Option<Arc<Placeholder>> {
        (id == self.0.id.as_str()).then(|| Arc::clone(&self.0))
    }
}

/// Seconds of the processor that this thread has had: with other work on the machine the wall's say little.
fn cpu() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// Microseconds for one.
fn request(head: &Parts, keys: &SigningKeys) -> Result<f64, Error> {
    let book = Book(Arc::new(Placeholder {
        id: "RKEXAMPLE".parse()?,
        secret: SecretAccessKey::new(SECRET.to_owned()),
        token: None,
        profile: "app".to_owned(),
        services: None,
        regions: None,
    }));
    let real = SecretAccessKey::new("realSECRET".to_owned());
    let real = Credentials::long_term("AKIAEXAMPLE".parse()?, real);
    let clock = Clock { now: "2026-11-25T12:00:00Z".parse()?, upstream_offset: Default::default() };
    let policy = Policy {
        now: clock.now,
        upstream_offset: clock.upstream_offset,
        is_host: &|host| host == HOST,
        presigned: true,
        version_2_region: None,
    };
    let host = "dynamodb.eu-west-1.amazonaws.com";
    let to = Destination { host, region: "eu-west-1", service: "dynamodb", path: None };
    let began = cpu();
    for _ in 0..REQUESTS {
        let verified = admit(head, &policy, &book)?.verify(head, Some(hash(BODY)), keys)?;
        black_box(sign(head, &verified, &to, &real, keys, clock)?);
    }
    Ok((cpu() - began) * 1e6 / f64::from(REQUESTS))
}

/// The same: the body once; a canonical request and what is signed, twice.
fn hashes(head: &Parts) -> Result<f64, Error> {
    let (_, key) = key("dynamodb");
    let length = 180 + head.headers.get("host").map_or(0, http::HeaderValue::len);
    let (canonical, text) = (vec![b'a'; length], vec![b'a'; 140]);
    let began = cpu();
    for _ in 0..REQUESTS {
        black_box(hash(black_box(BODY)));
        for _ in 0..2 {
            black_box(hash(black_box(&canonical)));
            black_box(key.sign(&[black_box(&text)]));
        }
    }
    Ok((cpu() - began) * 1e6 / f64::from(REQUESTS))
}

/// What a proxy would do that is made of `aws-sigv4`: sign once to compare, and once to send.
fn by_aws_sigv4(head: &Parts) -> Result<f64, Error> {
    let identity =
        aws_credential_types::Credentials::new("AKIAEXAMPLE", SECRET, None, None, "bench");
    let identity = identity.into();
    let headers = ["content-type", "host", "x-amz-target"];
    let headers =
        headers.map(|name| (name, head.headers.get(name).and_then(|it| it.to_str().ok())));
    let began = cpu();
    for _ in 0..2 * REQUESTS {
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region("eu-west-1")
            .name("dynamodb")
            .time(SystemTime::UNIX_EPOCH)
            .settings(SigningSettings::default())
            .build()?
            .into();
        let headers = headers.iter().map(|(name, value)| (*name, value.unwrap_or_default()));
        let uri = "http://127.0.0.1:25000/";
        let request = SignableRequest::new("POST", uri, headers, SignableBody::Bytes(BODY))?;
        black_box(aws_sigv4::http_request::sign(request, &params)?);
    }
    Ok((cpu() - began) * 1e6 / f64::from(REQUESTS))
}

fn signer() -> ChunkSigner {
    let (scope, key) = key("s3");
    ChunkSigner::new(Arc::new(key), DATE, &scope, [b'0'; 64])
}

/// The pieces of a signed body, as a connection would bring them.
fn chunked() -> Vec<Bytes> {
    let (data, mut signer) = (vec![b'a'; CHUNK_BYTES], signer());
    let mut body = Vec::new();
    for data in [&data[..]].repeat(CHUNKS).into_iter().chain([&b""[..]]) {
        let signature = signer.sign_chunk(&hash(data));
        body.extend(format!("{:x};chunk-signature=", data.len()).bytes());
        body.extend(signature);
        body.extend([b"\r\n", data, b"\r\n"].concat());
    }
    let body = Bytes::from(body);
    (0..body.len())
        .step_by(CHUNK_BYTES)
        .map(|at| body.slice(at..body.len().min(at + CHUNK_BYTES)))
        .collect()
}

/// Megabytes in a second.
fn resigned(body: &[Bytes]) -> Result<f64, Error> {
    let began = cpu();
    let resign = Some(Resign { verifier: signer(), signer: signer() });
    let mut chunks = Chunks::new(Framing { resign, ..Framing::default() });
    for piece in body {
        chunks.push(piece.clone())?;
        while let Some(piece) = chunks.pop() {
            black_box(piece);
        }
    }
    chunks.finish()?;
    Ok(megabytes(body) / (cpu() - began))
}

fn hashed(body: &[Bytes]) -> f64 {
    let began = cpu();
    for piece in body {
        black_box(hash(piece));
    }
    megabytes(body) / (cpu() - began)
}

fn megabytes(body: &[Bytes]) -> f64 {
    body.iter().map(Bytes::len).sum::<usize>() as f64 / 1e6
}
