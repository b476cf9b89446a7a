//! Whether readers wait while what they read is swapped.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rotakey_core::credential::{AccessKeyId, Credentials, Generation, SecretAccessKey};
use rotakey_endpoint::publish::{Publisher, Snapshot, Subscriber};

use crate::answers::container;
use crate::pairs::{Pairs, quantile};
use crate::table::{Goal, Table};
use crate::world::{Error, World};

const PAIRS: usize = 4;
const SECONDS: u32 = 4;

/// Everything as quick as it may be.
const QUICK: &str = "unsafe_durations = true\nlease = \"1s\"\nsoak = \"1s\"\n\
                     probe = { successes = 2, spacing = \"50ms\", settle = \"50ms\", deadline = \"8s\" }\n";

/// Measures programs that ask for `app` while its key is rotated over and over, against the same while another profile's is:
/// both do the same work next to them, but only the first swaps what they get.
pub(crate) fn measure(table: &mut Table) -> Result<(), Error> {
    let world = World::new(true)?;
    world.add("app", QUICK)?;
    world.add("other", QUICK)?;
    let agent = world.agent()?;
    agent.settled(Instant::now(), 2)?;
    let target = container(&agent, "app")?;
    let (mut swapped, mut still, mut swaps) = (Vec::new(), Vec::new(), 0);
    let longest = Pairs::measure(
        PAIRS,
        || {
            let (round, rotations) = while_rotating(&world, "app", || target.round(8, SECONDS))?;
            swaps += rotations;
            swapped.push(round.p99_us);
            Ok::<_, Error>(round.max_us)
        },
        || {
            let (round, _) = while_rotating(&world, "other", || target.round(8, SECONDS))?;
            still.push(round.p99_us);
            Ok(round.max_us)
        },
    )?;
    let mut tails = Pairs::default();
    swapped.into_iter().zip(still).for_each(|(with, without)| tails.push(with, without));
    table.value("swap: rotations published under load", f64::from(swaps), Goal::None);
    table.pairs("swap, 8 readers: longest answer, us", &longest, Goal::None);
    table.pairs("swap, 8 readers: p99, us", &tails, Goal::None);
    reads(table);
    Ok(())
}

/// Rotates a profile's key until `work` is done. Answers how often.
fn while_rotating<T: Send>(
    world: &World,
    profile: &str,
    work: impl FnOnce() -> Result<T, Error>,
) -> Result<(T, u32), Error> {
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let rotating = scope.spawn(|| {
            let mut rotations = 0;
            while !is_over.load(Ordering::Relaxed) {
                let mut rotate = world
                    .rotakey(&["rotate", profile, "--wait", "published"])
                    .map_err(|e| e.to_string())?;
                let output = rotate.output().map_err(|error| error.to_string())?;
                // 3: the agent is at it, or the last one is not over yet.
                match output.status.code() {
                    Some(0) => rotations += 1,
                    Some(3) => std::thread::sleep(Duration::from_millis(50)),
                    _ => return Err(String::from_utf8_lossy(&output.stderr).into_owned()),
                }
            }
            Ok(rotations)
        });
        let done = work();
        is_over.store(true, Ordering::Relaxed);
        let rotations = rotating.join().map_err(|_| "the rotating thread panicked")?;
        Ok((done?, rotations?))
    })
}

/// The read alone, in this process: with a publisher that does nothing but publish, and without.
fn reads(table: &mut Table) {
    let publisher = Publisher::new();
    let subscriber = publisher.subscribe();
    let mut generation = 1;
    let mut publish = || {
        // It is the newest.
        let _ = publisher.publish(snapshot(generation));
        generation += 1;
    };
    publish();
    let mut pairs = Pairs::default();
    for _ in 0..PAIRS {
        let still = read(&subscriber);
        let is_over = AtomicBool::new(false);
        let busy = std::thread::scope(|scope| {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    publish();
                }
            });
            let busy = read(&subscriber);
            is_over.store(true, Ordering::Relaxed);
            busy
        });
        pairs.push(busy, still);
    }
    table.pairs("one read while another thread only publishes: p99.9, us", &pairs, Goal::None);
}

/// The 99.9th percentile of many reads, in microseconds.
fn read(subscriber: &Subscriber) -> f64 {
    let times = (0..200_000).map(|_| {
        let began = Instant::now();
        std::hint::black_box(subscriber.latest().as_ref().map(|seen| seen.generation));
        began.elapsed().as_secs_f64() * 1e6
    });
    quantile(times.collect(), 0.999)
}

fn snapshot(generation: u64) -> Snapshot {
    let key: AccessKeyId = "AKIAEXAMPLE".parse().expect("an id");
    let secret = SecretAccessKey::new("a secret".to_owned());
    Snapshot {
        generation: Generation(generation),
        credentials: Credentials::long_term(key.clone(), secret),
        key,
        valid_until: None,
        covered_until: None,
    }
}
