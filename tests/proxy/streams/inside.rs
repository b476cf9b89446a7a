//! By AWS's own host, through `CONNECT`: HTTP/2 inside TLS that ends at the proxy.

use super::client::Stream;
use super::streaming;
use super::upstream::End;

#[test]
fn a_stream_to_awss_own_host_is_verified_and_signed_message_by_message() {
    let (world, upstream, agent) = streaming("proxy_connect = true\n");
    let mut stream = Stream::begin_inside(&world, &agent);
    stream.say("one");
    assert_eq!(stream.status(), 200);
    stream.expect_heard("one");
    // Neither side waits for the other's end.
    stream.say("two");
    stream.expect_heard("two");
    stream.say_the_end();
    stream.end();
    assert_eq!(stream.event(), None);
    let seen = upstream.until("an end", |seen| seen.iter().any(|one| one.end != End::Open));
    let [one] = &seen[..] else { panic!("{seen:?}") };
    assert_eq!((&*one.version, &*one.id, one.status), ("HTTP/2.0", &*world.id, 200));
    assert_eq!((one.heard.len(), &one.end), (2, &End::Right), "{one:?}");
}

#[test]
fn a_message_that_was_changed_inside_ends_it_without_an_end() {
    let (world, upstream, agent) = streaming("proxy_connect = true\n");
    let mut stream = Stream::begin_inside(&world, &agent);
    stream.say("one");
    assert_eq!(stream.status(), 200);
    stream.expect_heard("one");
    drop(stream.signed("left out"));
    stream.say("three");
    let (headers, _) = stream.event().expect("a last event");
    let code = headers.iter().find(|(name, _)| name == ":error-code").map(|(_, code)| &**code);
    assert_eq!(code, Some("SignatureDoesNotMatch"), "{headers:?}");
    let seen = upstream.until("an end", |seen| seen.iter().all(|one| one.end != End::Open));
    assert_eq!((seen[0].heard.len(), &seen[0].end), (1, &End::Reset), "{seen:?}");
}
