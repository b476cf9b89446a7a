//! What became of the requests of all, by client and by what they were.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;

/// Clients that have begun before the first rotation does: each kind.
const CLIENTS: [&str; 4] = ["boto3", "curl", "js", "rust"];

#[derive(Default)]
struct Counts {
    /// Requests, by client and by what they were.
    made: BTreeMap<(String, String), u64>,
    failures: Vec<String>,
    begun: Vec<String>,
}

#[derive(Default)]
pub(crate) struct Tally(Mutex<Counts>);

impl Tally {
    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A request was made; whether it was answered as it should be.
    pub(crate) fn note(&self, client: &str, what: &str, outcome: Result<(), String>) {
        let mut counts = self.counts();
        *counts.made.entry((client.to_owned(), what.to_owned())).or_default() += 1;
        if let Err(why) = outcome {
            counts.failures.push(format!("{client}, {what}: {why}"));
        }
    }

    /// The same of a program that counts for itself: `{"made": {WHAT: n}, "failures": [...]}`.
    pub(crate) fn add(&self, client: &str, told: &Value) {
        let mut counts = self.counts();
        for (what, made) in told["made"].as_object().expect("an object") {
            let entry = counts.made.entry((client.to_owned(), what.clone())).or_default();
            *entry += made.as_u64().expect("a number");
        }
        for failure in told["failures"].as_array().expect("a list") {
            counts.failures.push(format!("{client}: {failure}"));
        }
    }

    pub(crate) fn begin(&self, client: &str) {
        self.counts().begun.push(client.to_owned());
    }

    /// Waits until each kind of client has made its first request.
    pub(crate) fn wait_for_everybody(&self) {
        let since = Instant::now();
        let has_begun = |client: &&str| self.counts().begun.iter().any(|own| own == client);
        while !CLIENTS.iter().all(has_begun) {
            assert!(since.elapsed() < Duration::from_secs(120), "{:?}", self.counts().begun);
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    pub(crate) fn requests(&self) -> u64 {
        self.counts().made.values().sum()
    }

    pub(crate) fn failures(&self) -> Vec<String> {
        self.counts().failures.clone()
    }

    pub(crate) fn print(&self) {
        for ((client, what), made) in &self.counts().made {
            println!("  {client:<6} {made:>7}  {what}");
        }
        println!("  in all {:>7}, failed {}", self.requests(), self.failures().len());
    }
}
