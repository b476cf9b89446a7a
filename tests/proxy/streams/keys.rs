//! Streams and rotations.

use super::client::Stream;
use super::streaming;
use super::upstream::{End, Upstream};
use crate::support::World;

fn learn_the_served_key(world: &World, upstream: &Upstream) -> String {
    let served = world.served();
    let text = |name: &str| served[name].as_str().expect("a text").to_owned();
    upstream.learn(&text("AccessKeyId"), &text("SecretAccessKey"));
    text("AccessKeyId")
}

#[test]
fn a_stream_keeps_the_key_that_it_began_with() {
    let (world, upstream, agent) = streaming("lease = \"1s\"\n");
    let mut stream = Stream::begin(&world, &agent);
    stream.say("before");
    assert_eq!(stream.status(), 200);
    stream.expect_heard("before");
    world.expect(0, &["rotate", "--wait", "deleted"]);
    let new = learn_the_served_key(&world, &upstream);
    assert_ne!(new, world.id);
    stream.say("after");
    stream.expect_heard("after");
    let mut other = Stream::begin(&world, &agent);
    other.say("anew");
    assert_eq!(other.status(), 200);
    other.expect_heard("anew");
    for stream in [&mut stream, &mut other] {
        stream.say_the_end();
        stream.end();
        assert_eq!(stream.event(), None);
    }
    let seen = upstream.until("both ends", |seen| seen.iter().all(|one| one.end != End::Open));
    let seen: Vec<_> = seen.into_iter().map(|one| (one.id, one.end)).collect();
    assert_eq!(seen, [(world.id.clone(), End::Right), (new, End::Right)]);
}

/// AWS knows the old key alone: the stream begins with that one, and nothing of it is lost.
#[test]
fn a_stream_begins_with_the_key_that_is_known() {
    let (world, upstream, agent) = streaming("lease = \"60s\"\n");
    world.expect(0, &["rotate"]);
    let mut stream = Stream::begin(&world, &agent);
    stream.say("one");
    assert_eq!(stream.status(), 200);
    stream.expect_heard("one");
    stream.say_the_end();
    stream.end();
    assert_eq!(stream.event(), None);
    let seen = upstream.until("an end", |seen| seen.iter().any(|one| one.end != End::Open));
    let seen: Vec<_> = seen.into_iter().map(|one| (one.id, one.status, one.end)).collect();
    let (new, old) = (world.served_id(), world.id.clone());
    assert_eq!(seen, [(new, 403, End::Open), (old, 200, End::Right)]);
}

/// AWS knows neither: its refusal is the program's answer.
#[test]
fn a_key_that_is_not_known_is_said_to_the_program() {
    let (world, upstream, agent) = streaming("");
    upstream.forget(&world.id);
    let mut stream = Stream::begin(&world, &agent);
    stream.say("one");
    assert_eq!(stream.status(), 403);
    let seen = upstream.seen();
    assert_eq!((seen.len(), seen[0].status, &seen[0].heard), (1, 403, &Vec::new()));
}
