//! The live swap: one publisher, any number of readers that never wait.

use std::sync::Arc;

use arc_swap::{ArcSwapOption, Guard};
use rotakey_core::credential::{Credentials, Generation};

/// What is served: a credential and the generation it is.
#[derive(Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Counts publishes.
    pub generation: Generation,
    /// The key that is served.
    pub credentials: Credentials,
}

/// A generation that is not newer than the one that is served.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("generation {offered} is not newer than generation {served}, which is served")]
pub struct Stale {
    /// The generation that was to be published.
    pub offered: Generation,
    /// The one that is served.
    pub served: Generation,
}

/// Publishes credentials. There is one per profile.
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

    /// Serves this credential from now on. Only a newer generation replaces an older one, so that an old key
    /// never comes back by a race.
    pub fn publish(&self, snapshot: Snapshot) -> Result<(), Stale> {
        let next = Arc::new(snapshot);
        let mut stale = None;
        self.cell.rcu(|served| match served {
            Some(served) if served.generation >= next.generation => {
                stale = Some(served.generation);
                Some(Arc::clone(served))
            }
            _ => {
                stale = None;
                Some(Arc::clone(&next))
            }
        });
        match stale {
            Some(served) => Err(Stale { offered: next.generation, served }),
            None => Ok(()),
        }
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
        let access_key_id = format!("AKIA{generation}").parse().expect("an id");
        let secret_access_key = SecretAccessKey::new(format!("secret{generation}"));
        let credentials = Credentials { access_key_id, secret_access_key };
        Snapshot { generation: Generation(generation), credentials }
    }

    #[test]
    fn an_older_generation_never_replaces_a_newer_one() {
        let publisher = Publisher::new();
        let subscriber = publisher.subscribe();
        assert!(subscriber.latest().is_none());
        publisher.publish(snapshot(2)).expect("the first");
        let stale = publisher.publish(snapshot(1)).expect_err("older");
        assert_eq!(stale, Stale { offered: Generation(1), served: Generation(2) });
        publisher.publish(snapshot(2)).expect_err("not newer");
        publisher.publish(snapshot(3)).expect("newer");
        assert_eq!(subscriber.latest().as_ref().map(|s| s.generation), Some(Generation(3)));
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
