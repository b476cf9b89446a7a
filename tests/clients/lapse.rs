//! The cases of a cutover in which time goes by: leases end, the agent is away, clients are slow.

use std::time::Duration;

use rustix::process::Signal;
use serde_json::json;

use super::agent::{Agent, LEASE_SECONDS, world};
use super::clock::Clock;
use super::driver::{Driver, Sdk};
use super::matrix::{current, finish, furnish, key_of};
use super::sources::{Source, free_port};

/// Case E: the agent is away while leases end and the key is swapped. When it is back, the next request is signed by
/// the new key: nobody keeps the old one, and nobody is refused.
#[test]
fn an_agent_that_was_away_over_the_end_of_a_lease_serves_the_new_key() {
    let world = world();
    let port = free_port();
    let agent = Agent::start_at(&world, port);
    let pairs = Sdk::ALL.into_iter().flat_map(|sdk| Source::ALL.map(|source| (sdk, source)));
    let mut drivers: Vec<_> = pairs
        .map(|(sdk, source)| (sdk, source, Driver::start(sdk, source, &agent.place, &[])))
        .collect();
    let ask = |(sdk, source, driver): &mut (Sdk, Source, Driver)| {
        if (*sdk, *source) == (Sdk::Boto3, Source::Imds) {
            driver.begin_anew();
        }
        let answer = driver.ask("sts");
        assert!(answer.ok, "{sdk:?} {source:?}: {answer:?}");
        key_of(&world, &answer.access_key_id.unwrap())
    };
    for each in &mut drivers {
        assert_eq!(ask(each).as_deref(), Some(&*world.id), "{:?} {:?}", each.0, each.1);
    }
    agent.kill();
    world.expect(0, &["rotate", "--wait", "published"]);
    std::thread::sleep(Duration::from_secs(LEASE_SECONDS + 1));
    let _agent = Agent::start_at(&world, port);
    let new = current(&world);
    for each in &mut drivers {
        assert_eq!(ask(each).as_deref(), Some(&*new), "{:?} {:?}", each.0, each.1);
    }
    finish(&world);
    for each in &mut drivers {
        assert_eq!(ask(each).as_deref(), Some(&*new), "{:?} {:?}", each.0, each.1);
    }
}

/// Case B with the agent itself and leases as they really are: when the lease ends, the new key signs, and the old
/// one has been Active all the time.
#[test]
fn when_a_long_lease_ends_the_new_key_signs() {
    let world = world();
    // Requests are signed by a clock that is ahead.
    world.control(json!({"op": "behaviour", "set": {"max_skew": 3_600_000}}));
    let agent = Agent::start_with(&world, "30m");
    let pairs = Sdk::ALL.into_iter().flat_map(|sdk| Source::ALL.map(|source| (sdk, source)));
    let mut clients: Vec<_> = pairs
        .map(|(sdk, source)| {
            let clock = Clock::new(world.home.path().join(format!("{sdk:?}-{source:?}")));
            let driver = Driver::start(sdk, source, &agent.place, &clock.environment());
            (sdk, source, clock, driver)
        })
        .collect();
    let ask = |driver: &mut Driver| {
        let answer = driver.ask("sts");
        assert!(answer.ok, "{answer:?}");
        key_of(&world, &answer.access_key_id.unwrap())
    };
    for (sdk, source, _, driver) in &mut clients {
        assert_eq!(ask(driver).as_deref(), Some(&*world.id), "{sdk:?} {source:?}");
    }
    world.expect(0, &["rotate", "--wait", "published"]);
    let new = current(&world);
    // From now on for longer: the time of this test's clients is not the agent's.
    agent.reconfigure(&world, "60m");
    for (sdk, source, clock, driver) in &mut clients {
        let signed_by_new = ask(driver).as_deref() == Some(&*new);
        assert!(!signed_by_new, "{sdk:?} {source:?}: its lease runs, why does it ask?");
        // A second after the end, whoever asks in the background has to wait for it, too.
        clock.set_ahead(30 * 60 + 1);
        assert_eq!(ask(driver).as_deref(), Some(&*new), "{sdk:?} {source:?}");
    }
    assert!(world.accepts(&world.id), "the old key goes later, when no lease on it is left");
}

/// Case O: a long upload in parts, a body that comes slowly and a client that stands still, all across a rotation.
#[test]
fn slow_clients_are_not_refused() {
    let world = world();
    let agent = Agent::start(&world);
    furnish(&agent.place);
    let start = |source| Driver::start(Sdk::Boto3, source, &agent.place, &[]);
    let (mut long, mut stopped) = (start(Source::Container), start(Source::Process));
    assert!(stopped.ask("sts").ok);
    assert!(long.ask("sts").ok);
    long.tell("multipart");
    stopped.signal(Signal::STOP);
    let mut rotation = world.spawn(&["rotate", "--wait", "deleted"]);
    let mut slow = start(Source::Process);
    let mut bodies = 0;
    while rotation.try_wait().unwrap().is_none() {
        let answer = slow.ask("slow");
        assert!(answer.ok, "{answer:?}");
        bodies += 1;
    }
    assert!(rotation.wait().unwrap().success());
    assert!(bodies >= 2, "{bodies} slow bodies");
    stopped.signal(Signal::CONT);
    let answer = stopped.ask("sts");
    assert!(answer.ok, "it stood still over the rotation: {answer:?}");
    assert_eq!(answer.access_key_id, Some(current(&world)));
    let answer = long.answer();
    assert!(answer.ok, "the long upload: {answer:?}");
    world.assert_rotated();
}
