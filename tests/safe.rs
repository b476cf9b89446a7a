//! No SDK client signs with a superseded key once `safety` says that none can.
//!
//! `PROPTEST_CASES` asks for more schedules than the usual 2000, `PROPTEST_RNG_SEED` picks others.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test"
)]

#[path = "safe/assumptions.rs"]
mod assumptions;
#[path = "safe/figures.rs"]
mod figures;
#[path = "safe/found.rs"]
mod found;
#[path = "safe/limits.rs"]
mod limits;
mod model_clients;
#[path = "safe/play.rs"]
mod play;
#[path = "safe/rule.rs"]
mod rule;
#[path = "safe/schedule.rs"]
mod schedule;
#[path = "safe/source.rs"]
mod source;
#[path = "safe/story.rs"]
mod story;
#[path = "safe/table.rs"]
mod table;
#[path = "safe/world.rs"]
mod world;

use std::cell::RefCell;
use std::time::Duration;

use figures::Figures;
use model_clients::{Client, KINDS, Kind, Source};
use play::Play;
use proptest::test_runner::{Config, RngSeed, TestCaseError, TestError, TestRunner};
use proptest::{prop_assert, prop_assert_eq};
use rotakey_core::time::later;
use rule::{Part, Watch};
use schedule::{Schedule, healthy_schedules, schedules};
use world::World;

const LEASE: Duration = Duration::from_secs(3600);
const SHORTEST_LEASE: Duration = Duration::from_secs(1800);

/// Enough for the rarest of the known breaks to be met several times.
const CASES: u32 = 2000;

fn runner(config: Config) -> TestRunner {
    // Repeatable, unless somebody asks for another walk.
    let rng_seed = match config.rng_seed {
        RngSeed::Random => RngSeed::Fixed(1),
        asked @ RngSeed::Fixed(_) => asked,
    };
    let cases = config.cases.max(CASES);
    TestRunner::new(Config { cases, rng_seed, failure_persistence: None, ..config })
}

fn prepare(schedule: &Schedule, lease: Duration, watch: Watch, without: Option<Part>) -> Play {
    let mut world = World::new(lease, watch, schedule.millisecond);
    world.without = without;
    let clients = schedule.clients.iter().map(|(kind, jitter)| Client::new(*kind, *jitter));
    Play::new(world, clients.collect())
}

/// The kinds that can be there: without an agent, only `credential-process` serves, and in no SDK's release
/// does that outlive its expiration.
fn kinds(watch: Watch) -> Vec<Kind> {
    let there =
        |kind: &&Kind| watch == Watch::Agent || kind.source == Source::Process && kind.bounded;
    KINDS.iter().filter(there).copied().collect()
}

fn no_client_signs(lease: Duration, watch: Watch) {
    let total = RefCell::new(Figures::default());
    let config = Config::default();
    let result = runner(config).run(&schedules(kinds(watch)), |schedule| {
        let mut play = prepare(&schedule, lease, watch, None);
        play.run(&schedule).map_err(TestCaseError::fail)?;
        total.borrow_mut().add(play.figures);
        Ok(())
    });
    println!("lease {lease:?}, {watch:?}: {}", total.borrow());
    if let Err(error) = result {
        panic!("{error}");
    }
}

#[test]
fn no_client_of_credential_process_signs_with_a_key_that_is_safe() {
    no_client_signs(LEASE, Watch::Published);
    no_client_signs(SHORTEST_LEASE, Watch::Published);
}

#[test]
fn no_client_of_any_source_signs_with_a_key_that_is_safe() {
    no_client_signs(LEASE, Watch::Agent);
    no_client_signs(SHORTEST_LEASE, Watch::Agent);
}

#[test]
fn a_key_is_safe_to_the_second_when_nothing_is_wrong() {
    for lease in [LEASE, SHORTEST_LEASE] {
        let result = runner(Config::default()).run(&healthy_schedules(), |schedule| {
            let mut play = prepare(&schedule, lease, Watch::Agent, None);
            play.run(&schedule).map_err(TestCaseError::fail)?;
            let (gone, policy) = (play.gone.expect("safe in the end"), &play.world.policy);
            // S + C after the last lease and the last back-off have ended, ...
            let tail = policy.signature_window + Duration::from_secs(1);
            prop_assert_eq!(gone.at, later(gone.ended, tail));
            // ... which is no later than the horizon can be at the cutover: it is written ahead by a sixth.
            let latest = lease + lease / 6;
            prop_assert!(gone.ended <= later(play.world.superseded(), latest));
            Ok(())
        });
        if let Err(error) = result {
            panic!("{error}");
        }
    }
}

/// A part that can be left out without being missed is either not needed or not tested.
#[test]
fn every_part_of_the_rule_is_missed_when_it_is_left_out() {
    let parts = [
        (Part::Backoff, Watch::Agent),
        (Part::SignatureWindow, Watch::Published),
        (Part::Monotonic, Watch::Published),
        (Part::MonotonicOfCutover, Watch::Published),
        (Part::Unrecorded, Watch::Published),
        (Part::WrittenAhead, Watch::Published),
        (Part::Outages, Watch::Agent),
        (Part::Gains, Watch::Agent),
        (Part::FailOvers, Watch::Agent),
    ];
    for (part, watch) in parts {
        let tried = RefCell::new(0);
        let config = Config { cases: 5000, max_shrink_iters: 0, ..Config::default() };
        let result = runner(config).run(&schedules(kinds(watch)), |schedule| {
            *tried.borrow_mut() += 1;
            let mut play = prepare(&schedule, LEASE, watch, Some(part));
            play.run(&schedule).map_err(TestCaseError::fail)
        });
        let Err(TestError::Fail(why, _)) = result else { panic!("{part:?} is not missed") };
        println!("without {part:?}: schedule {}: {why}", tried.borrow());
    }
}
