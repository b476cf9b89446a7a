//! Lives by the thousand, each given by its seed, on all processors.
#![allow(
    clippy::disallowed_methods,
    reason = "a test is told by the environment how long it is to be"
)]

use std::ops::AddAssign;
use std::sync::atomic::{AtomicU64, Ordering};

/// A number that the environment gives.
pub fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().expect("a number"))
}

/// Lives through `seeds` seeds from `first`; all figures together, and how many violations there were. `live` prints them.
pub fn live_all<F: AddAssign + Default + Send>(
    first: u64,
    seeds: u64,
    live: impl Fn(u64) -> (F, usize) + Sync,
) -> (F, usize) {
    let next = AtomicU64::new(first);
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    let (mut figures, mut violations) = (F::default(), 0);
    std::thread::scope(|scope| {
        let work = || {
            let (mut figures, mut violations) = (F::default(), 0);
            loop {
                let seed = next.fetch_add(1, Ordering::Relaxed);
                if seed >= first + seeds {
                    return (figures, violations);
                }
                let (more, bad) = live(seed);
                figures += more;
                violations += bad;
            }
        };
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        for thread in running {
            let (more, bad) = thread.join().expect("no panic");
            figures += more;
            violations += bad;
        }
    });
    (figures, violations)
}
