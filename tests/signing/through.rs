//! Whole requests through the proxy, to a server in the place of AWS that would answer anything: what hides its operation, or
//! is not what was signed, never gets there, and an answer that holds credentials never gets back.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_sigv4::http_request::SignableBody;
use jiff::Timestamp;
use rotakey_core::credential::{AccessKeyId, Generation};
use rotakey_endpoint::drain::{Drain, Drainer};
use rotakey_endpoint::proxy::Proxy;
use rotakey_endpoint::proxy::grants::{Granting, Grants};
use rotakey_endpoint::proxy::keys::{Endpoint, Forwarded, Keys, Pair, Virtualised};
use rotakey_endpoint::proxy::listener::{limits, serve_proxy};
use rotakey_endpoint::proxy::refusal::Refusal;
use rotakey_endpoint::proxy::verify::{Placeholder, Placeholders};
use rotakey_endpoint::publish::Snapshot;
use rotakey_endpoint::table::{Caller, Refused};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::world::{Book, Client, now, placeholder, real, request};

const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded; charset=utf-8");
const SECRET: &str = "<SecretAccessKey>realOne</SecretAccessKey>";

/// One placeholder and one key, for one server.
struct Desk(Book, Endpoint);

impl Placeholders for Desk {
    fn placeholder(&self, id: &str) -> Option<Arc<Placeholder>> {
        self.0.placeholder(id)
    }
}

impl Granting for Desk {
    fn grants(&self, _: &str) -> Option<Arc<Grants>> {
        Some(Arc::default())
    }
    fn session_epoch(&self, _: &str) -> u64 {
        0
    }
}

impl Keys for Desk {
    fn pair(&self, _: &str, _: &str) -> Option<Pair> {
        let credentials = real();
        let current = Arc::new(Snapshot {
            generation: Generation(1),
            key: credentials.access_key_id.clone(),
            credentials,
            valid_until: None,
            covered_until: None,
        });
        let endpoint = Some(self.1.clone());
        Some(Pair { current, other: None, endpoint, regions: Vec::new(), hosts: Arc::default() })
    }
    fn now(&self) -> Timestamp {
        now()
    }
    fn may_ask(&self, _: &str, _: &Caller) -> bool {
        true
    }
    fn fell_over(&self, _: &str, _: &AccessKeyId) {}
    fn goes_on(&self, _: &str, _: &AccessKeyId) {}
    fn unserved(&self, _: &str) {}
    fn forwarded(&self, _: &Forwarded<'_>) {}
    fn virtualised(&self, _: &Virtualised<'_>) {}
    fn turned_away(&self, _: Refusal, _: Option<&str>, _: &Caller) {}
    fn refused(&self, _: Refused, _: Option<&Caller>, _: &str) {}
}

struct Stage {
    at: SocketAddr,
    /// Heads and bodies that got to the server.
    seen: Arc<Mutex<Vec<String>>>,
    _drainer: Drainer,
    _runtime: tokio::runtime::Runtime,
}

impl Stage {
    /// The server answers everything with this body, and these headers.
    fn answering(headers: &str, body: Vec<u8>) -> Self {
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = runtime.worker_threads(2).enable_all().build().unwrap();
        let bind = || runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let (upstream, listener) = (bind(), bind());
        let (server, at) = (upstream.local_addr().unwrap(), listener.local_addr().unwrap());
        let seen = Arc::<Mutex<Vec<String>>>::default();
        let head = format!("HTTP/1.1 200 OK\r\n{headers}connection: close\r\ncontent-length: ");
        let answer = [format!("{head}{}\r\n\r\n", body.len()).into_bytes(), body].concat();
        runtime.spawn(serve(upstream, Arc::clone(&seen), answer));
        let endpoint = Endpoint::parse(&format!("http://{server}")).unwrap();
        let proxy = Proxy::new(Arc::new(Desk(Book(placeholder()), endpoint))).unwrap();
        let (drainer, drain) = Drain::new();
        runtime.spawn(serve_proxy(listener, Arc::new(proxy), limits(), drain));
        Self { at, seen, _drainer: drainer, _runtime: runtime }
    }

    fn post(&self, service: &str, headers: &[(&str, &str)], sign: &str, body: &[u8]) -> String {
        self.send("POST", "/", service, headers, sign, body)
    }

    /// All of the answer. `sign` is what the body is signed by: a mode, or nothing for its hash, which is then not said.
    fn send(
        &self,
        method: &str,
        target: &str,
        service: &str,
        headers: &[(&str, &str)],
        sign: &str,
        body: &[u8],
    ) -> String {
        let mut asked = request(method, target, headers);
        let signable = match sign {
            "" => SignableBody::Bytes(body),
            mode => {
                asked.headers_mut().insert("x-amz-content-sha256", mode.parse().unwrap());
                SignableBody::Precomputed(mode.to_owned())
            }
        };
        let head = Client { service, ..Client::default() }.sign(asked, signable);
        let mut text = format!("{} {} HTTP/1.1\r\nconnection: close\r\n", head.method, head.uri);
        for (name, value) in &head.headers {
            text += &format!("{name}: {}\r\n", value.to_str().unwrap());
        }
        if !head.headers.contains_key("transfer-encoding") {
            text += &format!("content-length: {}\r\n", body.len());
        }
        let mut stream = TcpStream::connect(self.at).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        // It may answer to the head alone, and close.
        let _ = stream.write_all(&[text.as_bytes(), b"\r\n", body].concat());
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    }

    fn seen(&self) -> Vec<String> {
        std::mem::take(&mut *self.seen.lock().unwrap())
    }
}

async fn serve(listener: TcpListener, seen: Arc<Mutex<Vec<String>>>, answer: Vec<u8>) {
    while let Ok((mut stream, _)) = listener.accept().await {
        let mut read = vec![0; 1 << 16];
        let length = stream.read(&mut read).await.unwrap_or(0);
        seen.lock().unwrap().push(String::from_utf8_lossy(&read[..length]).into_owned());
        let _ = stream.write_all(&answer).await;
        let _ = stream.shutdown().await;
    }
}

fn hash(body: &[u8]) -> String {
    hex::encode(rotakey_endpoint::proxy::verify::hash(body))
}

fn gzip(text: &str) -> Vec<u8> {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(text.as_bytes()).unwrap();
    packed.finish().unwrap()
}

#[test]
fn a_body_that_hides_its_operation_is_not_signed() {
    let stage = Stage::answering("", b"<ok/>".to_vec());
    let body = b"Action=CreateAccessKey&Version=2010-05-08";
    let told = hash(body);
    let packed = gzip("Action=CreateAccessKey&Version=2010-05-08");
    let long = [&b"Action=CreateAccessKey&UserName="[..], &[b'a'; 1 << 20]].concat();
    let mut in_chunks = format!("{:x}\r\n", body.len()).into_bytes();
    in_chunks.extend([&body[..], b"\r\n0\r\n\r\n"].concat());
    let chunked = ("transfer-encoding", "chunked");
    let gzipped = ("content-encoding", "gzip");
    for service in ["iam", "sts"] {
        for (headers, sign, body) in [
            (&[][..], "", &body[..]),
            (&[], &told, body),
            (&[("content-type", "text/plain")], &told, body),
            (&[], "UNSIGNED-PAYLOAD", body),
            (&[], "STREAMING-UNSIGNED-PAYLOAD-TRAILER", body),
            (&[chunked], &told, &in_chunks),
            (&[], &hash(&long), &long),
            (&[gzipped, FORM], &hash(&packed), &packed),
            (&[gzipped], "", &packed),
        ] {
            let answer = stage.post(service, headers, sign, body);
            assert!(answer.starts_with("HTTP/1.1 403"), "{service} {headers:?} {sign} {answer}");
            assert_eq!(stage.seen(), [""; 0], "{service} {headers:?} {sign}");
        }
        let body = b"Action=GetUser&Version=2010-05-08";
        for (headers, sign) in [(&[FORM][..], ""), (&[], &*hash(body))] {
            let answer = stage.post(service, headers, sign, body);
            assert!(answer.ends_with("<ok/>"), "{service} {headers:?} {answer}");
            assert_eq!(stage.seen().len(), 1);
        }
    }
}

#[test]
fn an_answer_of_sts_that_holds_credentials_goes_to_nobody_who_was_not_seen_to_ask() {
    let body = b"Action=GetSomethingNew&Version=2011-06-15";
    for (headers, text) in [
        ("", SECRET.as_bytes().to_vec()),
        ("content-encoding: gzip\r\n", gzip(SECRET)),
        ("content-encoding: br\r\n", b"unreadable".to_vec()),
        ("", [vec![b' '; 500_000], SECRET.as_bytes().to_vec()].concat()),
    ] {
        let stage = Stage::answering(headers, text);
        let answer = stage.post("sts", &[FORM], "", body);
        assert!(answer.starts_with("HTTP/1.1 503"), "{headers} {}", answer.len());
        assert!(!answer.contains("realOne") && answer.contains("nothing was handed out"));
        assert_eq!(stage.seen().len(), 1);
    }
    let stage = Stage::answering("", b"<Arn>arn:aws:iam::1:user/u</Arn>".to_vec());
    let answer = stage.post("sts", &[FORM], "", b"Action=GetCallerIdentity");
    assert!(answer.ends_with("<Arn>arn:aws:iam::1:user/u</Arn>"), "{answer}");
    assert!(stage.send("HEAD", "/?Action=GetCallerIdentity", "sts", &[], "", b"").contains("200"));
    // Others may well say the word.
    let stage = Stage::answering("", SECRET.as_bytes().to_vec());
    let answer = stage.send("GET", "/bucket/key", "s3", &[], "UNSIGNED-PAYLOAD", b"");
    assert!(answer.ends_with(SECRET), "{answer}");
}

/// What fits into memory is compared before anything is sent; S3 at AWS compares it itself, other servers may not.
#[test]
fn a_short_body_that_is_not_what_its_hash_says_never_leaves() {
    let stage = Stage::answering("", b"<ok/>".to_vec());
    let (body, other, empty) = (b"what is signed", hash(b"something else"), hash(b""));
    for (sign, body) in [(&other, &body[..]), (&empty, body), (&other, b"")] {
        let answer = stage.send("PUT", "/bucket/key", "s3", &[], sign, body);
        assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
        assert_eq!(stage.seen(), [""; 0], "{answer}");
    }
    let answer = stage.send("PUT", "/bucket/key", "s3", &[], &hash(body), body);
    assert!(answer.ends_with("<ok/>"), "{answer}");
    assert_eq!(stage.seen().len(), 1);
}
