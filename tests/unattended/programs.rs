//! The programs of one profile: each behaves as one SDK does with one source.

use fastrand::Rng;
use jiff::Timestamp;
use rotakey_core::time::later;

use crate::model_clients::{Answer, Client, KINDS, Source};
use crate::system::{World, seconds};

#[derive(Clone)]
pub struct Program {
    client: Client,
    /// Until when it may use what it holds.
    until: Timestamp,
    /// When it signs next, by the true time.
    pub due: Timestamp,
    every: u64,
}

impl Program {
    pub fn new(rng: &mut Rng, now: Timestamp) -> Self {
        let client = Client::new(KINDS[rng.usize(..KINDS.len())], rng.u64(..));
        let every = [3600, 6 * 3600, 43_200, 86_400][rng.usize(..4)];
        Self { client, until: now, due: later(now, seconds(rng.u64(..every))), every }
    }

    /// Signs a request, if it is given something to sign with.
    pub fn sign(&mut self, rng: &mut Rng, world: &mut World, is_agent_up: bool) -> bool {
        self.due = later(self.due, seconds(rng.u64(1..=2 * self.every)));
        let now = world.now.clone();
        let is_there = self.client.kind.source == Source::Process || is_agent_up;
        let until = &mut self.until;
        let mut fetch = || {
            let handed = is_there.then(|| world.fetch(0).ok()).flatten()?;
            let access_key_id = handed.snapshot.credentials.access_key_id;
            let expiration =
                Timestamp::from_second(handed.expiration.as_second()).expect("in range");
            *until = expiration;
            Some(Answer { access_key_id, expiration })
        };
        let Some(id) = self.client.sign(&now, &mut fetch) else { return false };
        // Some SDKs go on with what has expired while their source fails (docs/leases.md).
        let is_overdue = !self.client.kind.bounded && now.wall >= self.until;
        if !world.uses(&id) && !is_overdue {
            let what = format!("{} signed with {id}", self.client.kind.name);
            world.watch.violation("never-refused", what);
        }
        true
    }
}
