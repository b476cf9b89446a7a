//! The load generator: a thread for each kind of request, which makes it again and again, at a constant rate, and checks
//! every answer.

use std::thread::Scope;
use std::time::{Duration, Instant};

use aws_sigv4::http_request::SignableBody;
use serde_json::json;

use super::Load;
use super::stage::Stage;
use super::uploads::body::{Change, Frame, Mode, upload};
use super::uploads::pattern::Pattern;
use super::uploads::sign::{Head, Signer};
use super::uploads::wire::{Answer, Connection};

/// Who is counted as a client here.
const CLIENT: &str = "rust";

const SMALL: u64 = 1000;
const MIDDLE: u64 = 300_000;
/// Too long to be sent twice: it waits behind `Expect: 100-continue`.
const LARGE: u64 = (2 << 20) + 100;

/// How often each is made.
const EVERY: Duration = Duration::from_millis(1000);
const EVERY_LARGE: Duration = Duration::from_millis(2000);

/// A body, and whether it waits for a word.
type Upload = (Mode, Frame, u64, bool);

/// What is stored and read back.
const UPLOADS: [Upload; 11] = [
    (Mode::Hash, Frame::Length, SMALL, false),
    (Mode::Hash, Frame::Length, LARGE, true),
    (Mode::Hash, Frame::Length, LARGE, false),
    (Mode::Unsigned, Frame::Length, LARGE, true),
    (Mode::UnsignedTrailer, Frame::Chunked, LARGE, true),
    (Mode::UnsignedTrailer, Frame::Length, MIDDLE, false),
    (Mode::SignedChunks, Frame::Length, MIDDLE, false),
    (Mode::SignedChunks, Frame::Length, LARGE, true),
    (Mode::SignedTrailer, Frame::Length, LARGE, false),
    (Mode::SignedTrailer, Frame::Chunked, MIDDLE, true),
    (Mode::SignedTrailer, Frame::Chunked, LARGE, true),
];

const BUCKET: &str = "/generator";
const SHARED: &str = "/generator/shared";
const SHARED_UPLOAD: Upload = (Mode::Hash, Frame::Length, MIDDLE, false);

/// Makes requests, on one connection as long as that is kept.
struct Caller {
    signer: Signer,
    connection: Connection,
}

impl Caller {
    fn new(stage: &Stage) -> Self {
        Self { signer: stage.signer.clone(), connection: Connection::default() }
    }

    fn ask(&mut self, head: &Head, body: impl Iterator<Item = Vec<u8>>) -> Result<Answer, String> {
        let answer = self.connection.ask(&self.signer.host, head, body);
        let answer = answer.map_err(|error| format!("{} {}: {error}", head.method, head.target))?;
        match answer.status {
            200 => Ok(answer),
            _ => Err(format!("{} {}: {}", head.method, head.target, answer.told())),
        }
    }

    /// A request with a body whose hash is signed: of S3 in a header, of others implicitly.
    fn signed(
        &mut self,
        service: &str,
        what: (&'static str, &str),
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Answer, String> {
        let signable = SignableBody::Bytes(body);
        let (head, _) = self.signer.head(service, what, headers, signable, false);
        let head = head.with("content-length", &body.len().to_string());
        self.ask(&head, std::iter::once(body.to_vec()))
    }

    fn dynamodb(&mut self, action: &str, order: &str) -> Result<Answer, String> {
        let target = format!("DynamoDB_20120810.{action}");
        let headers = [("x-amz-target", &*target), ("content-type", "application/x-amz-json-1.0")];
        self.signed("dynamodb", ("POST", "/"), &headers, order.as_bytes())
    }

    fn put(&mut self, target: &str, what: Upload, data: Pattern) -> Result<(), String> {
        let (mode, frame, length, waits) = what;
        let hash = data.clone().hash();
        let what = (mode, frame, Change::Nothing);
        let (head, body) = upload(&self.signer, target, what, data, length, &hash);
        let head = if waits { head.with("expect", "100-continue") } else { head };
        self.ask(&head, body).map(drop)
    }

    /// Reads it back; by a URL that is signed, or by a head.
    fn get(&mut self, target: &str, data: Pattern, in_url: bool) -> Result<(), String> {
        let empty = if in_url { SignableBody::UnsignedPayload } else { SignableBody::Bytes(b"") };
        let (head, _) = self.signer.head("s3", ("GET", target), &[], empty, in_url);
        let answer = self.ask(&head, std::iter::empty())?;
        let is_right = answer.body == data.bytes();
        is_right.then_some(()).ok_or_else(|| format!("GET {target}: other bytes"))
    }
}

/// Makes what the requests need.
pub(crate) fn furnish(stage: &Stage) {
    let mut caller = Caller::new(stage);
    caller.signed("s3", ("PUT", BUCKET), &[], b"").expect("a bucket");
    caller.put(SHARED, SHARED_UPLOAD, shared()).expect("an object");
    let table = json!({"TableName": "t", "BillingMode": "PAY_PER_REQUEST",
        "KeySchema": [{"AttributeName": "k", "KeyType": "HASH"}],
        "AttributeDefinitions": [{"AttributeName": "k", "AttributeType": "S"}]});
    caller.dynamodb("CreateTable", &table.to_string()).expect("a table");
}

/// An object that is only read.
fn shared() -> Pattern {
    Pattern::new(7, SHARED_UPLOAD.2)
}

/// Starts all threads.
pub(crate) fn start<'scope>(
    scope: &'scope Scope<'scope, '_>,
    load: &'scope Load,
    stage: &'scope Stage,
) {
    for (number, upload) in UPLOADS.into_iter().enumerate() {
        scope.spawn(move || store(load, stage, number as u64, upload));
    }
    scope.spawn(move || read(load, stage));
    scope.spawn(move || ask(load, stage));
}

/// Does it at a constant rate, as long as the load is on.
fn at_a_rate(load: &Load, every: Duration, mut act: impl FnMut(u64)) {
    let began = Instant::now();
    let mut count = 0;
    while load.is_on() {
        act(count);
        count += 1;
        let due = began + every * u32::try_from(count).unwrap_or(u32::MAX);
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
    }
}

fn store(load: &Load, stage: &Stage, number: u64, upload: Upload) {
    let (mode, frame, length, waits) = upload;
    let framed = if frame == Frame::Length { "with a length" } else { "without a length" };
    let waits = if waits { ", waits" } else { "" };
    let what = format!("put {length} bytes {framed}, {}{waits}", mode.name());
    let every = if length == LARGE { EVERY_LARGE } else { EVERY };
    let mut caller = Caller::new(stage);
    at_a_rate(load, every, |count| {
        let target = format!("{BUCKET}/{number}/{}", count % 4);
        let data = Pattern::new(number << 32 | count, length);
        let put = caller.put(&target, upload, data.clone());
        let is_put = put.is_ok();
        load.tally.note(CLIENT, &what, put);
        // What failed is told already.
        if is_put {
            let got = caller.get(&target, data, false);
            load.tally.note(CLIENT, &format!("get {length} bytes"), got);
        }
    });
}

fn read(load: &Load, stage: &Stage) {
    let mut caller = Caller::new(stage);
    at_a_rate(load, EVERY / 4, |_| {
        let got = caller.get(SHARED, shared(), true);
        load.tally.note(CLIENT, "get by a signed URL", got);
    });
}

/// What has no hash in its head.
fn ask(load: &Load, stage: &Stage) {
    let mut caller = Caller::new(stage);
    at_a_rate(load, EVERY / 2, |count| {
        let item = json!({"k": {"S": "item"}, "n": {"N": count.to_string()}});
        let order = json!({"TableName": "t", "Item": item}).to_string();
        load.tally.note(CLIENT, "DynamoDB put", caller.dynamodb("PutItem", &order).map(drop));
        let order = json!({"TableName": "t", "Key": {"k": {"S": "item"}}}).to_string();
        let got = caller.dynamodb("GetItem", &order).and_then(|answer| {
            let told: serde_json::Value = serde_json::from_slice(&answer.body).unwrap_or_default();
            (told["Item"] == item).then_some(()).ok_or_else(|| format!("other item: {told}"))
        });
        load.tally.note(CLIENT, "DynamoDB get", got);
        let form = b"Action=GetCallerIdentity&Version=2011-06-15";
        let headers = [("content-type", "application/x-www-form-urlencoded")];
        let told = caller.signed("sts", ("POST", "/"), &headers, form).and_then(|answer| {
            let is_right = answer.told().contains("user/app");
            is_right.then_some(()).ok_or_else(|| answer.told())
        });
        load.tally.note(CLIENT, "STS", told);
        if count == 0 {
            load.tally.begin(CLIENT);
        }
    });
}
