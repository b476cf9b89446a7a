//! A client of event streams that does wrong on purpose.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use jiff::Timestamp;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::head::Signer;
use super::pieces::Pieces;
use crate::event_stream::{Chain, message, read, take, text_header};
use crate::support::World;
use crate::support::agent::Agent;

const MODE: &str = "STREAMING-AWS4-HMAC-SHA256-EVENTS";

/// AWS's own.
const HOST: &str = "transcribestreaming.eu-west-1.amazonaws.com";

const PATIENCE: Duration = Duration::from_secs(30);

/// An event: the names and values of its headers, and its payload.
pub(super) type Event = (Vec<(String, String)>, Vec<u8>);

/// A stream to Transcribe.
pub(super) struct Stream {
    runtime: tokio::runtime::Runtime,
    /// Until it is ended.
    sender: Option<mpsc::UnboundedSender<Bytes>>,
    pub(super) chain: Chain,
    answering: Option<JoinHandle<Response<Incoming>>>,
    answer: Option<Incoming>,
    read: Vec<u8>,
}

/// Sends it over HTTP/2.
async fn ask<S>(stream: S, request: Request<Pieces>) -> Response<Incoming>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let executor = TokioExecutor::new();
    let shaken = hyper::client::conn::http2::handshake(executor, TokioIo::new(stream));
    let (mut client, connection) = shaken.await.expect("HTTP/2");
    tokio::spawn(connection);
    client.send_request(request).await.expect("an answer")
}

/// TLS for HTTP/2, and the proxy's authority as the only one that is trusted.
fn connector(world: &World) -> TlsConnector {
    let pem = std::fs::read(world.home.path().join("state/ca.pem")).expect("an authority");
    let mut roots = RootCertStore::empty();
    for root in CertificateDer::pem_slice_iter(&pem) {
        roots.add(root.expect("a certificate")).expect("a root");
    }
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()));
    let config = config.with_safe_default_protocol_versions().expect("TLS 1.3");
    let mut config = config.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    TlsConnector::from(Arc::new(config))
}

async fn connect(mut stream: TcpStream, trusted: &TlsConnector) -> TlsStream<TcpStream> {
    let head = format!("CONNECT {HOST}:443 HTTP/1.1\r\nHost: {HOST}:443\r\n\r\n");
    stream.write_all(head.as_bytes()).await.expect("it reads");
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        answer.push(stream.read_u8().await.expect("an answer"));
    }
    let answer = String::from_utf8_lossy(&answer).into_owned();
    assert!(answer.contains(" 200 "), "{answer}");
    let name = ServerName::try_from(HOST).expect("a name");
    let stream = trusted.connect(name, stream).await.expect("a certificate for that host");
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    stream
}

impl Stream {
    /// Signs a head as a program of the world's profile, and sends it.
    pub(super) fn begin(world: &World, agent: &Agent) -> Self {
        Self::begin_by(world, agent, false)
    }

    /// The same for AWS's own host, which is connected to through the proxy.
    pub(super) fn begin_inside(world: &World, agent: &Agent) -> Self {
        Self::begin_by(world, agent, true)
    }

    fn begin_by(world: &World, agent: &Agent, is_inside: bool) -> Self {
        let env = world.expect(0, &["env", "--source", "proxy", "--format", "json"]);
        let env: serde_json::Value = serde_json::from_str(&env.stdout).expect("JSON");
        let text = |name: &str| env[name].as_str().expect("a text").to_owned();
        let authority = agent.status()["proxy_listen"].as_str().expect("it listens").to_owned();
        let url = match is_inside {
            true => format!("https://{HOST}/stream-transcription"),
            false => format!("http://{authority}/stream-transcription"),
        };
        let trusted = is_inside.then(|| connector(world));
        let signer = Signer {
            id: text("AWS_ACCESS_KEY_ID"),
            secret: text("AWS_SECRET_ACCESS_KEY"),
            region: "eu-west-1".to_owned(),
            service: "transcribe".to_owned(),
            at: Timestamp::now(),
        };
        let headers = [("x-amz-content-sha256".to_owned(), MODE.to_owned())];
        let (seed, instructions) = signer.sign("POST", &url, &headers, MODE);
        let (sender, receiver) = mpsc::unbounded_channel();
        let head = Request::post(&url).header("x-amz-content-sha256", MODE);
        let mut head = head.body(()).unwrap();
        instructions.apply_to_request_http1x(&mut head);
        let request = head.map(|()| Pieces(receiver));
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let answering = runtime.spawn(async move {
            let stream = TcpStream::connect(authority).await.expect("it listens");
            match trusted {
                None => ask(stream, request).await,
                Some(trusted) => ask(connect(stream, &trusted).await, request).await,
            }
        });
        let Signer { secret, region, service, .. } = signer;
        Self {
            runtime,
            sender: Some(sender),
            chain: Chain { secret, region, service, last: seed },
            answering: Some(answering),
            answer: None,
            read: Vec::new(),
        }
    }

    /// A message around an event of audio, with the signature that it should have.
    pub(super) fn signed(&mut self, words: &str) -> Vec<u8> {
        let headers = [
            text_header(":message-type", "event"),
            text_header(":event-type", "AudioEvent"),
            text_header(":content-type", "application/octet-stream"),
        ];
        let event = message(&headers.concat(), words.as_bytes());
        self.chain.signed(Timestamp::now(), &event, true)
    }

    /// Sends any bytes.
    pub(super) fn send(&self, bytes: Vec<u8>) {
        self.sender.as_ref().expect("not ended").send(bytes.into()).expect("not closed");
    }

    pub(super) fn say(&mut self, words: &str) {
        let message = self.signed(words);
        self.send(message);
    }

    /// Sends the message that wraps nothing.
    pub(super) fn say_the_end(&mut self) {
        let message = self.chain.signed(Timestamp::now(), b"", true);
        self.send(message);
    }

    /// Ends the stream, whatever was sent.
    pub(super) fn end(&mut self) {
        self.sender = None;
    }

    /// The status of the answer.
    pub(super) fn status(&mut self) -> u16 {
        let answering = self.answering.take().expect("asked for once");
        let answer = self.runtime.block_on(async { timeout(PATIENCE, answering).await });
        let answer = answer.expect("in time").expect("an answer");
        let status = answer.status().as_u16();
        self.answer = Some(answer.into_body());
        status
    }

    /// The next event of the answer; none at its end.
    pub(super) fn event(&mut self) -> Option<Event> {
        loop {
            if let Some(message) = take(&mut self.read) {
                let (headers, payload) = read(&message);
                let text = |bytes| String::from_utf8(bytes).expect("a text");
                return Some((
                    headers.into_iter().map(|(name, value)| (name, text(value))).collect(),
                    payload,
                ));
            }
            let body = self.answer.as_mut().expect("a status");
            let frame = self.runtime.block_on(async { timeout(PATIENCE, body.frame()).await });
            match frame.expect("in time") {
                Some(frame) => {
                    self.read.extend(frame.expect("no reset").into_data().expect("no trailers"));
                }
                None => return None,
            }
        }
    }

    /// The next event says that this was heard.
    pub(super) fn expect_heard(&mut self, words: &str) {
        let (_, payload) = self.event().expect("an event");
        let payload = String::from_utf8_lossy(&payload).into_owned();
        assert!(payload.contains(&format!("heard {words}\"")), "{payload}");
    }
}
