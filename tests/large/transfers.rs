//! Up and down, directly and through the proxy.

use std::time::{Duration, Instant};

use aws_sigv4::http_request::SignableBody;
use sha2::{Digest, Sha256};

use super::Stage;
use super::server::Fate;
use super::uploads::body::{Change, Frame, Mode, upload};
use super::uploads::pattern::Pattern;
use super::uploads::sign::Signer;
use super::uploads::wire::Connection;

/// What all of the agent may take, in a release build.
const AGENT_BYTES_MAX: u64 = 40 << 20;

/// What it may take more than before, however long bodies are.
const GROWTH_BYTES_MAX: u64 = 16 << 20;

/// Every way in which SDKs send a body.
const UPLOADS: [(Mode, Frame); 6] = [
    (Mode::Hash, Frame::Length),
    (Mode::Unsigned, Frame::Length),
    (Mode::UnsignedTrailer, Frame::Chunked),
    (Mode::SignedChunks, Frame::Length),
    (Mode::SignedTrailer, Frame::Length),
    (Mode::SignedTrailer, Frame::Chunked),
];

/// A line of `/proc/PID/status`, in bytes.
fn memory(pid: u32, what: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(what)).expect(what);
    let kibibytes: String = line.chars().filter(char::is_ascii_digit).collect();
    kibibytes.parse::<u64>().unwrap() * 1024
}

/// The most that was resident is counted anew: at the start, deriving the key file's key takes 64 MiB for a moment.
fn forget_peak(pid: u32) {
    std::fs::write(format!("/proc/{pid}/clear_refs"), "5").expect("ours");
}

/// Bodies of one length.
struct Load {
    length: u64,
    hash: String,
}

impl Load {
    fn new(length: u64) -> Self {
        Self { length, hash: Pattern::new(1, length).hash() }
    }

    fn up(&self, stage: &Stage, signer: &Signer, (mode, frame): (Mode, Frame)) -> Duration {
        let target = format!("/up/{:?}-{frame:?}-{}-{}", mode, self.length, signer.id);
        let data = Pattern::new(1, self.length);
        let what = (mode, frame, Change::Nothing);
        let (head, body) = upload(signer, &target, what, data, self.length, &self.hash);
        let head = head.with("expect", "100-continue");
        let began = Instant::now();
        let answer = Connection::default().ask(&signer.host, &head, body);
        let took = began.elapsed();
        let answer = answer.unwrap_or_else(|error| panic!("{target}: {error}"));
        assert_eq!(
            (answer.status, answer.header("x-sha256")),
            (200, Some(&*self.hash)),
            "{answer:?}"
        );
        let stored = Fate::Stored { length: self.length, hash: self.hash.clone() };
        assert_eq!(stage.server.fate(&target), Some(stored), "{target}");
        took
    }

    fn down(&self, signer: &Signer) -> Duration {
        let target = format!("/source/{}", self.length);
        let signable = SignableBody::UnsignedPayload;
        let (head, _) = signer.head("s3", ("GET", &target), &[], signable, false);
        let (mut hash, mut length) = (Sha256::new(), 0);
        let began = Instant::now();
        let answer =
            Connection::default().ask_into(&signer.host, &head, std::iter::empty(), &mut |piece| {
                hash.update(piece);
                length += piece.len() as u64;
            });
        let took = began.elapsed();
        assert_eq!(answer.unwrap().status, 200);
        assert_eq!((length, hex::encode(hash.finalize())), (self.length, self.hash.clone()));
        took
    }
}

/// Mebibytes a second.
fn rate(length: u64, took: Duration) -> f64 {
    length as f64 / f64::from(1 << 20) / took.as_secs_f64()
}

#[test]
fn memory_does_not_grow_with_bodies_and_every_byte_arrives() {
    let bytes = std::env::var("ROTAKEY_LARGE_BYTES");
    let length = bytes.map_or(64 << 20, |text| text.parse().expect("a number"));
    let stage = Stage::new();
    let pid = stage.agent.pid();
    // What only the first request needs.
    let small = Load::new(3 << 20);
    for upload in UPLOADS {
        small.up(&stage, &stage.proxied, upload);
    }
    small.down(&stage.proxied);
    forget_peak(pid);
    let before = memory(pid, "VmRSS:");
    // One that is not odd would fit into chunks without a rest.
    let (load, direct) = (Load::new(length + 5), Load::new(length / 8 + 5));
    let say = |what: &str, proxied: Duration, alone: Duration| {
        let (proxied, alone) = (rate(load.length, proxied), rate(direct.length, alone));
        println!(
            "{what}: {proxied:.0} MiB/s, {:.2} of a direct one; at most {:.1} MiB resident",
            proxied / alone,
            memory(pid, "VmHWM:") as f64 / f64::from(1 << 20)
        );
    };
    for upload in UPLOADS {
        let alone = direct.up(&stage, &stage.direct, upload);
        let proxied = load.up(&stage, &stage.proxied, upload);
        say(&format!("PUT, {} ({:?})", upload.0.name(), upload.1), proxied, alone);
    }
    let alone = direct.down(&stage.direct);
    say("GET", load.down(&stage.proxied), alone);

    let most = memory(pid, "VmHWM:");
    let grown = most.saturating_sub(before);
    println!(
        "large: {} transfers of {} bytes through the proxy, identical; the agent took {} KiB at most, {} KiB more than \
         before",
        UPLOADS.len() + 1,
        load.length,
        most / 1024,
        grown / 1024
    );
    assert!(grown < GROWTH_BYTES_MAX, "grown by {grown} bytes");
    // A debug build is larger itself.
    if std::env::var_os("ROTAKEY_TEST_BINARY").is_some() {
        assert!(most < AGENT_BYTES_MAX, "{most} bytes");
    }
}
