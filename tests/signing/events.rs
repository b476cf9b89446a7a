//! Event streams: each message goes out signed anew, or the stream ends without an end.

use aws_sigv4::http_request::SignableBody;
use bytes::Bytes;
use http::request::Parts;
use jiff::{Timestamp, ToSpan};
use rotakey_endpoint::proxy::payload::{Outgoing, Payload};
use rotakey_endpoint::proxy::refusal::Refusal;
use rotakey_endpoint::proxy::sign::Signed;
use rotakey_endpoint::proxy::verify::Verified;

use super::event_stream::{Chain, date_header, message, sha256, signature_header};
use super::streams::{Pieces, cut, sent};
use super::world::{Client, SECRET, now, real, request, resigned, verified};

/// A stream of these messages and the empty one at its end, signed after this seed.
fn stream(secret: &str, seed: &str, messages: &[(Timestamp, &[u8])], date_first: bool) -> Vec<u8> {
    let [secret, region, service, last] =
        [secret, "eu-west-1", "transcribe", seed].map(str::to_owned);
    let mut chain = Chain { secret, region, service, last };
    let messages = messages.iter().copied().chain([(now(), &b""[..])]);
    messages.flat_map(|(at, payload)| chain.signed(at, payload, date_first)).collect()
}

struct World {
    head: Parts,
    verified: Verified,
    signed: Signed,
}

fn world() -> World {
    let client = Client { service: "transcribe", ..Client::default() };
    let payload = SignableBody::Precomputed("STREAMING-AWS4-HMAC-SHA256-EVENTS".to_owned());
    let headers = [("x-amz-content-sha256", "STREAMING-AWS4-HMAC-SHA256-EVENTS")];
    let head = client.sign(request("POST", "/stream", &headers), payload);
    let verified = verified(&head, b"").unwrap();
    assert_eq!(verified.payload(), Payload::Events);
    let signed = resigned(&head, &verified, &real());
    assert_eq!(signed.headers["x-amz-content-sha256"], "STREAMING-AWS4-HMAC-SHA256-EVENTS");
    World { head, verified, signed }
}

fn seed(authorization: &http::HeaderValue) -> String {
    authorization.to_str().unwrap().rsplit('=').next().unwrap().to_owned()
}

impl World {
    fn client(&self, messages: &[(Timestamp, &[u8])], date_first: bool) -> Vec<u8> {
        stream(SECRET, &seed(&self.head.headers["authorization"]), messages, date_first)
    }

    fn right(&self, messages: &[(Timestamp, &[u8])], date_first: bool) -> Vec<u8> {
        let seed = seed(&self.signed.headers["authorization"]);
        stream(real().secret_access_key.expose(), &seed, messages, date_first)
    }

    fn sent(&self, body: Pieces) -> (Vec<u8>, Result<(), Refusal>) {
        sent(Outgoing::events(body, &self.verified, self.signed.chunks.as_ref()).unwrap())
    }
}

/// The example of `aws-sigv4`, in its own tests.
#[test]
fn what_is_signed_of_a_message_is_what_the_sdk_signs() {
    let header = b"\x0bsome-header\x07\x00\x05value";
    let payload = message(header, b"test payload");
    let at = Timestamp::from_second(123_456_789).unwrap();
    assert_eq!(
        sha256(&date_header(at)),
        "0c0e3b3bf66b59b976181bd7d401927bbd624107303c713fd1e5f3d3c8dd1b1e"
    );
    assert_eq!(
        sha256(&payload),
        "f2eba0f2e95967ee9fbc6db5e678d2fd599229c0d04b11e4fc8e0f2a02a806c6"
    );
}

#[test]
fn streams_of_events_go_out_signed_by_the_real_key_however_they_are_cut() {
    let world = world();
    // A client's clock has parts of a second; and it may be past midnight when the last one comes.
    let late = "2026-11-26T00:00:01.123Z".parse().unwrap();
    let messages: [(Timestamp, &[u8]); 3] =
        [(now(), b"one"), (now() + 1500.milliseconds(), &[0; 200]), (late, b"three")];
    for date_first in [false, true] {
        let body = world.client(&messages, date_first);
        let right = world.right(&messages, date_first);
        assert!(body != right && body.len() == right.len());
        let every: Vec<_> = (0..body.len()).collect();
        assert_eq!(world.sent(cut(&body, &every)), (right.clone(), Ok(())));
        for at in every {
            let (sent, ended) = world.sent(cut(&body, &[at]));
            assert_eq!((sent == right, ended), (true, Ok(())), "{at}");
        }
    }
    let (body, right) = (world.client(&[], true), world.right(&[], true));
    assert_eq!(world.sent(cut(&body, &[])), (right, Ok(())));
}

#[test]
fn a_stream_of_events_in_which_any_bit_is_changed_never_ends() {
    let world = world();
    let messages: [(Timestamp, &[u8]); 2] = [(now(), b"one"), (now(), b"two")];
    let body = world.client(&messages, true);
    for at in 0..body.len() {
        for bit in [0, 7] {
            let mut other = body.clone();
            other[at] ^= 1 << bit;
            let (sent, ended) = world.sent(cut(&other, &[at]));
            assert!(ended.is_err() && sent.len() < body.len(), "byte {at}, bit {bit}");
        }
        let (sent, ended) = world.sent(cut(&body[..at], &[]));
        assert!(ended.is_err() && sent.len() < body.len(), "cut off at {at}");
    }
    // With checksums that are right all the same.
    let one = body.len() / 3;
    let mut forged = body.clone();
    let at = forged.windows(3).position(|three| three == b"one").unwrap();
    forged[at] = b'O';
    let crc = crc32fast::hash(&forged[..at + 3]).to_be_bytes();
    forged[at + 3..at + 7].copy_from_slice(&crc);
    assert_eq!(world.sent(cut(&forged, &[one])), (Vec::new(), Err(Refusal::ChunkSignature)));
    let more = [&body[..], b"\0"].concat();
    assert_eq!(world.sent(cut(&more, &[body.len()])).1, Err(Refusal::BadChunk));
}

#[test]
fn messages_have_the_two_headers_and_no_others() {
    let world = world();
    let date = date_header(now());
    let signature = signature_header(&"0".repeat(64));
    for headers in [
        Vec::new(),
        date.clone(),
        signature.clone(),
        [&date[..], &date].concat(),
        [&signature[..], &signature].concat(),
        [&date[..], &signature, b"\x01a\x00"].concat(),
    ] {
        let body = message(&headers, b"one");
        assert_eq!(world.sent(cut(&body, &[])).1, Err(Refusal::BadChunk), "{headers:?}");
    }
    // A message of 17 MiB would have to be held in memory.
    let mut prelude = (17_u32 << 20).to_be_bytes().to_vec();
    prelude.extend(67_u32.to_be_bytes());
    prelude.extend(crc32fast::hash(&prelude).to_be_bytes());
    assert_eq!(world.sent(cut(&prelude, &[])).1, Err(Refusal::ChunkTooLarge));
    // A date of another day than the head's and the next has no key.
    let far = now() + 49.hours();
    let body = world.client(&[(far, b"one")], true);
    assert_eq!(world.sent(cut(&body, &[])).1, Err(Refusal::Skewed));
}

/// Where AWS is spoken to over HTTP/1.1, they are refused as a whole.
#[test]
fn event_streams_are_refused_by_who_does_not_say_that_it_has_http_2() {
    let World { head, verified, signed } = world();
    let body = || Pieces(vec![Bytes::from_static(b"x")], None);
    let refused = Outgoing::new(body(), &head.headers, &verified, signed.chunks.as_ref(), false);
    assert_eq!(refused.map(drop).unwrap_err(), Refusal::PayloadMode);
    let plain = Client::default().sign(request("PUT", "/b/k", &[]), SignableBody::UnsignedPayload);
    let verified = super::world::verified(&plain, b"").unwrap();
    let refused = Outgoing::events(body(), &verified, signed.chunks.as_ref());
    assert_eq!(refused.map(drop).unwrap_err(), Refusal::PayloadMode);
}
