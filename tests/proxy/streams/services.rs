//! What Transcribe and Kinesis answer: as much as their clients need.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::pieces::Pieces;
use super::upstream::{Answer, Desk, End};
use crate::event_stream::{Chain, message, read, take, text_header};

fn whole(status: u16, kind: &str, body: impl Into<Bytes>) -> Answer {
    let body = Full::new(body.into()).boxed_unsync();
    let answer = Response::builder().status(status).header("content-type", kind);
    answer.header("x-amzn-requestid", "7").body(body).unwrap()
}

pub(super) fn error(code: &str) -> Answer {
    let body = json!({"__type": code, "message": code}).to_string();
    let mut answer = whole(403, "application/x-amz-json-1.1", body);
    answer.headers_mut().insert("x-amzn-errortype", code.parse().unwrap());
    answer
}

fn event(kind: &str, payload: &Value) -> Vec<u8> {
    let headers = [
        text_header(":message-type", "event"),
        text_header(":event-type", kind),
        text_header(":content-type", "application/json"),
    ];
    message(&headers.concat(), payload.to_string().as_bytes())
}

const EVENTS: &str = "application/vnd.amazon.eventstream";

/// PutRecord, and two events of SubscribeToShard.
pub(super) fn kinesis(headers: &HeaderMap) -> Answer {
    let target = headers.get("x-amz-target").map_or("", |target| target.to_str().unwrap());
    if target.ends_with(".SubscribeToShard") {
        let record = json!({
            "Records": [{"SequenceNumber": "7", "Data": "aGVsbG8=", "PartitionKey": "p"}],
            "ContinuationSequenceNumber": "8", "MillisBehindLatest": 0,
        });
        let events =
            [event("initial-response", &json!({})), event("SubscribeToShardEvent", &record)];
        return whole(200, EVENTS, events.concat());
    }
    let body = json!({"ShardId": "shardId-000000000000", "SequenceNumber": "7"}).to_string();
    whole(200, "application/x-amz-json-1.1", body)
}

/// Says what it heard, each time that it heard something.
pub(super) fn transcribe(desk: &Arc<Desk>, number: usize, chain: Chain, body: Incoming) -> Answer {
    let (sender, events) = mpsc::unbounded_channel();
    let desk = Arc::clone(desk);
    tokio::spawn(async move {
        let end = listen(&desk, number, chain, body, &sender).await;
        desk.change(number, |seen| seen.end = end);
    });
    Response::builder().header("content-type", EVENTS).body(Pieces(events).boxed_unsync()).unwrap()
}

/// Reads to the end, which has to be one.
async fn listen(
    desk: &Desk,
    number: usize,
    mut chain: Chain,
    mut body: Incoming,
    sender: &mpsc::UnboundedSender<Bytes>,
) -> End {
    let (mut bytes, mut has_ended) = (Vec::new(), false);
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else { return End::Reset };
        bytes.extend_from_slice(&frame.into_data().expect("no trailers"));
        while let Some(message) = take(&mut bytes) {
            let (headers, payload) = read(&message);
            let value = |name: &str| {
                let found = headers.iter().find(|(own, _)| own == name);
                found.unwrap_or_else(|| panic!("{name}: {headers:?}")).1.clone()
            };
            let at = i64::from_be_bytes(value(":date").try_into().unwrap());
            let right = chain.next(Timestamp::from_millisecond(at).unwrap(), &payload);
            if has_ended || hex::encode(value(":chunk-signature")) != right {
                return End::Wrong("a message that may not be".to_owned());
            }
            has_ended = payload.is_empty();
            if has_ended {
                continue;
            }
            let inner = read(&payload);
            let words = String::from_utf8_lossy(&inner.1).into_owned();
            desk.change(number, |seen| seen.heard.push(inner.1));
            let result = json!({"Transcript": {"Results": [{
                "ResultId": "1", "IsPartial": false, "StartTime": 0.0, "EndTime": 1.0,
                "Alternatives": [{"Transcript": format!("heard {words}"), "Items": []}],
            }]}});
            let _ = sender.send(event("TranscriptEvent", &result).into());
        }
    }
    match has_ended && bytes.is_empty() {
        true => End::Right,
        false => End::Wrong(format!("an end after {} bytes", bytes.len())),
    }
}
