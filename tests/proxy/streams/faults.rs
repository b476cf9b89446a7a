//! What is not as it was signed. The server sees no end, and the program is told why.

use super::client::Stream;
use super::streaming;
use super::upstream::{End, Upstream};

/// The last event of the answer says why; the server heard what was right, and then the stream was reset.
fn expect_reset(stream: &mut Stream, upstream: &Upstream, heard: &[&str], code: &str) {
    let (headers, _) = stream.event().expect("a last event");
    let header = |name: &str| {
        let found = headers.iter().find(|(own, _)| own == name);
        found.unwrap_or_else(|| panic!("{name}: {headers:?}")).1.clone()
    };
    assert_eq!((&*header(":message-type"), &*header(":error-code")), ("error", code));
    assert!(!header(":error-message").is_empty());
    assert_eq!(stream.event(), None);
    let seen = upstream.until("an end", |seen| seen.iter().all(|one| one.end != End::Open));
    let [one] = &seen[..] else { panic!("{seen:?}") };
    assert_eq!(one.end, End::Reset, "{one:?}");
    let expected: Vec<_> = heard.iter().map(|words| words.as_bytes().to_vec()).collect();
    assert_eq!(one.heard, expected);
}

#[test]
fn a_message_that_was_changed_ends_the_stream_without_an_end() {
    let (world, upstream, agent) = streaming("");
    let mut stream = Stream::begin(&world, &agent);
    stream.say("one");
    assert_eq!(stream.status(), 200);
    stream.expect_heard("one");
    let mut message = stream.signed("two");
    // With a checksum that is right all the same.
    let at = message.windows(3).position(|three| three == b"two").unwrap();
    message[at] = b'T';
    let end = message.len() - 4;
    let crc = crc32fast::hash(&message[..end]).to_be_bytes();
    message[end..].copy_from_slice(&crc);
    stream.send(message);
    expect_reset(&mut stream, &upstream, &["one"], "SignatureDoesNotMatch");
    // The agent's log has it.
    let (_, said) = agent.stop();
    assert!(said.contains("ChunkSignature"), "{said}");
}

#[test]
fn a_message_that_was_left_out_ends_the_stream_without_an_end() {
    let (world, upstream, agent) = streaming("");
    let mut stream = Stream::begin(&world, &agent);
    stream.say("one");
    assert_eq!(stream.status(), 200);
    stream.expect_heard("one");
    drop(stream.signed("two"));
    stream.say("three");
    expect_reset(&mut stream, &upstream, &["one"], "SignatureDoesNotMatch");
}

#[test]
fn a_stream_that_is_cut_off_has_no_end() {
    let (world, upstream, agent) = streaming("");
    let mut stream = Stream::begin(&world, &agent);
    stream.say("one");
    assert_eq!(stream.status(), 200);
    stream.expect_heard("one");
    stream.end();
    expect_reset(&mut stream, &upstream, &["one"], "IncompleteBody");
}

#[test]
fn nothing_goes_out_behind_the_end() {
    let (world, upstream, agent) = streaming("");
    let mut stream = Stream::begin(&world, &agent);
    stream.say("one");
    assert_eq!(stream.status(), 200);
    stream.expect_heard("one");
    stream.say_the_end();
    stream.say("two");
    expect_reset(&mut stream, &upstream, &["one"], "InvalidRequest");
}

/// It would have to be held in memory.
#[test]
fn a_message_that_is_too_large_is_not_waited_for() {
    let (world, upstream, agent) = streaming("");
    let mut stream = Stream::begin(&world, &agent);
    stream.say("one");
    assert_eq!(stream.status(), 200);
    stream.expect_heard("one");
    let mut prelude = (17_u32 << 20).to_be_bytes().to_vec();
    prelude.extend(67_u32.to_be_bytes());
    prelude.extend(crc32fast::hash(&prelude).to_be_bytes());
    stream.send(prelude);
    expect_reset(&mut stream, &upstream, &["one"], "EntityTooLarge");
}

/// A program that ends in the middle.
#[test]
fn a_program_that_is_gone_leaves_no_end() {
    let (world, upstream, agent) = streaming("");
    let mut stream = Stream::begin(&world, &agent);
    stream.say("one");
    assert_eq!(stream.status(), 200);
    stream.expect_heard("one");
    drop(stream);
    let seen = upstream.until("an end", |seen| seen.iter().all(|one| one.end != End::Open));
    assert_eq!(seen[0].end, End::Reset, "{seen:?}");
}

/// In the service's words; and nothing is sent on.
#[test]
fn over_http_1_1_an_event_stream_is_refused_in_words() {
    let (world, upstream, _agent) = streaming("");
    let line = "exec curl -sS -w '%{http_code} %header{x-amzn-errortype}' -H \
                'x-amz-content-sha256: STREAMING-AWS4-HMAC-SHA256-EVENTS' --data-binary x \
                -H 'content-type: application/vnd.amazon.eventstream' \
                --user \"$AWS_ACCESS_KEY_ID:$AWS_SECRET_ACCESS_KEY\" --aws-sigv4 aws:amz:eu-west-1:transcribe \
                $AWS_ENDPOINT_URL/stream-transcription";
    let output = crate::calls::exec(&world, &["sh", "-c", line]);
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(told.ends_with("400 BadRequestException"), "{output:?}");
    assert!(told.contains("event streams need HTTP/2"), "{told}");
    assert_eq!(upstream.seen().len(), 0);
}
