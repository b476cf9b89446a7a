//! What the fuzzer goes through of the proxy (`make fuzz TARGET=chunks`, `events`, `signatures` or `canonical`), without the fuzzer:
//! every case of its corpora, and random mutations of them.
#![allow(missing_docs, unreachable_pub, clippy::unwrap_used, reason = "a test")]
#![allow(clippy::disallowed_methods, reason = "a test reads files")]

#[path = "../fuzz/harness/canonical.rs"]
mod canonical_harness;
#[path = "../fuzz/harness/chunks.rs"]
mod chunks_harness;
#[path = "../fuzz/harness/events.rs"]
mod events_harness;
#[path = "fuzz/mutations.rs"]
mod mutations;
#[path = "../fuzz/harness/signatures.rs"]
mod signatures_harness;

use mutations::{check_corpus, check_mutations, corpus};

#[test]
fn every_case_of_the_corpora_is_taken_as_it_must_be() {
    check_corpus("chunks", chunks_harness::check);
    check_corpus("events", events_harness::check);
    check_corpus("signatures", signatures_harness::check);
    check_corpus("canonical", canonical_harness::check);
}

/// The corpora were signed by botocore and by a script: by neither of the two that `tests/signing.rs` compares. If nothing of
/// them got through, nothing would be found behind the first check either.
#[test]
fn the_corpora_hold_what_is_right_too() {
    let right = |target, is_right: fn(&[u8]) -> bool| -> Vec<String> {
        let cases = corpus(target).into_iter().filter(|(_, bytes)| is_right(bytes));
        cases.map(|(name, _)| name).collect()
    };
    let chunks = right("chunks", chunks_harness::is_right);
    let good =
        ["empty", "large", "one-byte", "three", "three-cut", "upper-size", "zeros-before-size"];
    for mode in ["unsigned", "signed", "signed-trailer"] {
        for good in good {
            let name = format!("{mode}-{good}");
            assert!(chunks.contains(&name), "{name}");
        }
    }
    assert!(chunks.contains(&"signed-trailer-guide".to_owned()), "{chunks:?}");
    assert_eq!(chunks.len(), 30, "{chunks:?}");
    assert_eq!(
        right("events", events_harness::is_right),
        [
            "back-before-midnight",
            "checksums-of-zero",
            "empty",
            "large",
            "many",
            "milliseconds",
            "one",
            "one-byte",
            "orders-mixed",
            "past-midnight",
            "signature-first",
            "three",
            "three-cut",
            "unsigned-empty-mended",
            "unsigned-mended",
        ]
    );
    let signatures = right("signatures", signatures_harness::is_right);
    assert_eq!(
        signatures,
        [
            "absolute",
            "botocore-bedrock",
            "botocore-date",
            "botocore-lambda-arn",
            "botocore-s3-odd-key",
            "botocore-s3-query",
            "botocore-s3-uploads",
            "botocore-s3-url",
            "botocore-sts-url",
            "chunked",
            "content-type",
            "date-only",
            "dynamodb",
            "events",
            "forwarded",
            "get",
            "gov",
            "lambda-arn",
            "length",
            "no-space-after-comma",
            "odd-key",
            "put-meta",
            "query",
            "range",
            "signed-chunks",
            "unsigned-payload",
            "unsigned-trailer",
            "url",
            "url-header",
            "url-long",
            "url-query",
            "url-sts",
        ]
    );
}

static CHUNKS: [&str; 16] = [
    "\r\n",
    "\n",
    "\r",
    "\0",
    "0",
    "3",
    "ffffffffffffffff",
    "1000000",
    ";",
    ";chunk-signature=",
    "0\r\n",
    "0\r\n\r\n",
    "3\r\nabc\r\n",
    "x-amz-checksum-crc32:",
    "x-amz-trailer-signature:",
    "GET / HTTP/1.1\r\n\r\n",
];

static EVENTS: [&str; 12] = [
    "\0",
    "\u{1}",
    "\0\0\0\u{53}\0\0\0\u{43}",
    "\0\0\0\u{10}",
    "\0\0\0\u{43}",
    "\u{5}:date\u{8}",
    "\u{10}:chunk-signature\u{6}\0 ",
    "\u{10}:chunk-signature\u{7}\0 ",
    "\u{b}:event-type\u{7}\0\u{a}AudioEvent",
    "\0\0\u{1}",
    "one",
    "\u{7f}",
];

static SIGNATURES: [&str; 30] = [
    "\n",
    " ",
    ",",
    ";",
    "/",
    "=",
    "&",
    "Authorization: AWS4-HMAC-SHA256 ",
    "Credential=",
    "SignedHeaders=",
    "Signature=",
    "host",
    ":authority",
    "x-amz-date",
    "\nX-Amz-Date: 20261125T120000Z",
    "\nDate: Wed, 25 Nov 2026 12:00:00 GMT",
    "\nHost: 127.0.0.1:25000",
    "\nHost: evil.example",
    "\nX-Amz-Acl: public-read",
    "\nX-Amz-Content-Sha256: UNSIGNED-PAYLOAD",
    "\nTransfer-Encoding: chunked",
    "\nContent-Length: 1",
    "\nConnection: x-amz-acl",
    "?X-Amz-Signature=",
    "&X-Amz-Expires=604800",
    "AWSAccessKeyId=",
    "http://evil.example",
    "aws4_request",
    "20261125",
    "\u{ff}",
];

static CANONICAL: [&str; 20] = [
    "\n", "/", "//", "/../", "/./", "%2F", "%2f", "%", "%0a", "%FF", "+", "?", "&", "=", ":", "  ",
    "\t", "\r", "\u{ff}", "host: a",
];

#[test]
fn mutations_of_bodies_in_chunks_complete_nothing() {
    check_mutations("chunks", &CHUNKS, chunks_harness::check);
}

#[test]
fn mutations_of_event_streams_complete_nothing() {
    check_mutations("events", &EVENTS, events_harness::check);
}

#[test]
fn mutations_of_signed_heads_get_nothing_through() {
    check_mutations("signatures", &SIGNATURES, signatures_harness::check);
}

#[test]
fn mutations_of_targets_and_headers_have_one_canonical_form() {
    check_mutations("canonical", &CANONICAL, canonical_harness::check);
}
