//! The live swap: one publisher, any number of readers that never wait.

use std::sync::Arc;

use arc_swap::{ArcSwapOption, Guard};
use jiff::Timestamp;
use rotakey_core::credential::{AccessKeyId, Credentials, Generation};

/// What is served: a credential, the generation it is of, and how far it is accounted for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Counts publishes.
    pub generation: Generation,
    /// The long-term key that answers are accounted to: the credential itself, or what it was minted from.
    pub key: AccessKeyId,
    /// What programs sign with.
    pub credentials: Credentials,
    /// When AWS ends it; `None` for a long-term key.
    pub valid_until: Option<Timestamp>,
    /// The key's horizon, as it is on disk: an `Expiration` up to here is accounted for already.
    pub covered_until: Option<Timestamp>,
}

/// A generation that is older than the one that is served.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("generation {offered} is older than generation {served}, which is served")]
pub struct Stale {
    /// The generation that was to be published.
    pub offered: Generation,
    /// The one that is served.
    pub served: Generation,
}

/// Publishes credentials. A profile has one for each kind that it serves.
#[derive(Debug, Default)]
pub struct Publisher {
    cell: Arc<ArcSwapOption<Snapshot>>,
}

/// Reads what is published.
#[derive(Clone, Debug)]
pub struct Subscriber {
    cell: Arc<ArcSwapOption<Snapshot>>,
}

impl Publisher {
    /// A publisher that has published nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// A reader.
    pub fn subscribe(&self) -> Subscriber {
        Subscriber { cell: Arc::clone(&self.cell) }
    }

    /// Serves this credential from now on, unless a newer generation is served: an old key never comes back by a
    /// race. The same generation is replaced: by its next session, or by itself with a later horizon.
    pub fn publish(&self, snapshot: Snapshot) -> Result<(), Stale> {
        let offered = snapshot.generation;
        let next = Arc::new(snapshot);
        let before = self.cell.rcu(|served| match served {
            Some(served) if served.generation > offered => Some(Arc::clone(served)),
            _ => Some(Arc::clone(&next)),
        });
        match before {
            Some(served) if served.generation > offered => {
                Err(Stale { offered, served: served.generation })
            }
            _ => Ok(()),
        }
    }

    /// Notes how far answers of a generation are accounted for by now. No effect on any other generation.
    pub fn cover(&self, generation: Generation, until: Timestamp) {
        self.cell.rcu(|served| {
            let served = served.as_ref()?;
            if served.generation != generation || served.covered_until >= Some(until) {
                return Some(Arc::clone(served));
            }
            Some(Arc::new(Snapshot { covered_until: Some(until), ..Snapshot::clone(served) }))
        });
    }

    /// Serves nothing from now on: what was served is over, and there is nothing in its place.
    pub fn withdraw(&self) {
        self.cell.store(None);
    }
}

impl Subscriber {
    /// What is served now, if anything was ever published. Takes no lock.
    pub fn latest(&self) -> Guard<Option<Arc<Snapshot>>> {
        self.cell.load()
    }
}

#[cfg(test)]
mod tests {
    use rotakey_core::credential::SecretAccessKey;

    use super::*;

    fn snapshot(generation: u64) -> Snapshot {
        let key: AccessKeyId = format!("AKIA{generation}").parse().expect("an id");
        let secret_access_key = SecretAccessKey::new(format!("secret{generation}"));
        let credentials = Credentials::long_term(key.clone(), secret_access_key);
        let generation = Generation(generation);
        Snapshot { generation, key, credentials, valid_until: None, covered_until: None }
    }

    #[test]
    fn an_older_generation_never_replaces_a_newer_one() {
        let publisher = Publisher::new();
        let subscriber = publisher.subscribe();
        assert!(subscriber.latest().is_none());
        publisher.publish(snapshot(2)).expect("the first");
        let stale = publisher.publish(snapshot(1)).expect_err("older");
        assert_eq!(stale, Stale { offered: Generation(1), served: Generation(2) });
        publisher.publish(snapshot(2)).expect("the same again");
        publisher.publish(snapshot(3)).expect("newer");
        assert_eq!(subscriber.latest().as_ref().map(|s| s.generation), Some(Generation(3)));
    }

    #[test]
    fn a_horizon_only_rises_and_only_for_its_own_generation() {
        let at = |second| Timestamp::from_second(second).expect("in range");
        let publisher = Publisher::new();
        let subscriber = publisher.subscribe();
        let covered = || subscriber.latest().as_ref().and_then(|seen| seen.covered_until);
        publisher.cover(Generation(2), at(5));
        publisher.publish(snapshot(2)).expect("the first");
        assert_eq!(covered(), None);
        for (generation, until, then) in
            [(2, 10, 10), (2, 9, 10), (1, 20, 10), (3, 20, 10), (2, 11, 11)]
        {
            publisher.cover(Generation(generation), at(until));
            assert_eq!(covered(), Some(at(then)));
        }
        publisher.withdraw();
        assert!(subscriber.latest().is_none());
    }

    #[test]
    fn readers_see_each_generation_whole() {
        let publisher = Publisher::new();
        let subscriber = publisher.subscribe();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                let subscriber = subscriber.clone();
                scope.spawn(move || {
                    let mut last = 0;
                    while last < 500 {
                        if let Some(seen) = subscriber.latest().as_ref() {
                            assert!(seen.generation.0 >= last);
                            last = seen.generation.0;
                            let secret = seen.credentials.secret_access_key.expose();
                            assert_eq!(secret, format!("secret{last}"));
                        }
                    }
                });
            }
            for generation in 1..=500 {
                publisher.publish(snapshot(generation)).expect("newer");
            }
        });
    }
}
